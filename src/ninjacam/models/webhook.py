"""Webhooks, and the outbox of their deliveries.

Not here: when deliveries are written (`models.outbox`), and who sends them (`ninjacam.webhooks`).
"""

from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.core.redact import redact_url
from ninjacam.credentials import Credentials, seal, unseal
from ninjacam.models.conditions import MAX_DURATION_S, EventConditions
from ninjacam.models.notification import PushSubscription
from ninjacam.models.rule import Rule

MAX_WEBHOOKS = 50
MAX_AHEAD_NS = (MAX_DURATION_S + 3600) * 10**9
"""No delivery is due later than this from now, unless the clock was set back after it was written."""


class Phase(models.TextChoices):
    BEGUN = "begun", _("begun")
    ENDED = "ended", _("ended")


class Action(models.TextChoices):
    """What a delivery does."""

    WEBHOOK = "webhook", _("webhook")
    NOTIFY = "notify", _("e-mail")
    PROTECT = "protect", _("protection")
    PUSH = "push", _("notification")


class DeliveryState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DELIVERED = "delivered", _("delivered")
    DEAD = "dead", _("dead")


class Webhook(EventConditions):
    """A URL to which events are posted that meet all conditions. `url` may be shown: secrets in it are masked.
    `credentials`: the secret that signs deliveries and, if it was masked, the whole URL, encrypted.
    """

    name = models.CharField(_("name"), max_length=100)
    url = models.CharField(_("URL"), max_length=500)
    credentials = models.TextField(_("credentials"), editable=False)
    verify_tls = models.BooleanField(_("verify the certificate"), default=True)
    on_begin = models.BooleanField(_("when an event begins"), default=True)
    on_end = models.BooleanField(_("when an event ends"), default=False)
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
        super().clean()
        if not (self.on_begin or self.on_end):
            raise ValidationError({"on_begin": _("Choose the beginning of events, their end, or both.")})


class WebhookDelivery(models.Model):
    """One request to a webhook or to the push service of a browser, or one action of a rule, written in the transaction
    of its event. `event_id`: of the event, which may be deleted before; negative: a test, without an event. `key`: the
    same for each attempt. `payload`: the body of the request, or what a push message is made of. Times: ns since 1970.
    `leased_until_ns`: until then, a process is sending it. `ended_ns`: when it was delivered or given up. `status`:
    HTTP status of the last attempt, `error` its failure.
    """

    webhook = models.ForeignKey(
        Webhook, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("webhook"), null=True
    )
    rule = models.ForeignKey(
        Rule, on_delete=models.CASCADE, related_name="deliveries", verbose_name=_("rule"), null=True
    )
    subscription = models.ForeignKey(
        PushSubscription,
        on_delete=models.CASCADE,
        related_name="deliveries",
        verbose_name=_("push subscription"),
        null=True,
    )
    action = models.CharField(
        _("action"),
        max_length=8,
        choices=Action.choices,
        default=Action.WEBHOOK,
        db_default=Action.WEBHOOK.value,
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
            models.UniqueConstraint(
                fields=["rule", "event_id", "action"], name="ninjacam_rule_delivery_once"
            ),
            models.UniqueConstraint(fields=["subscription", "event_id"], name="ninjacam_push_delivery_once"),
            models.CheckConstraint(
                condition=Q(webhook__isnull=False, rule=None, subscription=None)
                | Q(webhook=None, rule__isnull=False, subscription=None)
                | Q(webhook=None, rule=None, subscription__isnull=False),
                name="ninjacam_delivery_target",
            ),
        ]
        indexes = [
            models.Index(
                fields=["webhook", "next_try_ns"],
                condition=Q(state="waiting"),
                name="ninjacam_delivery_waiting",
            ),
            models.Index(
                fields=["rule", "next_try_ns"],
                condition=Q(state="waiting"),
                name="ninjacam_rule_delivery_waiting",
            ),
            models.Index(
                fields=["subscription", "next_try_ns"],
                condition=Q(state="waiting"),
                name="ninjacam_push_waiting",
            ),
            models.Index(fields=["rule", "created_ns"], name="ninjacam_rule_delivery_created"),
            models.Index(fields=["ended_ns"], condition=~Q(state="waiting"), name="ninjacam_delivery_ended"),
        ]

    def __str__(self) -> str:
        return f"{self.webhook or self.rule or self.subscription}: {self.event_id} {self.phase}"
