"""Webhooks, and the outbox of their deliveries.

Not here: when deliveries are written (`models.outbox`), and who sends them (`ninjacam.webhooks`).
"""

import logging
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.core.redact import redact_url
from ninjacam.core.schedule import parse_schedule
from ninjacam.core.times import to_datetime
from ninjacam.credentials import Credentials, seal, unseal
from ninjacam.models.event import Event

logger = logging.getLogger(__name__)

MAX_WEBHOOKS = 50
MAX_DURATION_S = 86_400
"""Maximum value of `min_duration_s`."""
MAX_AHEAD_NS = (MAX_DURATION_S + 3600) * 10**9
"""No delivery is due later than this from now, unless the clock was set back after it was written."""
MAX_NAMES = 100
"""Maximum number of cameras and of kinds in the conditions of one webhook."""


class Phase(models.TextChoices):
    BEGUN = "begun", _("begun")
    ENDED = "ended", _("ended")


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    DEAD = "dead", _("dead")


class Webhook(models.Model):
    """A URL to which events are posted that meet all conditions. `url` may be shown: secrets in it are masked.
    `credentials`: the secret that signs deliveries and, if it was masked, the whole URL, encrypted. `cameras`: slugs;
    empty: all cameras, and the host. `kinds`, `label`, `zone`, `schedule`: empty for any.
    """

    name = models.CharField(_("name"), max_length=100)
    url = models.CharField(_("URL"), max_length=500)
    credentials = models.TextField(_("credentials"), editable=False)
    verify_tls = models.BooleanField(_("verify the certificate"), default=True)
    enabled = models.BooleanField(_("enabled"), default=True)
    on_begin = models.BooleanField(_("when an event begins"), default=True)
    on_end = models.BooleanField(_("when an event ends"), default=False)
    cameras = models.JSONField(
        _("cameras"), default=list, blank=True, help_text=_("A list of short names. Empty: all cameras.")
    )
    kinds = models.JSONField(
        _("kinds"), default=list, blank=True, help_text=_("A list of kinds of events. Empty: all kinds.")
    )
    label = models.CharField(
        _("label"), max_length=200, blank=True, help_text=_("A part of the event's label.")
    )
    zone = models.CharField(_("zone"), max_length=50, blank=True)
    min_score = models.FloatField(_("minimum score"), null=True, blank=True)
    min_duration_s = models.FloatField(
        _("minimum duration"),
        default=0,
        help_text=_("Seconds that an event must last before it is sent."),
    )
    schedule = models.CharField(
        _("schedule"),
        max_length=500,
        blank=True,
        help_text=_(
            "When an event must begin: mon-fri 07:00-19:00; sat,sun 10:00-14:00. Empty: at any time."
        ),
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def set_target(self, url: str, secret: str) -> None:
        """Split the URL and the secret into public and encrypted fields. Does not save."""
        self.url = redact_url(url)
        self.credentials = seal(Credentials(password=secret, url=url if url != self.url else ""))

    def target(self) -> tuple[str, str]:
        """Return (URL, secret). Raises: ConfigError: they cannot be decrypted."""
        try:
            stored = unseal(self.credentials)
        except ConfigError as error:
            raise ConfigError(
                "The secret of this webhook cannot be decrypted, because the secret key has changed. "
                "Enter the URL and a new secret."
            ) from error
        return stored.url or self.url, stored.password

    def clean(self) -> None:
        if self.schedule:
            try:
                parse_schedule(self.schedule)
            except ConfigError as error:
                raise ValidationError({"schedule": error.message}) from error
        if not (self.on_begin or self.on_end):
            raise ValidationError({"on_begin": _("Choose the beginning of events, their end, or both.")})

    def matches(self, event: Event) -> bool:
        """Return whether the event meets all conditions besides the duration. The schedule is about its start."""
        return (
            (not self.cameras or event.slug in self.cameras)
            and (not self.kinds or event.kind in self.kinds)
            and self.label.casefold() in event.label.casefold()
            and (not self.zone or self.zone in event.zone_names)
            and (self.min_score is None or (event.score is not None and event.score >= self.min_score))
            and self._is_scheduled(event.start_ns)
        )

    def _is_scheduled(self, start_ns: int) -> bool:
        if not self.schedule:
            return True
        try:
            schedule = parse_schedule(self.schedule)
        except ConfigError as exc:  # It was stored without `clean`. No event may fail because of it.
            logger.warning("Webhook %s receives nothing until its schedule is corrected: %s", self.pk, exc)
            return False
        return schedule.is_on(timezone.localtime(to_datetime(start_ns)))


class WebhookDelivery(models.Model):
    """One request to a webhook, written in the transaction of its event. `event_id`: of the event, which may be
    deleted before. `key`: the same for each attempt. `payload`: the body of the request. Times: ns since 1970.
    `leased_until_ns`: until then, a process is sending it. `ended_ns`: when it was delivered or given up. `status`:
    HTTP status of the last attempt, `error` its failure.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("webhook")
    )
    event_id = models.BigIntegerField(_("event"))
    phase = models.CharField(_("phase"), max_length=5, choices=Phase.choices)
    key = models.UUIDField(_("key"), default=uuid4, editable=False)
    payload = models.TextField(_("payload"))
    created_ns = models.BigIntegerField(_("created at"))
    state = models.CharField(
        _("state"), max_length=9, choices=DeliveryState.choices, default=DeliveryState.WAITING
    )
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    next_try_ns = models.BigIntegerField(_("next attempt"))
    leased_until_ns = models.BigIntegerField(default=0)
    ended_ns = models.BigIntegerField(_("ended at"), null=True)
    status = models.PositiveSmallIntegerField(_("HTTP status"), null=True)
    error = models.CharField(_("error"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("delivery")
        verbose_name_plural = _("deliveries")
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(fields=["webhook", "event_id", "phase"], name="ninjacam_delivery_once"),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "next_try_ns"],
                condition=Q(state="waiting"),
                name="ninjacam_delivery_waiting",
            ),
            models.Index(fields=["ended_ns"], condition=~Q(state="waiting"), name="ninjacam_delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook}: {self.event_id} {self.phase}"
