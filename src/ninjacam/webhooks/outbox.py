"""Claims the deliveries that are due, and stores what became of them. Several hosts may share one outbox.

A claim is a lease: a process that is killed loses nothing, because its deliveries are due again when the lease ends.
"""

import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError
from ninjacam.models import DeliveryState, Phase, Webhook, WebhookDelivery
from ninjacam.webhooks.backoff import delay_s
from ninjacam.webhooks.request import DeliveryError

MAX_AT_ONCE = 4
"""Maximum number of deliveries of one webhook that are sent at once."""
LEASE_NS = 30 * 10**9
"""Longer than a request may take, with the writes around it."""
JITTER = 0.1
KEPT_NS = 7 * 24 * 3600 * 10**9
"""Nanoseconds that delivered rows are kept."""
DEAD_KEPT_NS = 30 * 24 * 3600 * 10**9
MAX_WAITING = 100_000
"""Maximum number of waiting deliveries of one webhook. Beyond it, the oldest are given up."""
BATCH = 500
_OVERFLOW = (
    "More than 100,000 deliveries were waiting, so the oldest were given up. Retry them if you need them."
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to send. `error`: why it cannot be sent."""

    pk: int
    webhook_id: int
    key: str
    body: bytes
    attempts: int
    url: str = ""
    secret: str = ""
    verify_tls: bool = True
    error: str = ""

    def __repr__(self) -> str:
        return f"Claimed({self.pk})"


class Outbox:
    """Thread: any one at a time. All methods query the database. Raises: DatabaseError."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, jitter: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._jitter = jitter or (lambda: random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 (spreads load)

    def claim(self, in_flight: Mapping[int, int]) -> list[Claimed]:
        """Claim deliveries that are due. `in_flight`: number of running ones by webhook."""
        now_ns = self._clock.wall_ns()
        due = WebhookDelivery.objects.filter(
            state=DeliveryState.WAITING, next_try_ns__lte=now_ns, leased_until_ns__lte=now_ns
        )
        webhooks = Webhook.objects.filter(Exists(due.filter(webhook=OuterRef("pk"))), enabled=True)
        claimed: list[Claimed] = []
        for webhook in webhooks:
            free = MAX_AT_ONCE - in_flight.get(webhook.pk, 0)
            if free > 0:
                claimed += self._claim(webhook, free, now_ns)
        return claimed

    def _claim(self, webhook: Webhook, count: int, now_ns: int) -> list[Claimed]:
        waiting = WebhookDelivery.objects.filter(webhook=webhook, state=DeliveryState.WAITING)
        before = WebhookDelivery.objects.filter(
            webhook=webhook,
            event_id=OuterRef("event_id"),
            state=DeliveryState.WAITING,
            phase=Phase.BEGUN,
        )
        in_order = Q(phase=Phase.BEGUN) | ~Exists(before)
        due = waiting.filter(in_order, next_try_ns__lte=now_ns, leased_until_ns__lte=now_ns)
        claimed = []
        for row in due.order_by("next_try_ns", "pk")[:count]:
            # Another host may have claimed it since, or its event has turned out to be too short.
            held = waiting.filter(pk=row.pk, leased_until_ns__lte=now_ns)
            if held.update(leased_until_ns=now_ns + LEASE_NS, attempts=F("attempts") + 1):
                claimed.append(_claimed(webhook, row))
        return claimed

    def delivered(self, claimed: Claimed, status: int) -> None:
        now_ns = self._clock.wall_ns()
        self._held(claimed).update(
            state=DeliveryState.DELIVERED, status=status, error="", ended_ns=now_ns, leased_until_ns=0
        )
        if claimed.attempts > 1:  # The receiver is back: try the others at once.
            waiting = WebhookDelivery.objects.filter(webhook=claimed.webhook_id, state=DeliveryState.WAITING)
            waiting.filter(attempts__gt=0, next_try_ns__gt=now_ns).update(next_try_ns=now_ns)

    def failed(self, claimed: Claimed, error: DeliveryError) -> None:
        now_ns, pause_s = self._clock.wall_ns(), delay_s(claimed.attempts)
        held, message = self._held(claimed), error.message[:300]
        if pause_s is None:
            held.update(
                state=DeliveryState.DEAD,
                status=error.status,
                error=message,
                ended_ns=now_ns,
                leased_until_ns=0,
            )
        else:
            next_try_ns = now_ns + int(pause_s * self._jitter() * 1e9)
            held.update(next_try_ns=next_try_ns, status=error.status, error=message, leased_until_ns=0)

    def release(self, claimed: Collection[Claimed]) -> None:
        """End the leases of deliveries that were interrupted, so that the next process sends them at once."""
        for each in claimed:
            self._held(each).update(leased_until_ns=0)

    def _held(self, claimed: Claimed) -> QuerySet[WebhookDelivery]:
        """Return the row, unless it was claimed again, retried by a user, or deleted."""
        return WebhookDelivery.objects.filter(
            pk=claimed.pk, state=DeliveryState.WAITING, attempts=claimed.attempts
        )

    def clean(self) -> None:
        """Delete old rows, and give up the oldest of too many waiting ones."""
        now_ns = self._clock.wall_ns()
        for state, kept_ns in ((DeliveryState.DELIVERED, KEPT_NS), (DeliveryState.DEAD, DEAD_KEPT_NS)):
            old = WebhookDelivery.objects.filter(state=state, ended_ns__lte=now_ns - kept_ns)
            while keys := list(old.order_by().values_list("pk", flat=True)[:BATCH]):
                WebhookDelivery.objects.filter(pk__in=keys).delete()
        for webhook in Webhook.objects.all():
            waiting = webhook.deliveries.filter(state=DeliveryState.WAITING)
            last = waiting.order_by("-pk").values_list("pk", flat=True)[MAX_WAITING : MAX_WAITING + 1].first()
            if last is not None:
                waiting.filter(pk__lte=last).update(
                    state=DeliveryState.DEAD, error=_OVERFLOW, ended_ns=now_ns
                )


def _claimed(webhook: Webhook, row: WebhookDelivery) -> Claimed:
    url, secret, error = "", "", ""
    try:
        url, secret = webhook.target()
    except ConfigError as exc:
        error = exc.message
    return Claimed(
        row.pk,
        webhook.pk,
        str(row.key),
        row.payload.encode(),
        row.attempts + 1,
        url,
        secret,
        webhook.verify_tls,
        error,
    )
