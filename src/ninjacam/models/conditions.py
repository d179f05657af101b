"""Conditions for events, which webhooks and rules share."""

import logging

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError
from ninjacam.core.schedule import parse_schedule
from ninjacam.core.times import to_datetime
from ninjacam.languages import translate
from ninjacam.models.event import Event

logger = logging.getLogger(__name__)

MAX_DURATION_S = 86_400
"""Maximum value of `min_duration_s`."""
MAX_NAMES = 100
"""Maximum number of cameras, of kinds and of profiles in the conditions of one webhook or rule."""


class EventConditions(models.Model):
    """An event must meet all conditions. `cameras`: slugs; empty: all cameras, and the host. `kinds`, `label`, `zone`,
    `schedule`: empty for any. `profiles`: names; empty: whatever profile was active. No event meets the name of a
    profile that was deleted.
    """

    enabled = models.BooleanField(_("enabled"), default=True)
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
    profiles = models.JSONField(
        _("profiles"),
        default=list,
        db_default=[],
        blank=True,
        help_text=_(
            "A list of profiles, one of which must be active when an event begins. Empty: with any, and without."
        ),
    )

    class Meta:
        abstract = True

    def clean(self) -> None:
        if self.schedule:
            try:
                parse_schedule(self.schedule)
            except ConfigError as error:
                raise ValidationError({"schedule": translate(error.text)}) from error

    def long_enough_ns(self, event: Event) -> int:
        """Return when the event will have lasted for the minimum duration."""
        return event.start_ns + int(self.min_duration_s * 1e9)

    def is_too_short(self, event: Event) -> bool:
        """Return whether the event has ended before the minimum duration."""
        has_ended = self.min_duration_s > 0 and event.end_ns is not None
        return has_ended and event.end_ns is not None and event.end_ns < self.long_enough_ns(event)

    def matches(self, event: Event) -> bool:
        """Return whether the event meets all conditions besides the duration. Schedule and profiles are about its
        start.
        """
        return (
            (not self.cameras or event.slug in self.cameras)
            and (not self.kinds or event.kind in self.kinds)
            and self.label.casefold() in event.label.casefold()
            and (not self.zone or self.zone in event.zone_names)
            and (self.min_score is None or (event.score is not None and event.score >= self.min_score))
            and self._is_scheduled(event.start_ns)
            and (not self.profiles or event.profile_at_start in self.profiles)
        )

    def _is_scheduled(self, start_ns: int) -> bool:
        if not self.schedule:
            return True
        try:
            schedule = parse_schedule(self.schedule)
        except ConfigError as exc:  # It was stored without `clean`. No event may fail because of it.
            logger.warning(
                "%s %s applies to no event until its schedule is corrected: %s",
                self._meta.model_name,
                self.pk,
                exc,
            )
            return False
        # In the zone of the project, whatever zone a request has activated.
        return schedule.is_on(timezone.localtime(to_datetime(start_ns), timezone.get_default_timezone()))
