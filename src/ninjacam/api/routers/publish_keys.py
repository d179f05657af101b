"""Keys with which devices publish to a camera. For users who may configure it."""

from django.http import HttpRequest
from django.http.request import split_domain_port
from ninja import Query, Router, Status

from ninjacam.actions import publish_keys as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.fields import RowId
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.publish_keys import PublishKeyCreated, PublishKeyIn, PublishKeyOut, PublishKeyPage
from ninjacam.queries import publishing
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.pages import paginate

router = Router()


@router.get(
    "/cameras/{slug:slug}/publish-keys",
    response=PublishKeyPage,
    operation_id="list_publish_keys",
    summary="List publish keys",
)
def list_publish_keys(request: HttpRequest, slug: str, query: Query[PageQuery]) -> PublishKeyPage:
    """The keys of a camera with the URL `push:`. They are stored as hashes, so they are not included."""
    found = publishing.list_publish_keys(principal(request), slug)
    page = paginate(found, ("pk",), query.after, query.limit)
    return PublishKeyPage(items=[PublishKeyOut.from_orm(row) for row in page.items], next=page.next)


@router.post(
    "/cameras/{slug:slug}/publish-keys",
    response={201: PublishKeyCreated},
    operation_id="create_publish_key",
    summary="Create publish key",
)
def create_publish_key(request: HttpRequest, key: PublishKeyIn, slug: str) -> Status[PublishKeyCreated]:
    """Only this response contains the key. A device publishes H.264 or H.265 to one of `urls`; `rtmp` URLs suit OBS and
    drones, `rtsp` URLs suit FFmpeg and GStreamer. One device at a time may publish to a camera."""
    who = principal(request)
    row, secret = actions.create_publish_key(who, get_camera(who, slug, "configure"), key.name)
    urls = publishing.publish_urls(secret, split_domain_port(request.get_host())[0])
    return Status(201, PublishKeyCreated(**PublishKeyOut.from_orm(row).dict(), key=secret, urls=urls))


@router.delete(
    "/cameras/{slug:slug}/publish-keys/{int:key_id}",
    response={204: None},
    operation_id="revoke_publish_key",
    summary="Revoke publish key",
)
def revoke_publish_key(request: HttpRequest, slug: str, key_id: RowId) -> Status[None]:
    """A stream that is published with the key ends within seconds."""
    who = principal(request)
    actions.revoke_publish_key(who, publishing.get_publish_key(who, slug, key_id))
    return Status(204, None)
