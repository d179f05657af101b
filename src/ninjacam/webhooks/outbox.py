"""Claims the deliveries of webhooks, rules and push subscriptions that are due, and stores what became of them.
Several hosts may share one outbox.

A claim is a lease: a process that is killed loses nothing, because its deliveries are due again when the lease ends.
"""

import logging
import random
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from django.db.models import Exists, F, OuterRef, Q, QuerySet

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError
from ninjacam.models import Action, DeliveryState, Phase, PushSubscription, Rule, Webhook, WebhookDelivery
from ninjacam.models.webhook import MAX_AHEAD_NS
from ninjacam.webhooks.backoff import MAX_DELAY_S, delay_s
from ninjacam.webhooks.request import DeliveryError

logger = logging.getLogger("ninjacam.webhooks")

MAX_AT_ONCE = 4
"""Maximum number of deliveries of one webhook or rule that are sent at once."""
MAX_PUSHES_AT_ONCE = 20
"""Maximum number of push messages that are sent at once, one for each subscription: they arrive in their order, and its
limit counts the ones before."""
LEASE_NS = 30 * 10**9
"""Longer than a request may take, with the writes around it. Actions of rules renew it."""
MAX_SKEW_NS = 300 * 10**9
"""By how much the clocks of hosts that share a database may differ. A greater distance is a clock that was set back."""
JITTER = 0.1
KEPT_NS = 7 * 24 * 3600 * 10**9
"""Nanoseconds that delivered rows are kept."""
DEAD_KEPT_NS = 30 * 24 * 3600 * 10**9
PUSH_KEPT_NS = 3600 * 10**9
"""Nanoseconds that the rows of push messages are kept. Longer than these are of use, so that no event is sent twice."""
MAX_WAITING = 100_000
"""Maximum number of waiting deliveries of one webhook or rule. Beyond it, the oldest are given up."""
MAX_DEAD = 100_000
"""Maximum number of dead deliveries of one webhook or rule. Beyond it, the oldest are deleted."""
BATCH = 500
Target: TypeAlias = Webhook | Rule | PushSubscription
_OVERFLOW = (
    "More than 100,000 deliveries were waiting, so the oldest were given up. Retry them if you need them."
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery to send. `target`: identifies its webhook, rule or subscription. `error`: why it cannot be sent."""

    pk: int
    target: str
    key: str
    body: bytes
    attempts: int
    url: str = ""
    secret: str = ""
    verify_tls: bool = True
    error: str = ""
    action: Action = Action.WEBHOOK
    rule_id: int | None = None
    event_id: int = 0
    subscription_id: int | None = None

    def __repr__(self) -> str:
        return f"Claimed({self.pk})"


class Outbox:
    """Thread: any one at a time. All methods query the database. Raises: DatabaseError."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK, jitter: Callable[[], float] | None = None) -> None:
        self._clock = clock
        self._jitter = jitter or (lambda: random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 (spreads load)

    def claim(self, in_flight: Mapping[str, int]) -> list[Claimed]:
        """Claim deliveries that are due. `in_flight`: number of running ones by target."""
        now_ns = self._clock.wall_ns()
        due = WebhookDelivery.objects.filter(_is_due(now_ns), is_free(now_ns), state=DeliveryState.WAITING)
        claimed: list[Claimed] = []
        for targets, name in ((Webhook.objects, "webhook"), (Rule.objects, "rule")):
            for target in targets.filter(Exists(due.filter(**{name: OuterRef("pk")})), enabled=True):
                free = MAX_AT_ONCE - in_flight.get(target_of(target), 0)
                if free > 0:
                    claimed += self._claim(target, free, now_ns)
        return claimed + self._claim_pushes(due, in_flight, now_ns)

    def _claim_pushes(
        self, due: QuerySet[WebhookDelivery], in_flight: Mapping[str, int], now_ns: int
    ) -> list[Claimed]:
        prefix = PushSubscription._meta.model_name
        sending = sum(count for target, count in in_flight.items() if target.startswith(f"{prefix}-"))
        claimed: list[Claimed] = []
        for subscription in PushSubscription.objects.filter(Exists(due.filter(subscription=OuterRef("pk")))):
            if sending + len(claimed) >= MAX_PUSHES_AT_ONCE:
                break
            if not in_flight.get(target_of(subscription)):
                claimed += self._claim(subscription, 1, now_ns)
        return claimed

    def _claim(self, target: Target, count: int, now_ns: int) -> list[Claimed]:
        waiting = target.deliveries.filter(state=DeliveryState.WAITING)
        before = waiting.filter(event_id=OuterRef("event_id"), phase=Phase.BEGUN)
        # The actions of a rule do not wait for each other.
        in_order = Q(phase=Phase.BEGUN) | ~Q(action=Action.WEBHOOK) | ~Exists(before)
        due = waiting.filter(in_order, _is_due(now_ns), is_free(now_ns))
        claimed = []
        for row in due.order_by("next_try_ns", "pk")[:count]:
            # Another host may have claimed it since, or its event has turned out to be too short.
            held = waiting.filter(is_free(now_ns), pk=row.pk, attempts=row.attempts)
            if held.update(leased_until_ns=now_ns + LEASE_NS, attempts=F("attempts") + 1):
                claimed.append(_claimed(target, row))
        return claimed

    def delivered(self, claimed: Claimed, status: int | None) -> None:
        now_ns = self._clock.wall_ns()
        self._held(claimed).update(
            state=DeliveryState.DELIVERED, status=status, error="", ended_ns=now_ns, leased_until_ns=0
        )
        if claimed.attempts > 1:  # The receiver is back: try the others at once.
            row = WebhookDelivery.objects.filter(pk=claimed.pk).first()
            if row is None:
                return
            waiting = WebhookDelivery.objects.filter(
                webhook=row.webhook_id,
                rule=row.rule_id,
                subscription=row.subscription_id,
                action=row.action,
                state=DeliveryState.WAITING,
            )
            waiting.filter(attempts__gt=0, next_try_ns__gt=now_ns).update(next_try_ns=now_ns)

    def failed(self, claimed: Claimed, error: DeliveryError) -> None:
        now_ns, pause_s = self._clock.wall_ns(), None if error.is_final else delay_s(claimed.attempts)
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

    def renew(self, claimed: Claimed) -> None:
        """Extend the lease of a delivery that takes long."""
        self._held(claimed).update(leased_until_ns=self._clock.wall_ns() + LEASE_NS)

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
        pushes = WebhookDelivery.objects.filter(subscription__isnull=False)
        others = WebhookDelivery.objects.filter(subscription=None)
        for rows, state, kept_ns in (
            (others, DeliveryState.DELIVERED, KEPT_NS),
            (others, DeliveryState.DEAD, DEAD_KEPT_NS),
            (pushes, DeliveryState.DELIVERED, PUSH_KEPT_NS),
            (pushes, DeliveryState.DEAD, PUSH_KEPT_NS),
        ):
            old = rows.filter(state=state, ended_ns__lte=now_ns - kept_ns)
            while keys := list(old.order_by().values_list("pk", flat=True)[:BATCH]):
                WebhookDelivery.objects.filter(pk__in=keys).delete()
        targets: list[Target] = [*Webhook.objects.all(), *Rule.objects.all(), *PushSubscription.objects.all()]
        for target in targets:
            waiting = target.deliveries.filter(state=DeliveryState.WAITING)
            if (last := _newest_excess(waiting, MAX_WAITING)) is not None:
                # Those that are being sent keep their result.
                given_up = waiting.filter(is_free(now_ns), pk__lte=last).update(
                    state=DeliveryState.DEAD, error=_OVERFLOW, ended_ns=now_ns
                )
                logger.warning("%s: %d waiting deliveries were given up", target_of(target), given_up)
            dead = target.deliveries.filter(state=DeliveryState.DEAD)
            if (last := _newest_excess(dead, MAX_DEAD)) is not None:
                deleted, _ = dead.filter(pk__lte=last).delete()
                logger.warning("%s: the %d oldest dead deliveries were deleted", target_of(target), deleted)


def _is_due(now_ns: int) -> Q:
    """Its time has come, or is so far ahead that the clock must have been set back since it was stored."""
    return (
        Q(next_try_ns__lte=now_ns)
        | Q(attempts__gt=0, next_try_ns__gt=now_ns + int(MAX_DELAY_S * (1 + JITTER) * 1e9) + MAX_SKEW_NS)
        | Q(attempts=0, created_ns__gt=now_ns + MAX_SKEW_NS)
        | Q(next_try_ns__gt=now_ns + MAX_AHEAD_NS)
    )


def is_free(now_ns: int) -> Q:
    """No process is sending it, as far as leases show. One that ends too late was written before a set-back."""
    return Q(leased_until_ns__lte=now_ns) | Q(leased_until_ns__gt=now_ns + LEASE_NS + MAX_SKEW_NS)


def _newest_excess(rows: QuerySet[WebhookDelivery], max_rows: int) -> int | None:
    """Return the id of the newest row beyond the `max_rows` newest ones."""
    return rows.order_by("-pk").values_list("pk", flat=True)[max_rows : max_rows + 1].first()


def target_of(target: Target) -> str:
    return f"{target._meta.model_name}-{target.pk}"


def _claimed(target: Target, row: WebhookDelivery) -> Claimed:
    url, secret, error = "", "", ""
    if isinstance(target, Webhook):
        try:
            url, secret = target.target()
        except ConfigError as exc:
            error = exc.message
    return Claimed(
        row.pk,
        target_of(target),
        str(row.key),
        row.payload.encode(),
        row.attempts + 1,
        url,
        secret,
        target.verify_tls if isinstance(target, Webhook) else True,
        error,
        Action(row.action),
        row.rule_id,
        row.event_id,
        row.subscription_id,
    )
