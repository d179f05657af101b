"""Profiles such as home, away and night: what differs from the stored configuration of the cameras while one is active.

Profiles do not change the rows of cameras, so a camera is as before when a profile ends. Not here: who may activate one
(`ninjacam.actions.profiles`).
"""

import copy
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from ninjacam.core.errors import ConfigError, InvalidError
from ninjacam.core.profiles import MAX_NAME_CHARS, check_options, check_processors
from ninjacam.core.ready_made import READY_MADE
from ninjacam.core.schedule import Schedule, find_first_on, find_next_change, parse_schedule
from ninjacam.models.camera import Camera, check_schedule
from ninjacam.models.names_in_conditions import rename_in_conditions

logger = logging.getLogger("ninjacam.models")

MAX_PROFILES = 20
MAX_CHOICES = 100
"""Maximum number of activations that are kept, also those that have ended."""
MAX_OVERRIDES = 200
"""Maximum number of cameras with overrides of their own in one profile."""


class Profile(models.Model):
    """`schedule`: when it is active, in the time zone of the project; "": only if a user or a program activates it."""

    name = models.CharField(
        _("name"),
        max_length=MAX_NAME_CHARS,
        unique=True,
        validators=[
            RegexValidator(
                r"^(?!active\Z)[a-z0-9][a-z0-9_-]{0,29}\Z",
                _("Use a-z, 0-9, - and _, starting with a letter or digit. “active” is reserved."),
            )
        ],
        help_text=_("Used in code and URLs: a-z, 0-9, - and _, such as “away”."),
    )
    schedule = models.CharField(
        _("schedule"),
        max_length=500,
        blank=True,
        default="",
        db_default="",
        validators=[check_schedule],
        help_text=_(
            "When it becomes active by itself: mon-fri 22:00-06:00; sat,sun 23:00-08:00. If several "
            "profiles are due, the first by name is active."
        ),
    )

    class Meta:
        verbose_name = _("profile")
        verbose_name_plural = _("profiles")
        ordering = ["name"]
        permissions = [("activate_profile", "Can activate profiles")]

    def __str__(self) -> str:
        return self.name

    def save(self, **options: Any) -> None:
        """The conditions of webhooks and rules follow a new name."""
        with transaction.atomic():
            stored = Profile._base_manager.filter(pk=self.pk).values_list("name", flat=True).first()
            super().save(**options)
            only = options.get("update_fields")
            if stored not in (None, self.name) and (only is None or "name" in only):
                rename_in_conditions("profiles", str(stored), self.name)

    @staticmethod
    def name_at(time: datetime) -> str:
        """Return the name of the profile that was active then; "" for none. Takes at most two queries."""
        profile = find_active_at(time).profile
        return profile.name if profile is not None else ""

    def apply_to(self, camera: Camera) -> Camera:
        """Return a copy of the camera with the settings of this profile. Never save it.

        Overrides of the camera itself take precedence over those of all cameras, value by value.
        """
        usable = {each.camera_id: each for each in self.overrides.all() if each.is_usable()}
        for_all, own = usable.get(None, _NOTHING), usable.get(camera.pk, _NOTHING)
        switched = {**for_all.processors, **own.processors}
        off = {name for name, is_on in switched.items() if not is_on}
        added = [name for name in READY_MADE if switched.get(name)]
        changed = copy.copy(camera)
        changed.record = own.record or for_all.record or camera.record
        changed.processors_off = tuple(sorted(off))
        chosen = dict.fromkeys([*(camera.processors or ()), *added])
        changed.processors = [name for name in chosen if name not in off]
        changed.processor_options = _merge(camera.processor_options or {}, for_all.options, own.options)
        return changed


