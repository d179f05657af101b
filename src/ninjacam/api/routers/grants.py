"""Grants: the roles of other users and groups for a camera. For users who administer grants."""

from typing import cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import grants as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.access import GrantIn, GrantOut, GrantPage
from ninjacam.api.schemas.fields import RoleName, RowId
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.models import CameraGrant
from ninjacam.queries import access
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.pages import paginate

router = Router()


@router.get(
    "/cameras/{slug:slug}/grants", response=GrantPage, operation_id="list_grants", summary="List grants"
)
def list_grants(request: HttpRequest, slug: str, query: Query[PageQuery]) -> GrantPage:
    """The grants for a camera. Needs the permission to view grants."""
    who = principal(request)
    found = access.list_grants(who, get_camera(who, slug))
    page = paginate(found, ("pk",), query.after, query.limit)
    return GrantPage(items=[_grant_out(grant) for grant in page.items], next=page.next)


@router.post(
    "/cameras/{slug:slug}/grants",
    response={201: GrantOut},
    operation_id="create_grant",
    summary="Create grant",
)
def create_grant(request: HttpRequest, grant: GrantIn, slug: str) -> Status[GrantOut]:
    """Give a user or a group a role for a camera. Needs the permission to add grants, and full scope."""
    who = principal(request)
    camera = get_camera(who, slug)
    return Status(
        201, _grant_out(actions.create_grant(who, camera, grant.role, user=grant.user, group=grant.group))
    )


@router.delete(
    "/grants/{int:grant_id}", response={204: None}, operation_id="delete_grant", summary="Delete grant"
)
def delete_grant(request: HttpRequest, grant_id: RowId) -> Status[None]:
    """Open streams that depend on the grant end within seconds."""
    who = principal(request)
    actions.delete_grant(who, access.get_grant(who, grant_id))
    return Status(204, None)


def _grant_out(grant: CameraGrant) -> GrantOut:
    return GrantOut(
        id=grant.pk,
        camera=grant.camera.slug,
        role=cast(RoleName, grant.role),
        user=grant.user.get_username() if grant.user else None,
        group=grant.group.name if grant.group else None,
    )
