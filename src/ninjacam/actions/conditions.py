"""Checks of the conditions that webhooks and rules share."""

import re
from typing import TypedDict

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from ninjacam.actions.validation import invalid
from ninjacam.core.errors import InvalidError
from ninjacam.models import Camera
from ninjacam.models.conditions import MAX_DURATION_S, MAX_NAMES, EventConditions

_KIND = re.compile(r"[a-z0-9_]{1,32}\Z")


class ConditionFields(TypedDict, total=False):
    """The conditions that a user may set. Missing values stay unchanged."""

    enabled: bool
    cameras: list[str]
    kinds: list[str]
    label: str
    zone: str
    min_score: float | None
    min_duration_s: float
    schedule: str


def check_conditions(row: EventConditions) -> None:
    """Check a webhook or rule before it is saved. Raises: InvalidError."""
    _check_cameras(row)
    _check_names("kinds", row.kinds)
    if not all(_KIND.match(kind) for kind in row.kinds):
        raise InvalidError.of("kinds", _("A kind has 1 to 32 characters of a-z, 0-9 and _."))
    if row.min_score is not None and not 0 <= row.min_score <= 1:
        raise InvalidError.of("min_score", _("Use a number from 0 to 1."))
    if not 0 <= row.min_duration_s <= MAX_DURATION_S:
        raise InvalidError.of("min_duration_s", _("Use a number of seconds from 0 to 86400."))
    try:
        row.full_clean()
    except ValidationError as error:
        raise invalid(error) from error


def _check_names(field: str, names: object) -> None:
    """Raises: InvalidError."""
    if not isinstance(names, list) or len(names) > MAX_NAMES or not all(isinstance(n, str) for n in names):
        raise InvalidError.of(field, _("Use a list of at most %(count)s names.") % {"count": MAX_NAMES})


def _check_cameras(row: EventConditions) -> None:
    """Check the cameras. Those deleted since then may stay in the list. Raises: InvalidError."""
    _check_names("cameras", row.cameras)
    before = type(row)._default_manager.filter(pk=row.pk).values_list("cameras", flat=True).first() or []
    new = set(row.cameras) - set(before)
    unknown = new - set(Camera.objects.filter(slug__in=new).values_list("slug", flat=True))
    if unknown:
        raise InvalidError.of("cameras", _("No camera “%(slug)s”.") % {"slug": min(unknown)[:50]})