def _merge(*layers: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Merge options: processor -> option -> value; later ones take precedence."""
    merged: dict[str, dict[str, Any]] = {}
    for layer in layers:
        for processor, values in layer.items():
            merged[processor] = {**merged.get(processor, {}), **values}
    return merged


class ProfileOverride(models.Model):
    """What differs for a camera. `camera`: None for all cameras. `record`: "" for unchanged. `processors`: name ->
    whether it runs. `options`: processor -> option -> value.
    """

    class Record(models.TextChoices):
        OFF = Camera.Record.OFF.value, _("off")
        ALWAYS = Camera.Record.ALWAYS.value, _("always")
        EVENTS = Camera.Record.EVENTS.value, _("on events")

    profile = models.ForeignKey(
        Profile, on_delete=models.CASCADE, related_name="overrides", verbose_name=_("profile")
    )
    camera = models.ForeignKey(
        Camera,
        on_delete=models.CASCADE,
        related_name="profile_overrides",
        null=True,
        blank=True,
        verbose_name=_("camera"),
        help_text=_("Empty: all cameras."),
    )
    record = models.CharField(
        _("record"), max_length=8, choices=Record.choices, blank=True, default="", db_default=""
    )
    processors = models.JSONField(
        _("processors"),
        default=dict,
        blank=True,
        help_text=_('Name of a processor and whether it runs, such as {"people": true, "motion": false}.'),
    )
    options = models.JSONField(
        _("options"),
        default=dict,
        blank=True,
        help_text=_('Options of processors, such as {"motion": {"contrast": 30}}.'),
    )

    class Meta:
        verbose_name = _("override")
        verbose_name_plural = _("overrides")
        ordering = ["profile", "camera__slug"]
        constraints = [
            models.UniqueConstraint(fields=["profile", "camera"], name="ninjacam_override_camera"),
            models.UniqueConstraint(
                fields=["profile"], condition=Q(camera=None), name="ninjacam_override_all_cameras"
            ),
        ]

    def __str__(self) -> str:
        return self.camera.slug if self.camera is not None else str(_("all cameras"))

    def clean(self) -> None:
        try:
            self._check()
        except InvalidError as error:
            raise ValidationError(error.fields) from error

    def is_usable(self) -> bool:
        """Return whether it can be applied. False for one that was written by other means than our actions."""
        try:
            self._check()
        except InvalidError as error:
            logger.warning("An override of the profile %s cannot be used: %s", self.profile_id, error)
            return False
        return True

    def _check(self) -> None:
        """Raises: InvalidError."""
        if self.record and self.record not in self.Record.values:
            raise InvalidError.of("record", "Use off, always or events, or nothing.")
        check_processors(self.processors)
        check_options(self.options)


_NOTHING = ProfileOverride()


class ProfileChoice(models.Model):
    """A choice of a user or a program, which takes precedence over the schedules. Only the latest one may be in effect;
    earlier ones are kept for events that began before (`find_active_at`).

    `profile`: None for the stored configuration of the cameras. `until`: when the schedules decide again; None: never.
    """

    profile = models.ForeignKey(Profile, on_delete=models.CASCADE, null=True, related_name="+")
    since = models.DateTimeField(default=timezone.now, db_default=Now())
    until = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return str(self.profile or "")


@dataclass(frozen=True, slots=True)
class ActiveProfile:
    """The profile that applies now. `profile`: None for the stored configuration of the cameras. `is_chosen`: by a user
    or a program, not by its schedule; `until`: the end of this choice; None: it has no end. `is_timed`: whether the
    time alone may change it.
    """

    profile: Profile | None
    is_chosen: bool = False
    until: datetime | None = None
    is_timed: bool = False


def find_active(now: datetime) -> ActiveProfile:
    """Return the active profile with its overrides. `now`: aware. Takes at most three queries; one without profiles.

    Schedules that cannot be read, because they were written by other means than our actions, are ignored.
    """
    profiles = list(Profile.objects.prefetch_related("overrides"))
    if not profiles:
        return ActiveProfile(None)
    # Whenever it was made: the clock may have been set back since then.
    return _resolve(profiles, ProfileChoice.objects.order_by("-pk").first(), now)


def find_active_at(time: datetime) -> ActiveProfile:
    """Return the profile that was active at a time in the past, by the choices that are known and by the schedules that
    profiles have now. Takes at most two queries.
    """
    profiles = list(Profile.objects.all())
    if not profiles:
        return ActiveProfile(None)
    return _resolve(profiles, ProfileChoice.objects.filter(since__lte=time).order_by("-pk").first(), time)


def _resolve(profiles: Sequence[Profile], choice: "ProfileChoice | None", at: datetime) -> ActiveProfile:
    if choice is not None and (choice.until is None or choice.until > at):
        found = next((each for each in profiles if each.pk == choice.profile_id), None)
        return ActiveProfile(found, is_chosen=True, until=choice.until, is_timed=choice.until is not None)
    scheduled, schedules = _schedules_of(profiles)
    index = find_first_on(schedules, _to_local(at))
    return ActiveProfile(scheduled[index] if index is not None else None, is_timed=bool(schedules))


def choose(profile: Profile | None, now: datetime, until: datetime | None = None) -> ProfileChoice:
    """Store a choice. `until`: None for the next change by the schedules, if there is one."""
    if until is None:
        _scheduled, schedules = _schedules_of(Profile.objects.all())
        until = find_next_change(schedules, _to_local(now))
        if until is not None and until <= now:  # The hour is repeated, and `now` is in its second half.
            until = until.replace(fold=1)
    with transaction.atomic():
        # A choice of a profile that is deleted is deleted with it: an earlier one must not be in effect again.
        follow_schedules(now)
        choice = ProfileChoice.objects.create(profile=profile, since=now, until=until)
        kept = ProfileChoice.objects.order_by("-pk").values_list("pk", flat=True)[:MAX_CHOICES]
        ProfileChoice.objects.filter(pk__lt=min(kept)).delete()
    return choice


def follow_schedules(now: datetime) -> None:
    """End the choice, so that the schedules decide again."""
    ProfileChoice.objects.filter(Q(until=None) | Q(until__gt=now)).update(until=now)


def _schedules_of(
    profiles: models.QuerySet[Profile] | Sequence[Profile],
) -> tuple[list[Profile], list[Schedule]]:
    """Return the profiles that have a schedule, and the schedules."""
    found = [(each, schedule) for each in profiles if (schedule := _find_schedule(each)) is not None]
    return [each for each, _schedule in found], [schedule for _each, schedule in found]


def _find_schedule(profile: Profile) -> Schedule | None:
    try:
        return parse_schedule(profile.schedule) if profile.schedule else None
    except ConfigError:
        return None


def _to_local(now: datetime) -> datetime:
    """Return the time in the zone of the project, whatever zone a request has activated."""
    return timezone.localtime(now, timezone.get_default_timezone())
