"""Who else may do what with a camera. For who administers grants."""

from typing import cast

from django.http import HttpRequest
from ninja import Router, Status

from ninjacam.actions import grants as actions
from ninjacam.actions.cameras import find_camera
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import GrantIn, GrantList, GrantOut
from ninjacam.api.schemas.fields import RoleName, RowId
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import CameraGrant

router = Router()


def _out(grant: CameraGrant) -> GrantOut:
    return GrantOut(
        id=grant.pk,
        camera=grant.camera.slug,
        role=cast(RoleName, grant.role),
        user=grant.user.get_username() if grant.user else None,
        group=grant.group.name if grant.group else None,
    )


@router.get(
    "/cameras/{slug:slug}/grants", response=GrantList, operation_id="list_grants", summary="List grants"
)
def list_grants(request: HttpRequest, slug: str) -> GrantList:
    """Needs the permission to view grants."""
    who = principal(request)
    camera = find_camera(who, slug)
    if not who.may_all("view_cameragrant"):
        raise ForbiddenError("You may not see who else has access.")
    return GrantList(items=[_out(grant) for grant in camera.grants.select_related("camera", "user", "group")])


@router.post(
    "/cameras/{slug:slug}/grants",
    response={201: GrantOut},
    operation_id="create_grant",
    summary="Give a role",
)
def create_grant(request: HttpRequest, grant: GrantIn, slug: str) -> Status[GrantOut]:
    """Needs the permission to add grants, and full scope."""
    who = principal(request)
    camera = find_camera(who, slug)
    return Status(
        201, _out(actions.create_grant(who, camera, grant.role, user=grant.user, group=grant.group))
    )


@router.delete(
    "/grants/{int:grant_id}", response={204: None}, operation_id="delete_grant", summary="Take a role"
)
def delete_grant(request: HttpRequest, grant_id: RowId) -> Status[None]:
    """Open streams that rest on it end within seconds."""
    who = principal(request)
    grant = CameraGrant.objects.filter(pk=grant_id).select_related("camera", "user", "group").first()
    if grant is None or not any(who.may(role, grant.camera) for role in ("view", "configure")):
        raise NotFoundError("There is no such grant.")
    actions.delete_grant(who, grant)
    return Status(204, None)
