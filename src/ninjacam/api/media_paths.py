"""The streams and recordings outside /api/v1, described for the OpenAPI document. Not here: what serves them
(`ninjacam.live`, `ninjacam.playback`)."""

from typing import Any

from django.urls import reverse

_VIEW = (
    "view",
    {"type": "string", "maxLength": 100},
    "Name of a processor, or nothing for the camera itself.",
)
_WIDTH = (
    "width",
    {"type": "integer", "minimum": 16, "maximum": 7680},
    "Width in pixels; the height follows.",
)
_QUALITY = ("quality", {"type": "integer", "minimum": 1, "maximum": 100}, "JPEG quality.")
_FPS = ("fps", {"type": "number", "minimum": 0.1, "maximum": 240}, "Maximum frames per second.")
_TIME: dict[str, Any] = {"type": "string", "format": "date-time"}
_START = ("start", _TIME, "First moment, RFC 3339. In a URL, write + as %2B.")
_END = ("end", _TIME, "The moment after the last one.")
_FLAG: dict[str, Any] = {"type": "string", "enum": ["0", "1"]}
_SIG = (
    "sig",
    {"type": "string"},
    "The signature of a link of `POST /links`, instead of a session or a token.",
)

_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}

Parameter = tuple[str, dict[str, Any], str]


def media_paths() -> dict[str, Any]:
    """Return OpenAPI path items, by path below the mount point."""
    mount = reverse("ninjacam:wall")
    live, recorded = f"{mount}live/", f"{mount}rec/{{slug}}/"
    return {
        f"{live}{{slug}}/mjpeg": _get(
            "watch_mjpeg",
            "Watch a camera as MJPEG",
            "An endless multipart response for `<img>` and programs. Each part has `Content-Length`, `X-Timestamp` "
            "(seconds since 1970) and `X-Ninjacam-State`.",
            {"multipart/x-mixed-replace": _BINARY},
            _VIEW,
            _WIDTH,
            _QUALITY,
            _FPS,
        ),
        f"{live}{{slug}}/snapshot.jpg": _get(
            "get_snapshot",
            "Get the current picture",
            "One JPEG.",
            {"image/jpeg": _BINARY},
            _VIEW,
            _WIDTH,
            _QUALITY,
        ),
        f"{live}ws": _get(
            "open_websocket",
            "Open the WebSocket of the player",
            "One connection for any number of cameras and views. The protocol is described in docs/websocket.md.",
            {},
            status="101",
            slug=False,
        ),
        f"{recorded}hls.m3u8": _get(
            "get_playlist",
            "Play recordings by HLS",
            "A playlist of the recorded fragments, at most 24 hours. Without `end` it is an hour long; a playlist that "
            "reaches into the present grows.",
            {"application/vnd.apple.mpegurl": {"schema": {"type": "string"}}},
            (*_START, True),
            _END,
        ),
        f"{recorded}clip.mp4": _get(
            "get_clip",
            "Get a clip",
            "One MP4 of a span of at most an hour, as recorded, with byte ranges. `X-Ninjacam-Start` and "
            "`X-Ninjacam-End` say which pictures it holds. 409 `clip_changes`: codec or size changes within the span.",
            {"video/mp4": _BINARY},
            (*_START, True),
            (*_END, True),
            ("download", _FLAG, "1: as an attachment. Needs the role `export`."),
            ("partial", _FLAG, "1: end the clip where codec or size changes, instead of 409."),
        ),
        f"{recorded}at.jpg": _get(
            "get_recorded_picture",
            "Get the picture of a moment",
            "One JPEG; `X-Ninjacam-Timestamp` says when it was taken.",
            {"image/jpeg": _BINARY},
            ("time", _TIME, "The moment, RFC 3339.", True),
            _WIDTH,
            (
                "nearest",
                {"type": "string", "enum": ["key"]},
                "key: the last key frame before it, which is cheaper.",
            ),
        ),
    }


def _get(
    operation_id: str,
    summary: str,
    description: str,
    content: dict[str, Any],
    *parameters: Parameter | tuple[str, dict[str, Any], str, bool],
    status: str = "200",
    slug: bool = True,
) -> dict[str, Any]:
    path = [{"name": "slug", "in": "path", "required": True, "schema": {"type": "string"}}] if slug else []
    query = [
        {
            "name": name,
            "in": "query",
            "required": bool(required),
            "schema": schema,
            "description": text,
        }
        for name, schema, text, *required in (*parameters, _SIG)
    ]
    return {
        "get": {
            "operationId": operation_id,
            "summary": summary,
            "description": description,
            "tags": ["media"],
            "parameters": [*path, *query],
            "responses": {int(status): {"description": "OK", **({"content": content} if content else {})}},
            "security": [{"BearerAuth": []}, {"SessionAuth": []}],
        }
    }
