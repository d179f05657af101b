"""Checks of the conditions that webhooks and rules share."""

import re
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from ninjacam.actions.validation import invalid
from ninjacam.core.errors import InvalidError
from ninjacam.models import Camera, Profile
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
    profiles: list[str]


def check_conditions(row: EventConditions) -> None:
    """Check a webhook or rule before it is saved. Raises: InvalidError."""
    _check_known(row, "cameras", Camera.objects.all(), "slug", _("No camera “%(name)s”."))
    _check_known(row, "profiles", Profile.objects.all(), "name", _("No profile “%(name)s”."))
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


def _check_known(row: EventConditions, field: str, rows: QuerySet[Any], column: str, message: str) -> None:
    """Check that new names are those of `rows`. Names deleted since then may stay in the list. Raises: InvalidError."""
    names = getattr(row, field)
    _check_names(field, names)
    before = type(row)._default_manager.filter(pk=row.pk).values_list(field, flat=True).first() or []
    new = set(names) - set(before)
    unknown = new - set(rows.filter(**{f"{column}__in": new}).values_list(column, flat=True))
    if unknown:
        raise InvalidError.of(field, message % {"name": min(unknown)[:50]})
