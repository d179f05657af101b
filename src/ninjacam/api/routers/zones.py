"""Zones, lines and masks of a camera."""

from typing import cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import zones as actions
from ninjacam.actions.zones import ZoneFields
from ninjacam.api.auth import principal
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.zones import Kind, ZoneIn, ZoneOut, ZonePage, ZonePatch
from ninjacam.models import CameraZone
from ninjacam.queries import zones as queries
from ninjacam.queries.pages import paginate

router = Router()


@router.get("/{slug:slug}/zones", response=ZonePage, operation_id="list_zones", summary="List zones")
def list_zones(request: HttpRequest, slug: str, query: Query[PageQuery]) -> ZonePage:
    """The zones, lines and masks of the camera, by name. Requires the role `view`."""
    page = paginate(queries.list_zones(principal(request), slug), ("name",), query.after, query.limit)
    return ZonePage(items=[_zone_out(each) for each in page.items], next=page.next)


@router.post("/{slug:slug}/zones", response={201: ZoneOut}, operation_id="create_zone", summary="Create zone")
def create_zone(request: HttpRequest, slug: str, zone: ZoneIn) -> Status[ZoneOut]:
    """Add a zone, line or mask, at most 32 for each camera. Running processors find it in `frame.zones` within two
    seconds. Requires the role `configure`."""
    made = actions.create_zone(principal(request), slug, cast(ZoneFields, zone.dict()))
    return Status(201, _zone_out(made))


@router.get("/{slug:slug}/zones/{slug:zone}", response=ZoneOut, operation_id="get_zone", summary="Get zone")
def get_zone(request: HttpRequest, slug: str, zone: str) -> ZoneOut:
    """One zone, line or mask. Requires the role `view`."""
    return _zone_out(queries.get_zone(principal(request), slug, zone))


@router.patch(
    "/{slug:slug}/zones/{slug:zone}", response=ZoneOut, operation_id="update_zone", summary="Change zone"
)
def update_zone(request: HttpRequest, slug: str, zone: str, change: ZonePatch) -> ZoneOut:
    """Change a zone, line or mask, which may get another name. Running processors find it in `frame.zones` within two
    seconds; they are not started again. Requires the role `configure`."""
    fields = cast(ZoneFields, change.dict(exclude_unset=True))
    return _zone_out(actions.update_zone(principal(request), slug, zone, fields))


@router.delete(
    "/{slug:slug}/zones/{slug:zone}",
    response={204: None},
    operation_id="delete_zone",
    summary="Delete zone",
)
def delete_zone(request: HttpRequest, slug: str, zone: str) -> Status[None]:
    """Remove a zone, line or mask. Requires the role `configure`."""
    actions.delete_zone(principal(request), slug, zone)
    return Status(204, None)


def _zone_out(zone: CameraZone) -> ZoneOut:
    return ZoneOut(
        name=zone.name,
        kind=cast(Kind, zone.kind),
        points=zone.points,
        inertia_s=zone.inertia_s,
        loitering_s=zone.loitering_s,
        preset=zone.preset,
        color=zone.color,
    )
