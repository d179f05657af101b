"""The search for cameras in the network, whose results are a stream of server-sent events."""

import json
from collections.abc import AsyncIterator

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponseBase, StreamingHttpResponse
from ninja import Router, Status

from ninjacam.actions import discovery as actions
from ninjacam.api.auth import principal
from ninjacam.api.schemas.discovery import DiscoveryIn, DiscoveryOut, NetworkOut
from ninjacam.front_door.messages import STOPPING

router = Router()

_EVENTS = """\
Returns server-sent events, whose data is JSON:

- `progress`: `elapsed_s`, `timeout_s`, `alive`, `inspected`, `to_inspect`, `connections`.
- `device`, sent again whenever more is known about it: `address`, `kind` (camera, phone, recorder or unknown), \
`title`, `slug` (a suggestion), `maker`, `model`, `name`, `hostname`, `mac`, `onvif_url`, `certainty` (0 to 1), \
`certainty_word`, `reasons`, `needs_password` (null: unknown), `streams`, `camera` (the slug of a camera that exists \
already, or null) and `is_final`. A stream has `url`, `name`, `state` (verified, locked or guess), `codec`, `width_px` \
and `height_px`.
- `image`: one frame of a device without a password: `address`, `codec`, `width_px`, `height_px`, `jpeg_base64`.
- last, `done`: `found`, `connections`, `is_complete`; or `error`: `code`, `message`.

Closing the connection cancels the search. Only one search runs at a time (409). Needs the permission to add cameras.\
"""


@router.get("", response=DiscoveryOut, operation_id="get_discovery", summary="Get networks to search")
def get_discovery(request: HttpRequest) -> DiscoveryOut:
    """Needs the permission to add cameras."""
    networks = actions.list_networks(principal(request))
    return DiscoveryOut(
        running=actions.is_searching(),
        networks=[NetworkOut(interface=each.name, network=str(each.network)) for each in networks],
    )


@router.post(
    "",
    operation_id="discover_cameras",
    summary="Discover cameras",
    description=_EVENTS,
    openapi_extra={
        "responses": {
            200: {
                "description": "Server-sent events",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            }
        }
    },
)
def discover_cameras(request: HttpRequest, search: DiscoveryIn) -> HttpResponseBase:
    running = actions.start_search(
        principal(request), search.network, timeout_s=search.timeout_s, images=search.images
    )
    if isinstance(request, ASGIRequest):
        running.stopping = request.scope.get(STOPPING)
    response = StreamingHttpResponse(_EventStream(running), content_type="text/event-stream")
    response["Cache-Control"] = "no-store"
    response["X-Accel-Buffering"] = "no"  # nginx would collect the events.
    return response


@router.delete("", response={204: None}, operation_id="cancel_discovery", summary="Cancel discovery")
def cancel_discovery(request: HttpRequest) -> Status[None]:
    """Ends the search that runs on this server, also one of another user. Needs the permission to add cameras."""
    actions.cancel_search(principal(request))
    return Status(204, None)


class _EventStream:
    """Django iterates over it, and calls `close` even if it never did."""

    def __init__(self, running: actions.RunningSearch) -> None:
        self._running = running

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for event in self._running:
            kind = event.pop("event")
            yield f"event: {kind}\ndata: {json.dumps(event)}\n\n".encode()

    def close(self) -> None:
        self._running.close()
