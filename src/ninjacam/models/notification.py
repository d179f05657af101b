"""Notifications of events in browsers: what each user wants, their browsers, and the key of this server.

Not here: when deliveries are written (`models.outbox`), and their messages (`ninjacam.actions.push_messages`).
"""

import hashlib
from typing import Any

from django.conf import settings
from django.db import models, transaction
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.credentials import Credentials, seal, unseal
from ninjacam.models.conditions import EventConditions
from ninjacam.push.vapid import make_private_key, public_key_of

MAX_SUBSCRIPTIONS = 10
"""Maximum number of browsers of one user."""
MAX_ENDPOINT_CHARS = 1024
TTL_NS = 600 * 10**9
"""Nanoseconds after which a notification is useless. It is not sent any more, and push services drop it."""
MAX_MUTE_NS = 24 * 3600 * 10**9
_MAX_SKEW_NS = 300 * 10**9
EVERYTHING = "*"
"""The key of `mutes` for all cameras, and the host."""


class NotificationChoice(EventConditions):
    """The events that a user is notified of. `mutes`: until when, in ns since 1970, by the slug of a camera; "" is the
    host, EVERYTHING all of them.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    mutes = models.JSONField(_("muted"), default=dict, blank=True)

    user_id: Any

    class Meta:
        verbose_name = _("notifications of a user")
        verbose_name_plural = _("notifications of users")

    def __str__(self) -> str:
        return str(self.user)

    def present_mutes(self, now_ns: int) -> dict[str, int]:
        """Return the mutes that have not ended. One that ends too late was written before the clock was set back."""
        latest_ns = now_ns + MAX_MUTE_NS + _MAX_SKEW_NS
        return {slug: until_ns for slug, until_ns in self.mutes.items() if now_ns < until_ns <= latest_ns}

    def is_muted(self, slug: str, now_ns: int) -> bool:
        return bool({slug, EVERYTHING} & self.present_mutes(now_ns).keys())


class PushSubscription(models.Model):
    """A browser that receives a user's notifications. `endpoint_hash`: SHA-256 of its URL at the push service.
    `credentials`: that URL and the browser's keys, encrypted: they allow to send. `browser`: identifies the session
    that has created it, without being its key. `guard`: changes with the user's password. `language`: of the messages.
    """

    choice = models.ForeignKey(NotificationChoice, on_delete=models.CASCADE, related_name="subscriptions")
    name = models.CharField(_("name"), max_length=100)
    endpoint_hash = models.CharField(max_length=64, unique=True, editable=False)
    credentials = models.TextField(_("credentials"), editable=False)
    browser = models.CharField(max_length=32, editable=False)
    guard = models.CharField(max_length=16, editable=False)
    language = models.CharField(_("language"), max_length=20)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    choice_id: int

    class Meta:
        verbose_name = _("push subscription")
        verbose_name_plural = _("push subscriptions")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def set_target(self, endpoint: str, p256dh: str, auth: str) -> None:
        """Does not save."""
        self.endpoint_hash = hash_endpoint(endpoint)
        self.credentials = seal(Credentials(p256dh, auth, endpoint))

    def target(self) -> tuple[str, str, str]:
        """Return (endpoint, p256dh, auth). Raises: ConfigError: they cannot be decrypted."""
        try:
            stored = unseal(self.credentials)
        except ConfigError as error:
            raise ConfigError(
                "The subscription cannot be decrypted, because the secret key has changed. "
                "Turn notifications on again in this browser."
            ) from error
        return stored.url, stored.username, stored.password


def hash_endpoint(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode()).hexdigest()


def remove_subscriptions(found: "models.QuerySet[PushSubscription]") -> int:
    """Delete these subscriptions with their deliveries, and return their number."""
    with transaction.atomic():
        # As `lock_for_deletion`: events of other transactions may be writing deliveries for them.
        keys = list(found.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
        PushSubscription.objects.filter(pk__in=keys).delete()
    return len(keys)


class VapidKey(models.Model):
    """The key with which this server identifies itself to push services. One row, made at first use, for all hosts that
    share the database. `credentials`: the private key, encrypted.
    """

    ROW = 1

    public_key = models.CharField(max_length=100, editable=False)
    credentials = models.TextField(_("credentials"), editable=False)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("key for push services")
        verbose_name_plural = _("keys for push services")

    def __str__(self) -> str:
        return self.public_key

    @classmethod
    def get(cls) -> "VapidKey":
        """Return the key. It is created if there is none; if several processes do so at once, the first one counts."""
        found = cls._default_manager.filter(pk=cls.ROW).first()
        if found is None:
            cls._default_manager.bulk_create([cls._make()], ignore_conflicts=True)
            found = cls._default_manager.get(pk=cls.ROW)
        return found

    @classmethod
    def _make(cls) -> "VapidKey":
        private = make_private_key()
        sealed = seal(Credentials(password=private))
        return cls(pk=cls.ROW, public_key=public_key_of(private), credentials=sealed)

    @classmethod
    def replace(cls) -> None:
        """Delete a key that cannot be decrypted, with all subscriptions: push services accept no other key for them."""
        with transaction.atomic():
            remove_subscriptions(PushSubscription.objects.all())
            cls._default_manager.filter(pk=cls.ROW).delete()

    def private_key(self) -> str:
        """Raises: ConfigError: it cannot be decrypted."""
        try:
            return unseal(self.credentials).password
        except ConfigError as error:
            raise ConfigError(
                "The key for push services cannot be decrypted, because the secret key has changed. "
                "Turn notifications on again in each browser."
            ) from error
