"""Streams of cameras."""

from typing import cast

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import streams as actions
from ninjacam.actions.sources import AddressFields
from ninjacam.api.auth import principal
from ninjacam.api.schemas.fields import plain
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.api.schemas.streams import StreamIn, StreamOut, StreamPage, StreamQuery, StreamState
from ninjacam.queries import streams as queries
from ninjacam.queries.cameras import get_camera, list_cameras
from ninjacam.queries.pages import paginate_list
from ninjacam.queries.status import read_status
from ninjacam.queries.streams import StreamReport

router = Router()


@router.get("/streams", response=StreamPage, operation_id="list_streams", summary="List streams")
def list_streams(request: HttpRequest, query: Query[StreamQuery]) -> StreamPage:
    """The streams of all cameras that you may view, or of one of them, by camera and name."""
    who = principal(request)
    cameras = (
        [get_camera(who, query.camera)] if query.camera else list_cameras(who).prefetch_related("streams")
    )
    found = queries.list_streams(who, cameras, read_status())
    page = paginate_list(found, lambda each: (each.camera, each.name), query.after, query.limit)
    return StreamPage(items=[stream_out(each) for each in page.items], next=page.next)


@router.put(
    "/cameras/{slug:slug}/streams/{slug:name}",
    response=StreamOut,
    operation_id="put_stream",
    summary="Add or change stream",
)
def put_stream(request: HttpRequest, stream: StreamIn, slug: str, name: str) -> StreamOut:
    """Add a stream to a camera, or change its address. `main` is the camera's own `url`."""
    who = principal(request)
    camera = get_camera(who, slug, "configure")
    fields = cast(AddressFields, plain(stream.dict(exclude_unset=True)))
    actions.put_stream(who, camera, name, fields)
    found = queries.list_streams(who, [camera], read_status())
    return stream_out(next(each for each in found if each.name == name))


@router.delete(
    "/cameras/{slug:slug}/streams/{slug:name}",
    response={204: None},
    operation_id="delete_stream",
    summary="Delete stream",
)
def delete_stream(request: HttpRequest, slug: str, name: str) -> Status[None]:
    """Remove a stream from a camera. Roles that it had are chosen by the rules again."""
    who = principal(request)
    actions.delete_stream(who, get_camera(who, slug, "configure"), name)
    return Status(204, None)


def stream_out(stream: StreamReport) -> StreamOut:
    fields = stream.fields
    return StreamOut(
        camera=stream.camera,
        name=stream.name,
        state=cast(StreamState, stream.state),
        error=ErrorOut.of(stream.error),
        url=fields.url if stream.details else None,
        has_credentials=fields.has_credentials and stream.details,
        codec=fields.codec,
        width_px=fields.width_px,
        height_px=fields.height_px,
        fps=fields.fps,
        bitrate_bps=fields.bitrate_bps,
        seen_at=fields.seen_at,
        subscribers=stream.subscribers,
    )
