"""Switching profiles from your own code: views, management commands, tasks, processors.

    from ninjacam import profiles

    profiles.activate("away")
    profiles.activate(None)  # the stored configuration of the cameras
    profiles.follow_schedules()

Not here: profiles of the API and the admin (`ninjacam.actions.profiles`).
"""

from datetime import datetime

__all__ = ["activate", "active", "follow_schedules"]


def activate(name: str | None, *, until: datetime | None = None) -> None:
    """Apply a profile; None: the stored configuration of the cameras. Does not check permissions, because your code
    may do everything.

    `until`: aware; when the schedules decide again; None: when they would next change the profile. The engine applies
    it within two seconds of the end of the caller's transaction.
    Raises: NotFoundError: no such profile; InvalidError: `until` is not in the future, or has no time zone.
    """
    from ninjacam.actions.profiles import activate_profile
    from ninjacam.auth import LocalOperator
    from ninjacam.core.errors import InvalidError

    if until is not None and until.tzinfo is None:
        raise InvalidError.of("until", "`until` has no time zone. Use django.utils.timezone.now().")
    activate_profile(LocalOperator(), name, until)


def follow_schedules() -> None:
    """End the choice of `activate`, so that the schedules of the profiles decide."""
    from ninjacam.actions.profiles import release_profile
    from ninjacam.auth import LocalOperator

    release_profile(LocalOperator())


def active() -> str | None:
    """Return the name of the profile that applies now; None: the stored configuration of the cameras."""
    from django.utils import timezone

    from ninjacam.models.profile import find_active

    profile = find_active(timezone.now()).profile
    return profile.name if profile is not None else None
