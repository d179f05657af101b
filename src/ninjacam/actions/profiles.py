"""Create, change, delete and activate profiles. The engine applies them within two seconds, without a restart.

For users with Django's permissions for profiles (`queries.profiles`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypedDict

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.actions.audit import audited, record
from ninjacam.actions.validation import invalid
from ninjacam.auth import Actor
from ninjacam.core.errors import ConflictError, InvalidError, NotFoundError, QuotaError
from ninjacam.models import ActiveProfile, Camera, Profile, ProfileOverride
from ninjacam.models.foreign_keys import check_foreign_keys, lock_for_deletion
from ninjacam.models.names_in_conditions import find_naming
from ninjacam.models.profile import MAX_OVERRIDES, MAX_PROFILES, choose, find_active, follow_schedules
from ninjacam.queries.profiles import get_profile, require_profiles


class OverrideFields(TypedDict, total=False):
    """What differs for a camera. `camera`: its slug; None: all cameras. `record`: None for unchanged."""

    camera: str | None
    record: str | None
    processors: Mapping[str, bool]
    options: Mapping[str, Mapping[str, Any]]


class ProfileFields(TypedDict, total=False):
    """The fields of a profile that a user may set. `overrides` replaces all of them."""

    name: str
    schedule: str
    overrides: Sequence[OverrideFields]


@audited
def create_profile(actor: Actor, fields: ProfileFields) -> Profile:
    """Raises: ForbiddenError, InvalidError; ConflictError: the name is in use; QuotaError."""
    require_profiles(actor, "add")
    with transaction.atomic():
        if Profile.objects.count() >= MAX_PROFILES:
            raise QuotaError(
                _("There are at most %(count)s profiles. Delete one first.") % {"count": MAX_PROFILES}
            )
        profile = _save(Profile(), fields)
    record(actor, "profile.create", profile.name)
    return get_profile(actor, profile.name, "add")


@audited
def update_profile(actor: Actor, name: str, fields: ProfileFields) -> Profile:
    """Change the fields in `fields`. Raises: NotFoundError, ForbiddenError, InvalidError; ConflictError: the new name
    is in use.
    """
    with transaction.atomic():
        # Must precede reading it: otherwise saving would add a profile again that is deleted in between.
        Profile.objects.select_for_update().filter(name=name).first()
        profile = _save(get_profile(actor, name, "change"), fields)
    record(actor, "profile.update", name, fields=sorted(fields))
    return get_profile(actor, profile.name, "change")


@audited
def delete_profile(actor: Actor, name: str) -> None:
    """Delete a profile. If it was activated, the schedules decide. Raises: NotFoundError, ForbiddenError;
    ConflictError: a webhook or rule applies only in this profile.
    """
    with transaction.atomic():
        profile = get_profile(actor, name, "delete")
        if naming := find_naming("profiles", name):
            raise ConflictError(
                _("“%(name)s” applies in the profile “%(profile)s”. Change its profiles, or delete it first.")
                % {"name": naming[0], "profile": name}
            )
        lock_for_deletion(profile)
        profile.delete()
    record(actor, "profile.delete", name)


@audited
def activate_profile(actor: Actor, name: str | None, until: datetime | None = None) -> ActiveProfile:
    """Apply a profile; None: the stored configuration of the cameras.

    `until`: when the schedules decide again; None: when they would next change the profile. Raises: NotFoundError,
    ForbiddenError; InvalidError: `until` is not in the future.
    """
    require_profiles(actor, "activate")
    profile = None if name is None else get_profile(actor, name, "activate")
    now = timezone.now()
    if until is not None and until <= now:
        raise InvalidError.of("until", _("Use a time in the future."))
    try:
        with transaction.atomic():
            until = choose(profile, now, until).until
            check_foreign_keys()
    except IntegrityError as error:  # It has been deleted since it was read.
        raise NotFoundError(_("No profile “%(name)s”.") % {"name": name}) from error
    record(actor, "profile.activate", name or "", until=until)
    return find_active(now)


@audited
def release_profile(actor: Actor) -> ActiveProfile:
    """End the choice of a profile, so that the schedules decide. Raises: ForbiddenError."""
    require_profiles(actor, "activate")
    follow_schedules(timezone.now())
    record(actor, "profile.release", "")
    return find_active(timezone.now())


def _save(profile: Profile, fields: ProfileFields) -> Profile:
    """Check and save a profile with its overrides. Raises: InvalidError, ConflictError."""
    if "name" in fields:
        profile.name = fields["name"]
    if "schedule" in fields:
        profile.schedule = fields["schedule"]
    try:
        profile.full_clean(validate_unique=False)
    except ValidationError as error:
        raise invalid(error) from error
    try:
        with transaction.atomic():
            profile.save()
    except IntegrityError as error:
        raise ConflictError(
            _("There is a profile “%(name)s” already. Choose another name.") % {"name": profile.name}
        ) from error
    if "overrides" in fields:
        overrides = _make_overrides(profile, fields["overrides"])
        try:
            with transaction.atomic():
                profile.overrides.all().delete()
                ProfileOverride.objects.bulk_create(overrides)
                check_foreign_keys()
        except IntegrityError as error:
            raise ConflictError(_("A camera of the profile was deleted. Reload, and try again.")) from error
    return profile


def _make_overrides(profile: Profile, given: Sequence[OverrideFields]) -> list[ProfileOverride]:
    """Return the overrides, unsaved. Raises: InvalidError."""
    slugs = [each.get("camera") for each in given]
    if len(slugs) > MAX_OVERRIDES or len(set(slugs)) < len(slugs):
        raise InvalidError.of(
            "overrides", _("Use one override per camera, and at most %(count)s.") % {"count": MAX_OVERRIDES}
        )
    cameras = {camera.slug: camera for camera in Camera.objects.filter(slug__in=filter(None, slugs))}
    overrides = []
    for each in given:
        slug = each.get("camera")
        if slug is not None and slug not in cameras:
            raise InvalidError.of("overrides", _("No camera “%(slug)s”.") % {"slug": slug[:50]})
        override = ProfileOverride(
            profile=profile,
            camera=cameras[slug] if slug is not None else None,
            record=each.get("record") or "",
            processors=each.get("processors", {}),
            options=each.get("options", {}),
        )
        try:
            override.full_clean(validate_unique=False, validate_constraints=False)
        except ValidationError as error:
            raise invalid(error) from error
        overrides.append(override)
    return overrides
