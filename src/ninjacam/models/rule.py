"""Rules: what follows from events that meet conditions, besides requests to webhooks.

Not here: when its deliveries are written (`models.outbox`), and who carries them out (`ninjacam.actions.rule_actions`).
"""

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.models.conditions import EventConditions

MAX_RULES = 50
MAX_RECIPIENTS = 50
"""Maximum number of addresses of one e-mail."""


class Rule(EventConditions):
    """Actions for events that meet all conditions. E-mails go to users with the role `replay` for the camera: to
    `recipients` if `only_recipients` is set, also when these have been deleted, and otherwise to all of them.
    `max_per_hour`: limit on e-mails.
    """

    name = models.CharField(_("name"), max_length=100)
    record = models.BooleanField(
        _("record"), default=False, help_text=_("Also events that their creator does not have recorded.")
    )
    protect = models.BooleanField(
        _("protect"), default=False, help_text=_("When it has ended: retention keeps it and its recordings.")
    )
    notify = models.BooleanField(_("send an e-mail"), default=False)
    recipients = models.ManyToManyField(
        settings.AUTH_USER_MODEL,
        verbose_name=_("recipients"),
        related_name="+",
        blank=True,
        help_text=_(
            "Only those who may replay the camera get the e-mail. Empty: all users who may replay it."
        ),
    )
    only_recipients = models.BooleanField(
        _("only these recipients"),
        default=False,
        db_default=False,
        help_text=_("Others get no e-mail, even after all recipients were deleted."),
    )
    max_per_hour = models.PositiveSmallIntegerField(
        _("maximum number of e-mails per hour"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
    )
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)

    class Meta:
        verbose_name = _("rule")
        verbose_name_plural = _("rules")
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        super().clean()
        if not (self.record or self.protect or self.notify):
            raise ValidationError({"notify": _("Choose at least one action.")})
        if self.record and self.min_duration_s:
            raise ValidationError(
                {"record": _("Recording begins at once. Set the minimum duration to 0, or use another rule.")}
            )
