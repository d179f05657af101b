"""Profiles, such as home, away and night."""

from typing import cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import profiles as actions
from ninjacam.actions.profiles import ProfileFields
from ninjacam.api.auth import principal
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.profiles import (
    ActivateIn,
    ActiveProfileOut,
    OverrideOut,
    ProfileIn,
    ProfileOut,
    ProfilePage,
    ProfilePatch,
)
from ninjacam.models import ActiveProfile, Profile
from ninjacam.queries import profiles as queries
from ninjacam.queries.pages import paginate

router = Router()
_IN_CONDITIONS = {
    "description": "A webhook or rule applies only in this profile",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@router.get("", response=ProfilePage, operation_id="list_profiles", summary="List profiles")
def list_profiles(request: HttpRequest, query: Query[PageQuery]) -> ProfilePage:
    """All profiles, by name. Needs the permission to view profiles, with full scope."""
    page = paginate(queries.list_profiles(principal(request)), ("name",), query.after, query.limit)
    return ProfilePage(items=[_profile_out(each) for each in page.items], next=page.next)


@router.post("", response={201: ProfileOut}, operation_id="create_profile", summary="Create profile")
def create_profile(request: HttpRequest, profile: ProfileIn) -> Status[ProfileOut]:
    """Add a profile, at most 20. The stored configuration of the cameras is never changed by a profile. Needs the
    permission to add profiles."""
    made = actions.create_profile(principal(request), cast(ProfileFields, profile.dict()))
    return Status(201, _profile_out(made))


@router.get(
    "/active", response=ActiveProfileOut, operation_id="get_active_profile", summary="Get active profile"
)
def get_active_profile(request: HttpRequest) -> ActiveProfileOut:
    """The profile that applies now, and the reason. Needs the permission to view profiles."""
    return _active_out(queries.get_active(principal(request)))


@router.put("/active", response=ActiveProfileOut, operation_id="activate_profile", summary="Activate profile")
def activate_profile(request: HttpRequest, choice: ActivateIn) -> ActiveProfileOut:
    """Apply a profile within two seconds, without a restart. It takes precedence over the schedules until these would
    next change the profile. Needs the permission to activate profiles."""
    return _active_out(actions.activate_profile(principal(request), choice.profile, choice.until))


@router.delete(
    "/active", response={204: None}, operation_id="release_profile", summary="Follow schedules of profiles"
)
def release_profile(request: HttpRequest) -> Status[None]:
    """End the choice of a profile, so that the schedules decide. Needs the permission to activate profiles."""
    actions.release_profile(principal(request))
    return Status(204, None)


@router.get("/{slug:profile}", response=ProfileOut, operation_id="get_profile", summary="Get profile")
def get_profile(request: HttpRequest, profile: str) -> ProfileOut:
    """One profile."""
    return _profile_out(queries.get_profile(principal(request), profile))


@router.patch("/{slug:profile}", response=ProfileOut, operation_id="update_profile", summary="Change profile")
def update_profile(request: HttpRequest, profile: str, change: ProfilePatch) -> ProfileOut:
    """Change a profile, also the active one. Needs the permission to change profiles."""
    fields = cast(ProfileFields, change.dict(exclude_unset=True))
    return _profile_out(actions.update_profile(principal(request), profile, fields))


@router.delete(
    "/{slug:profile}",
    response={204: None},
    operation_id="delete_profile",
    summary="Delete profile",
    openapi_extra={"responses": {409: _IN_CONDITIONS}},
)
def delete_profile(request: HttpRequest, profile: str) -> Status[None]:
    """If it was activated, the schedules decide. A profile in the conditions of a webhook or rule cannot be deleted.
    Needs the permission to delete profiles."""
    actions.delete_profile(principal(request), profile)
    return Status(204, None)


def _profile_out(profile: Profile) -> ProfileOut:
    overrides = [
        OverrideOut(
            camera=each.camera.slug if each.camera is not None else None,
            record=each.record or None,
            processors=each.processors,
            options=each.options,
        )
        for each in profile.overrides.all()
    ]
    overrides.sort(key=lambda each: each.camera or "")
    return ProfileOut(name=profile.name, schedule=profile.schedule, overrides=overrides)


def _active_out(active: ActiveProfile) -> ActiveProfileOut:
    profile = active.profile
    return ActiveProfileOut(
        profile=profile.name if profile is not None else None, chosen=active.is_chosen, until=active.until
    )
