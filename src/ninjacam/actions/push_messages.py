"""The push messages of events: decides when a notification is sent whether its user may and wants to receive it, and
encrypts it for the browser. Called at least once for each delivery of the outbox, in the jobs process.
"""

import json
from dataclasses import dataclass
from email.utils import parseaddr
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings as django_settings
from django.template.defaultfilters import date
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.crypto import constant_time_compare
from django.utils.translation import gettext as _

from ninjacam.auth import password_guard
from ninjacam.conf import Settings
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ConfigError
from ninjacam.core.times import to_datetime
from ninjacam.credentials import fingerprint
from ninjacam.models import Camera, Event, PushSubscription, Role, VapidKey, WebhookDelivery
from ninjacam.models.notification import TTL_NS, remove_subscriptions
from ninjacam.permissions import AnyUser, may, may_all
from ninjacam.push.encryption import MAX_PLAINTEXT_BYTES, encrypt
from ninjacam.push.vapid import authorization
from ninjacam.signing import sign_mute
from ninjacam.sources.addresses import check_public_address
from ninjacam.webhooks.courier import PushRequest
from ninjacam.webhooks.outbox import Claimed
from ninjacam.webhooks.request import DeliveryError

MAX_PER_MINUTE = 6
"""Maximum number of notifications that a browser, and so its user, receives within a minute."""
MINUTE_NS = 60 * 10**9
MAX_TITLE_CHARS = 100
MAX_BODY_CHARS = 200
BEFORE_NS = 2 * 10**9
"""How far before the event the recording is opened."""
HTTPS_PORT = 443


@dataclass(frozen=True, slots=True)
class _Text:
    """What a notification says. `topic`: a later one with the same topic replaces it. `url`, `image`: relative to the
    mount point; "": none. `slug`: the camera that “mute” is about; None: it cannot be muted.
    """

    title: str
    body: str
    topic: str
    url: str
    image: str = ""
    slug: str | None = None


class PushMessages:
    """Implements `webhooks.courier.Messages`. Thread: any."""

    def __init__(self, settings: Settings, clock: Clock = SYSTEM_CLOCK) -> None:
        self._settings = settings
        self._clock = clock

    def prepare(self, claimed: Claimed) -> PushRequest | None:
        """Return the request; None: the user is not notified. Raises: DeliveryError: too late, or a missing key."""
        row = PushSubscription.objects.select_related("choice__user").filter(pk=claimed.subscription_id or 0)
        subscription = row.first()
        if subscription is None:
            return None
        user = subscription.choice.user
        if not user.is_active or not constant_time_compare(subscription.guard, password_guard(user)):
            remove_subscriptions(row)
            return None
        now_ns = self._clock.wall_ns()
        about = json.loads(claimed.body)
        left_ns = min(int(about["expires_ns"]) - now_ns, TTL_NS)
        if left_ns <= 0:
            raise DeliveryError("The notification was not delivered in time.", is_final=True)
        sent = self._count_sent(subscription, now_ns)
        if sent >= MAX_PER_MINUTE:
            return None
        with translation.override(subscription.language):
            text = _test_text() if claimed.event_id < 0 else self._event_text(subscription, claimed, now_ns)
            if text is None:
                return None
            message = _message(subscription, claimed, text, is_last=sent == MAX_PER_MINUTE - 1)
        return self._request(subscription, text, message, ttl_s=left_ns // 10**9, now_s=now_ns // 10**9)

    def forget(self, claimed: Claimed) -> None:
        """Delete the subscription, which the push service does not know any more."""
        remove_subscriptions(PushSubscription.objects.filter(pk=claimed.subscription_id or 0))

    def _count_sent(self, subscription: PushSubscription, now_ns: int) -> int:
        rows = WebhookDelivery.objects.filter(subscription=subscription, status__isnull=False)
        return rows.filter(state="delivered", ended_ns__gt=now_ns - MINUTE_NS, ended_ns__lte=now_ns).count()

    def _event_text(self, subscription: PushSubscription, claimed: Claimed, now_ns: int) -> _Text | None:
        """Return None if the event was deleted, or its user may not or does not want to be notified."""
        choice = subscription.choice
        event = Event.objects.filter(pk=claimed.event_id).first()
        if event is None or not choice.enabled or choice.is_muted(event.slug, now_ns):
            return None
        camera = Camera.objects.filter(slug=event.slug).first() if event.slug else None
        if not may_receive(choice.user, camera):
            return None
        return _text_of(event, camera)

    def _request(
        self, subscription: PushSubscription, text: _Text, message: bytes, *, ttl_s: int, now_s: int
    ) -> PushRequest:
        """Raises: DeliveryError."""
        try:
            endpoint, p256dh, auth = subscription.target()
            body = encrypt(message, p256dh, auth)
            identity = authorization(
                endpoint, VapidKey.get().private_key(), contact=contact_url(), now_s=now_s
            )
        except ConfigError as error:
            raise DeliveryError(error.message) from error
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Encoding": "aes128gcm",
            "TTL": str(ttl_s),
            "Urgency": "high",
            # Hides the camera from the push service.
            "Topic": fingerprint("push topic", subscription.pk, text.topic),
            "Authorization": identity,
        }
        check = partial(
            check_public_address,
            networks=self._settings.push_networks,
            # The URL comes from a browser: it must not lead to other services of public hosts.
            is_public_enough=(urlsplit(endpoint).port or HTTPS_PORT) == HTTPS_PORT,
        )
        return PushRequest(endpoint, body, headers, check)


