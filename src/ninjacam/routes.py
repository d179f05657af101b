"""The table of routes outside `/api/v1`: live streams, recordings, exports, health. One row for each.

Derived from it: Django's URL patterns (`ninjacam.urls`), the requests and handlers of the ASGI application
(`front_door.mount`, `asgi.application`), the required role of a request (`viewers.auth`), signed links
(`actions.links`), a camera's URLs in the API and on its page, and the OpenAPI document (`api.media_paths`). How to
add a row: docs/how-to/add-an-output.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from django.urls import reverse
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from ninjacam.core.streams import MAX_NAME_CHARS

MAX_WIDTH_PX = 7680
MAX_FPS = 240.0
SLUG = r"[a-z0-9][a-z0-9_-]{0,49}"
_CONVERTERS = {
    "slug": SLUG,
    "int": r"[1-9][0-9]{0,17}",
    "uuid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "str": r"[\w:-]{1,300}",
}
"""Stricter than Django's converters of these names."""
_PART = re.compile(r"<(\w+):(\w+)>")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter in the query. `schema`: its JSON Schema. `role`: required if the flag is set."""

    name: str
    schema: Mapping[str, Any]
    description: str
    required: bool = False
    role: str = ""

    def accepts(self, text: str) -> bool:
        """Return whether the schema allows this value, in its URL form."""
        if self.schema["type"] == "string":
            if self.schema.get("format") == "date-time":
                return _is_time(text)
            return len(text) <= self.schema.get("maxLength", 100) and text in self.schema.get("enum", [text])
        try:
            number = int(text) if self.schema["type"] == "integer" else float(text)
        except (ValueError, OverflowError):
            return False
        return bool(self.schema["minimum"] <= number <= self.schema["maximum"])


def _is_time(text: str) -> bool:
    try:
        time = parse_datetime(text)
    except ValueError:
        return False
    return time is not None and time.tzinfo is not None and 1971 <= time.year <= 2200


@dataclass(frozen=True, slots=True)
class Route:
    """One row.

    `name`: of the URL in the namespace "ninjacam": a group, "-", and the kind that links and camera URLs use.
    `pattern`: as for `django.urls.path`, below the mount point, with the converters slug, int, uuid and str. `role`:
    for the camera `slug`; "": the handler checks permissions itself. `handler`: dotted path of a coroutine function
    `(worker, scope, receive, send, target)`. `has_links`: POST /links signs links to it. `label`: for the camera's
    page; "": not shown there. `operation_id`, `summary`, `description`, `content_type`: for the OpenAPI document.
    """

    name: str
    pattern: str
    role: Literal["view", "replay", "export", "control", ""]
    handler: str
    parameters: tuple[Parameter, ...] = ()
    protocol: Literal["http", "websocket"] = "http"
    has_links: bool = False
    label: "str | Promise" = ""
    operation_id: str = ""
    summary: str = ""
    description: str = ""
    content_type: str = ""
    regex: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = _PART.split(self.pattern)
        literals, converters, names = parts[::3], parts[1::3], parts[2::3]
        groups = [f"(?P<{name}>{_CONVERTERS[kind]})" for kind, name in zip(converters, names, strict=True)]
        text = "".join(
            re.escape(literal) + group for literal, group in zip(literals, [*groups, ""], strict=True)
        )
        object.__setattr__(self, "regex", re.compile(text + r"\Z", re.ASCII))

    @property
    def kind(self) -> str:
        return self.name.partition("-")[2] or self.name

    @property
    def is_recorded(self) -> bool:
        """Return whether it serves recordings, which may outlive their camera."""
        return self.role in ("replay", "export")

    @property
    def is_camera_url(self) -> bool:
        """Return whether the camera alone determines its URL."""
        return self.has_links and not any(parameter.required for parameter in self.parameters)

    def takes(self, name: str) -> bool:
        return any(parameter.name == name for parameter in self.parameters)

    def role_for(self, query: Mapping[str, str]) -> str:
        """Return the required role of a request with this query."""
        roles = (
            each.role for each in self.parameters if each.role and query.get(each.name, "") not in ("", "0")
        )
        return next(roles, self.role)

    def path(self, slug: str, **values: object) -> str:
        """Return the path of its URL, including the mount point."""
        if "slug" in self.regex.groupindex:
            values["slug"] = slug
        return reverse(f"ninjacam:{self.name}", kwargs=values)


VIEW = Parameter(
    "view",
    {"type": "string", "maxLength": 100},
    "Name of a processor; empty for the camera's own frames.",
)
WIDTH = Parameter(
    "width",
    {"type": "integer", "minimum": 16, "maximum": MAX_WIDTH_PX},
    "Width in pixels. The height follows from the aspect ratio.",
)
STREAM = Parameter(
    "stream",
    {"type": "string", "maxLength": MAX_NAME_CHARS},
    "Name of one of the camera's streams, such as `main` or `sub`. Without it, `width` chooses the smallest stream "
    "that is wide enough. Views of processors have their own stream.",
)
QUALITY = Parameter("quality", {"type": "integer", "minimum": 1, "maximum": 100}, "JPEG quality.")
FPS = Parameter("fps", {"type": "number", "minimum": 0.1, "maximum": MAX_FPS}, "Maximum frames per second.")
_TIME = {"type": "string", "format": "date-time"}
_FLAG = {"type": "string", "enum": ["0", "1"]}
START = Parameter("start", _TIME, "Start of the span, RFC 3339. In a URL, write + as %2B.", required=True)
END = Parameter("end", _TIME, "End of the span, exclusive.")

ROUTES = (
    Route(
        "live-mjpeg",
        "live/<slug:slug>/mjpeg",
        "view",
        "ninjacam.live.mjpeg.serve_mjpeg",
        (VIEW, STREAM, WIDTH, QUALITY, FPS),
        has_links=True,
        label=_("Live video (MJPEG)"),
        operation_id="watch_mjpeg",
        summary="Watch MJPEG stream",
        description="An endless multipart response for `<img>` elements and programs. Each part has `Content-Length`, "
        "`X-Timestamp` (seconds since 1970) and `X-Ninjacam-State`.",
        content_type="multipart/x-mixed-replace",
    ),
    Route(
        "live-snapshot",
        "live/<slug:slug>/snapshot.jpg",
        "view",
        "ninjacam.live.snapshot.serve_snapshot",
        (VIEW, STREAM, WIDTH, QUALITY),
        has_links=True,
        label=_("Snapshot"),
        operation_id="get_snapshot",
        summary="Get snapshot",
        description="The current frame as JPEG.",
        content_type="image/jpeg",
    ),
    Route(
        "live-ws",
        "live/ws",
        "view",
        "ninjacam.live.websocket.serve_socket",
        protocol="websocket",
        has_links=True,
        operation_id="open_websocket",
        summary="Open WebSocket",
        description="The player's connection for any number of cameras and views. docs/websocket.md describes the "
        "protocol.",
    ),
    Route(
        "live-talk",
        "live/<slug:slug>/talk",
        "control",
        "ninjacam.live.talk.serve_talk",
        protocol="websocket",
        operation_id="open_talk",
        summary="Talk to camera",
        description="A WebSocket that carries audio to the camera's loudspeaker. docs/websocket.md describes the "
        "messages.",
    ),
    Route(
        "rec-hls",
        "rec/<slug:slug>/hls.m3u8",
        "replay",
        "ninjacam.playback.playback.serve_playlist",
        (START, END),
        has_links=True,
        operation_id="get_playlist",
        summary="Get HLS playlist of recordings",
        description="A playlist of the recorded fragments, at most 24 hours. Without `end` it is one hour long. A "
        "playlist that ends in the future grows.",
        content_type="application/vnd.apple.mpegurl",
    ),
    Route(
        "rec-segment",
        "rec/<slug:slug>/segment/<int:segment_id>.mp4",
        "replay",
        "ninjacam.playback.playback.serve_segment",
        (Parameter("shift", {"type": "string", "maxLength": 40}, "Set by playlists: moves the timestamps."),),
        operation_id="get_segment",
        summary="Get recorded file",
        description="One recorded MP4 file, with byte ranges. Its path is `url` of a recording.",
        content_type="video/mp4",
    ),
    Route(
        "rec-clip",
        "rec/<slug:slug>/clip.mp4",
        "replay",
        "ninjacam.playback.playback.serve_clip",
        (
            START,
            Parameter("end", _TIME, "End of the span, exclusive.", required=True),
            Parameter("download", _FLAG, "1: as an attachment. Needs the role `export`.", role="export"),
            Parameter("partial", _FLAG, "1: end the clip where codec or size changes, instead of 409."),
        ),
        has_links=True,
        operation_id="get_clip",
        summary="Get clip of recordings",
        description="A span of at most one hour as one MP4 file, as recorded, with byte ranges. `X-Ninjacam-Start` and "
        "`X-Ninjacam-End` are the times of its first and last frame. 409 `clip_changes`: codec or size changes within "
        "the span.",
        content_type="video/mp4",
    ),
    Route(
        "rec-at",
        "rec/<slug:slug>/at.jpg",
        "replay",
        "ninjacam.playback.playback.serve_still",
        (
            Parameter("time", _TIME, "Time of the frame, RFC 3339.", required=True),
            WIDTH,
            Parameter(
                "nearest",
                {"type": "string", "enum": ["key"]},
                "`key`: the last key frame before that time, which is faster.",
            ),
        ),
        has_links=True,
        operation_id="get_still",
        summary="Get still",
        description="One recorded frame as JPEG. `X-Ninjacam-Timestamp` is its capture time.",
        content_type="image/jpeg",
    ),
    Route(
        "rec-export",
        "rec/<slug:slug>/export/<uuid:export_id>.mp4",
        "export",
        "ninjacam.playback.exports.serve_export",
        operation_id="get_export_file",
        summary="Get file of export",
        description="The MP4 file of an export that is done, with byte ranges.",
        content_type="video/mp4",
    ),
    Route(
        "publish-socket",
        "publish/<str:link>/ws",
        "",
        "ninjacam.live.publish.serve_publisher",
        protocol="websocket",
    ),
    Route(
        "events-stream",
        "api/v1/events/stream",
        "",
        "ninjacam.live.events.serve_events",
        (
            Parameter(
                "camera",
                {"type": "string", "maxLength": 50},
                "Only events of this camera. Without it: of all cameras that you may replay.",
            ),
            Parameter("kind", {"type": "string", "maxLength": 32}, "Only events of this kind."),
        ),
        operation_id="stream_events",
        summary="Stream events",
        description="Server-sent events `begun`, `changed` and `ended`, whose data is the event. A client that sends "
        "the header `Last-Event-ID`, as browsers do when they reconnect, receives what it has missed; after too long a "
        "time it receives `reset` instead, and should list the events again. Needs the role `replay`. At most 10 "
        "streams per user and worker. docs/webhooks.md describes the messages.",
        content_type="text/event-stream",
    ),
    Route("healthz", "healthz", "", "ninjacam.asgi.health.serve_health"),
    Route("metrics", "metrics", "", "ninjacam.asgi.health.serve_metrics"),
)
ROUTES_BY_NAME = {route.name: route for route in ROUTES}
LINKED_ROUTES = {route.kind: route for route in ROUTES if route.has_links}
"""The routes that links may open, by kind."""
