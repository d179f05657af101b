"""What goes in and out of the API. Field names carry units; what is left out of a PATCH stays as it is."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AwareDatetime, ConfigDict, Field, SecretStr

Slug = Annotated[
    str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,49}$", description="Short name, as it stands in URLs.")
]
Name = Annotated[str, Field(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$")]
Url = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]+$")]
Username = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
AfterSlug = Annotated[
    str, Field(pattern=r"^[a-z0-9_-]{0,50}$", description="`next` of the page before; empty for the first.")
]
MOST_ID = 2**63 - 1
RowId = Annotated[int, Field(ge=1, le=MOST_ID)]
Limit = Annotated[int, Field(ge=1, le=500, description="Items of a page.")]
Time = Annotated[
    AwareDatetime, Field(ge=datetime(1971, 1, 1, tzinfo=UTC), le=datetime(2200, 1, 1, tzinfo=UTC))
]
"""With an offset, and of the years that have nanoseconds since 1970 in 64 bits."""
Record = Literal["off", "always", "events", "schedule"]
BeforeS = Annotated[
    int, Field(ge=0, le=60, description="Recorded before an event, where `record` is events.")
]
AfterS = Annotated[int, Field(ge=0, le=600, description="Recorded after an event, where `record` is events.")]
Schedule = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$",
        description="When to record, where `record` is schedule, on this server's clock: "
        "`mon-fri 07:00-19:00; sat,sun 22:00-06:00`.",
    ),
]
RoleName = Literal["view", "replay", "export", "control", "configure"]
State = Literal["connecting", "live", "stalled", "reconnecting", "failed", "disabled", "unknown"]


def example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


def input_example(**values: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


class FieldProblem(Schema):
    field: str
    message: str


class Problem(Schema):
    """RFC 9457. `code` is for programs, `detail` is a sentence for people."""

    model_config = example(
        type="about:blank",
        title="Not Found",
        status=404,
        code="not_found",
        detail="There is no camera “dor”.",
    )

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] = Field(default_factory=list)


class ErrorOut(Schema):
    """What keeps a camera or a view from working."""

    model_config = example(
        code="connection_refused", message="The host answers, but not on port 554.", retryable=True
    )

    code: str
    message: str
    retryable: bool = True
    traceback: str = Field("", description="Of a processor, for those who may configure the camera.")


class Notice(Schema):
    """Something odd about a camera that nevertheless runs."""

    code: str = Field(
        description="waiting_for_key_frame, no_pictures, no_media, gop_not_kept or clock_rate; more may come."
    )
    message: str


class Health(Schema):
    """Of the moment; empty where the camera is not running."""

    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    fps: float = 0
    bitrate_bps: int = 0
    audio_codec: str = ""
    last_video_at: datetime | None = None
    connected_since: datetime | None = None
    packets_lost: int = 0
    packets_ignored: int = Field(0, description="Packets of another format or source than the stream's.")
    sequence_restarts: int = Field(0, description="How often the camera began to number its packets anew.")
    pictures_dropped: int = Field(0, description="Pictures that were incomplete or malformed.")
    pictures_skipped: int = Field(0, description="Pictures before the first key frame of this connection.")
    key_frame_interval_s: float = Field(0, description="Between the last two key frames; 0: not known.")
    clock_rate: float | None = Field(
        None,
        description="Camera seconds per second, if the camera's clock runs so fast or slow that it is not used.",
    )
    notices: list[Notice] = Field([], description="What is odd about the camera, in sentences.")
    reconnects: int = 0
    subscribers: int = Field(0, description="Who reads the stream: viewers' workers, vision, recorder.")


class CameraUrls(Schema):
    """Paths on this server, for a session or a token; make signed ones with `/links`."""

    mjpeg: str
    snapshot: str
    websocket: str


_CAMERA = {
    "slug": "door",
    "name": "Front door",
    "enabled": True,
    "record": "events",
    "record_before_s": 5,
    "record_after_s": 10,
    "record_schedule": "",
    "state": "live",
    "error": None,
    "health": {"codec": "h264", "width_px": 1280, "height_px": 720, "fps": 25.0, "bitrate_bps": 3100000},
    "roles": ["view", "configure"],
    "urls": {
        "mjpeg": "/live/door/mjpeg",
        "snapshot": "/live/door/snapshot.jpg",
        "websocket": "/live/ws",
    },
    "source": {
        "url": "rtsp://192.168.1.20/stream1",
        "has_credentials": True,
        "transport": "tcp",
        "audio": True,
        "verify_tls": True,
    },
    "created_at": "2026-11-22T08:00:00Z",
    "updated_at": "2026-11-22T08:00:00Z",
}


class SourceOut(Schema):
    """Without user and password, which are never shown again; secrets in the query are masked as ***."""

    url: str
    has_credentials: bool
    transport: Literal["tcp", "udp"]
    audio: bool
    verify_tls: bool


class CameraOut(Schema):
    """`roles`: what you may do with it. `source`: null unless you may configure it."""

    model_config = example(**_CAMERA)

    slug: str
    name: str
    enabled: bool
    record: Record
    record_before_s: int
    record_after_s: int
    record_schedule: str
    state: State
    error: ErrorOut | None
    health: Health
    roles: list[RoleName]
    urls: CameraUrls
    source: SourceOut | None
    created_at: datetime
    updated_at: datetime


class CameraPage(Schema):
    model_config = example(items=[_CAMERA], next=None)

    items: list[CameraOut]
    next: str | None = Field(description="`after` of the next page; null at the end.")


class SourceFieldsIn(Schema):
    """User info in the URL is divided from it and sealed like `username` and `password`."""

    url: Url
    username: Username = Field(default_factory=str, description="Empty to remove. Never shown again.")
    password: SecretStr = Field(
        default_factory=lambda: SecretStr(""),
        max_length=200,
        description="Empty to remove. Never shown again.",
    )
    transport: Literal["tcp", "udp"] = "tcp"
    audio: bool = True
    verify_tls: bool = Field(True, description="false for cameras with self-signed certificates.")


class CameraIn(SourceFieldsIn):
    model_config = input_example(
        slug="door",
        name="Front door",
        url="rtsp://192.168.1.20/stream1",
        username="viewer",
        password="a password",  # noqa: S106 (an example)
    )

    slug: Slug
    name: Name = ""
    enabled: bool = True
    record: Record = "off"
    record_before_s: BeforeS = 5
    record_after_s: AfterS = 10
    record_schedule: Schedule = ""


class ProbeIn(SourceFieldsIn):
    model_config = input_example(url="rtsp://192.168.1.20/stream1", username="viewer", password="a password")  # noqa: S106


class CameraPatch(Schema):
    """What is left out stays. The stored password stays in use only while the URL's scheme, host and port and
    `verify_tls` are what it was entered for; otherwise send it again."""

    model_config = input_example(name="Front door", enabled=False)

    slug: Slug = Field(default_factory=str)
    name: Name = Field(default_factory=str)
    enabled: bool = Field(default_factory=bool)
    record: Record = Field(default_factory=lambda: "off")
    record_before_s: BeforeS = Field(default_factory=int)
    record_after_s: AfterS = Field(default_factory=int)
    record_schedule: Schedule = Field(default_factory=str)
    url: Url = Field(default_factory=str)
    username: Username = Field(default_factory=str)
    password: SecretStr = Field(default_factory=lambda: SecretStr(""), max_length=200)
    transport: Literal["tcp", "udp"] = Field(default_factory=lambda: "tcp")
    audio: bool = Field(default_factory=bool)
    verify_tls: bool = Field(default_factory=bool)


class ProbePatch(Schema):
    """The changes to try, as in a PATCH of the camera; nothing is saved."""

    model_config = input_example(url="rtsp://192.168.1.20/stream2")

    url: Url = Field(default_factory=str)
    username: Username = Field(default_factory=str)
    password: SecretStr = Field(default_factory=lambda: SecretStr(""), max_length=200)
    transport: Literal["tcp", "udp"] = Field(default_factory=lambda: "tcp")
    audio: bool = Field(default_factory=bool)
    verify_tls: bool = Field(default_factory=bool)


class ProbeOut(Schema):
    """`ok` is false where the camera cannot be used as given; `error` says why, and what to do."""

    model_config = example(
        ok=True,
        error=None,
        codec="h264",
        width_px=1280,
        height_px=720,
        audio_codec="aac",
        jpeg_base64="/9j/4AAQ...",
    )

    ok: bool
    error: ErrorOut | None
    codec: str
    width_px: int
    height_px: int
    audio_codec: str
    jpeg_base64: str = Field(description="One picture, 640 pixels wide; empty where there is none.")


_VIEW = {
    "camera": "door",
    "view": "edges",
    "label": "edges",
    "description": "Canny edges.",
    "state": "running",
    "error": None,
    "ms_per_frame": 4.2,
    "fps": 25.0,
    "failures": 0,
    "last_error": None,
    "last_failed_at": None,
}


class ViewOut(Schema):
    """One picture that a camera offers. `view` is "" for the camera itself, whose label is "raw".

    `error`: what is wrong now. `failures`, `last_error`, `last_failed_at`: calls of its processor that failed since its
    code was loaded, even if it works by now.
    """

    model_config = example(**_VIEW)

    camera: str
    view: str
    label: str
    description: str
    state: Literal["idle", "running", "failed", "unknown"]
    error: ErrorOut | None
    ms_per_frame: float
    fps: float
    failures: int
    last_error: ErrorOut | None
    last_failed_at: datetime | None


class ViewList(Schema):
    model_config = example(items=[_VIEW])

    items: list[ViewOut]


_PROCESSOR = {
    "name": "edges",
    "module": "site.cameras",
    "cameras": ["*"],
    "description": "Canny edges.",
    "record": False,
    "failures": 0,
}


class ProcessorOut(Schema):
    """A function that makes views. `cameras`: patterns of slugs if you may configure all cameras, otherwise the slugs
    of those cameras with it that you may see. `record`: its annotations are recorded. `failures`: calls that failed for
    the cameras that you may see, since its code was loaded."""

    model_config = example(**_PROCESSOR)

    name: str
    module: str
    cameras: list[str]
    description: str
    record: bool
    failures: int


class ModuleError(Schema):
    """A module of processors that cannot be imported; its last good version goes on."""

    module: str
    traceback: str


class ProcessorList(Schema):
    """`errors`: for those who may configure all cameras."""

    model_config = example(items=[_PROCESSOR], errors=[])

    items: list[ProcessorOut]
    errors: list[ModuleError]


class MeOut(Schema):
    model_config = example(
        username="ada", source="session", scopes=None, is_superuser=False, may_add_cameras=True
    )

    username: str
    source: Literal["session", "token", "signed"]
    scopes: list[str] | None = Field(
        description="Of the token; null for a session, which has no limits of its own."
    )
    is_superuser: bool
    may_add_cameras: bool


_TOKEN = {
    "id": 7,
    "name": "wall display",
    "prefix": "4f1c0a9b2d",
    "scopes": ["view"],
    "created_at": "2026-11-22T08:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}


class TokenOut(Schema):
    model_config = example(**_TOKEN)

    id: int
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class TokenPage(Schema):
    model_config = example(items=[_TOKEN], next=None)

    items: list[TokenOut]
    next: int | None


class TokensRevoked(Schema):
    """How many tokens were usable until now."""

    model_config = example(revoked=2)

    revoked: int


class TokenCreated(TokenOut):
    """`token` is shown this once."""

    model_config = example(**_TOKEN, token="nc_4f1c0a9b2d_...")  # noqa: S106 (an example)

    token: str


class TokenIn(Schema):
    """`scopes`: `*`; `view`, `replay`, `export`, `control`, `configure`, each also for one camera, as `view:door`;
    `metrics`."""

    model_config = input_example(name="wall display", scopes=["view"], expires_at="2027-11-22T08:00:00Z")

    name: Annotated[Name, Field(min_length=1)]
    scopes: list[Annotated[str, Field(max_length=100)]] = Field(min_length=1, max_length=100)
    expires_at: Time | None = None


class LinkIn(Schema):
    """A link works for `lifetime_s`, and no longer than your permission, password and token."""

    model_config = input_example(camera="door", kind="snapshot", view="edges", width_px=640, lifetime_s=3600)

    camera: Slug
    kind: Literal["mjpeg", "snapshot", "ws", "hls", "clip", "at"]
    view: str = Field("", max_length=50, pattern=r"^[a-z0-9_-]*$")
    width_px: int | None = Field(None, ge=16, le=7680)
    quality: int | None = Field(None, ge=1, le=100)
    fps: int | None = Field(None, ge=1, le=60)
    start: Time | None = Field(None, description="Of `hls` and `clip`.")
    end: Time | None = Field(None, description="Of `hls` and `clip`.")
    time: Time | None = Field(None, description="Of `at`, a picture of that instant.")
    download: bool = Field(False, description="Of `clip`: to be kept, which needs the role `export`.")
    lifetime_s: int = Field(3600, ge=1, le=7 * 24 * 3600)


class LinkOut(Schema):
    model_config = example(
        url="https://cam.example.org/live/door/snapshot.jpg?view=edges&sig=...",
        expires_at="2026-11-22T09:00:00Z",
    )

    url: str
    expires_at: datetime


_GRANT = {"id": 3, "camera": "door", "role": "view", "user": "ada", "group": None}


class GrantOut(Schema):
    """`user` or `group`: the one or the other."""

    model_config = example(**_GRANT)

    id: int
    camera: str
    role: RoleName
    user: str | None
    group: str | None


class GrantList(Schema):
    model_config = example(items=[_GRANT])

    items: list[GrantOut]


class GrantIn(Schema):
    model_config = input_example(role="view", user="ada")

    role: RoleName
    user: str = Field("", max_length=150, pattern=r"^[^\x00-\x1f\x7f]*$")
    group: str = Field("", max_length=150, pattern=r"^[^\x00-\x1f\x7f]*$")
