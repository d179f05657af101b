"""Profiles, for users with Django's permissions for them, with full scope."""

from datetime import datetime

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from ninjacam.auth import Actor
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.core.profiles import MAX_NAME_CHARS
from ninjacam.models import ActiveProfile, Profile
from ninjacam.models.profile import find_active


def require_profiles(actor: Actor, verb: str) -> None:
    """Check the permission. `verb`: view, add, change, delete or activate. Raises: ForbiddenError."""
    if not actor.may_all(f"{verb}_profile"):
        raise ForbiddenError(_("You need the permission “%(name)s”.") % {"name": f"ninjacam.{verb}_profile"})


def list_profiles(actor: Actor) -> QuerySet[Profile]:
    """Return the profiles with their overrides. Raises: ForbiddenError."""
    require_profiles(actor, "view")
    return Profile.objects.prefetch_related("overrides__camera").order_by("name")


def get_profile(actor: Actor, name: str, verb: str = "view") -> Profile:
    """Return a profile. `verb`: as of `require_profiles`. Raises: ForbiddenError, NotFoundError."""
    require_profiles(actor, verb)
    profile = Profile.objects.prefetch_related("overrides__camera").filter(name=name).first()
    if profile is None:
        raise NotFoundError(_("No profile “%(name)s”.") % {"name": name[:MAX_NAME_CHARS]})
    return profile


def get_active(actor: Actor, now: datetime | None = None) -> ActiveProfile:
    """Return the profile that applies now. Raises: ForbiddenError."""
    require_profiles(actor, "view")
    return find_active(now or timezone.now())