def may_receive(user: AnyUser, camera: Camera | None) -> bool:
    """Return whether the user may read events of a camera; None: of the host and of deleted cameras. Guests, who may
    only see a view of the camera, may not.
    """
    return may(user, Role.REPLAY, camera) if camera is not None else may_all(user, "replay_camera")


def contact_url() -> str:
    """Return the address for the operators of push services: the sender of e-mails."""
    return f"mailto:{parseaddr(django_settings.DEFAULT_FROM_EMAIL)[1]}"


def _test_text() -> _Text:
    return _Text(_("Test"), _("Notifications arrive in this browser."), "test", _path("notifications"))


def _text_of(event: Event, camera: Camera | None) -> _Text:
    where = str(camera) if camera is not None else event.slug or _("This server")
    start = timezone.localtime(event.start, timezone.get_default_timezone())
    what = event.label or event.kind.replace("_", " ")
    facts = [what, date(start, "H:i:s"), *event.zone_names]
    url = _path("events")
    if camera is not None:
        at_ns = event.start_ns if event.best_ns is None else max(event.start_ns, event.best_ns - BEFORE_NS)
        at = to_datetime(at_ns).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        url = f"{_path('camera', camera.slug)}?{urlencode({'time': at})}"
    image = ""
    if event.snapshot_ns is not None:
        image = _relative(reverse("ninjacam-api:get_event_snapshot", args=[event.pk]))
    return _Text(where, " · ".join(facts), f"{event.slug}/{event.kind}", url, image, event.slug)


def _path(name: str, *arguments: str) -> str:
    return _relative(reverse(f"ninjacam:{name}", args=arguments))


def _relative(path: str) -> str:
    """Return a path below the mount point: this process does not know the prefix that browsers use."""
    return path.removeprefix(reverse("ninjacam:wall"))


def _message(subscription: PushSubscription, claimed: Claimed, text: _Text, *, is_last: bool) -> bytes:
    """Return the JSON that the service worker reads. `id`: the same for each attempt."""
    body = text.body[:MAX_BODY_CHARS]
    if is_last:
        body += "\n" + _("There are too many events. Further ones within this minute are not announced.")
    message: dict[str, Any] = {
        "id": claimed.key,
        "title": text.title[:MAX_TITLE_CHARS],
        "body": body,
        "tag": text.topic,
        "url": text.url,
        "image": text.image,
        "lang": translation.get_language() or "",
        "view": _("View"),
    }
    if text.slug is not None:
        message |= {"mute": _("Mute for an hour"), "token": sign_mute(subscription.pk, text.slug)}
    encoded = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    assert len(encoded) <= MAX_PLAINTEXT_BYTES, "the parts are bounded"
    return encoded
