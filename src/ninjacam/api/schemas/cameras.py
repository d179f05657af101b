"""Cameras: settings, health and source; and the test of a camera."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, SecretStr

from ninjacam.api.schemas.fields import Name, RoleName, Slug, example, input_example
from ninjacam.api.schemas.pages import PageOut
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.api.schemas.streams import STREAM, NamedStreamIn, StreamOut, Url, Username
from ninjacam.core.streams import MAX_NAME_CHARS, MAX_STREAMS, NAME
from ninjacam.routes import ROUTES

Record = Literal["off", "always", "events", "schedule"]
BeforeS = Annotated[
    int, Field(ge=0, le=60, description="Seconds recorded before an event, if `record` is `events`.")
]
AfterS = Annotated[
    int, Field(ge=0, le=600, description="Seconds recorded after an event, if `record` is `events`.")
]
Schedule = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]*$",
        description="When to record, if `record` is `schedule`, in this server's time zone: "
        "`mon-fri 07:00-19:00; sat,sun 22:00-06:00`.",
    ),
]
OnvifUrl = Annotated[
    str,
    Field(
        max_length=500,
        pattern=r"^[^\x00-\x20\x7f]*$",
        description="Where the camera takes commands: `http://192.168.1.20/onvif/device_service`, without a login; "
        "`auto`: the usual ports of the camera's host; `axis+http://…`, `dahua+http://…`: a camera without ONVIF; "
        "empty: nowhere. The camera's login is used if it is the same host.",
    ),
]
State = Literal["connecting", "live", "stalled", "reconnecting", "asleep", "failed", "disabled", "unknown"]
Transport = Literal["tcp", "udp", "multicast"]
ReadyMade = Annotated[
    list[Annotated[str, Field(max_length=50)]],
    Field(max_length=50, description="The ready-made processors that the camera uses, by name."),
]
GuestView = Annotated[
    str,
    Field(
        max_length=50,
        pattern=r"^([a-z][a-z0-9_-]{0,49})?$",
        description="Name of a processor whose view replaces the camera's own video for users who may only view it; "
        "empty: none. While the view is not available, they see no video.",
    ),
]
Sleeps = Annotated[
    bool,
    Field(
        description="A battery camera: it is connected only while it is watched or recorded. While it does not answer, "
        "its `state` is `asleep` and `error` is null."
    ),
]
RoleStream = Annotated[
    str,
    Field(
        max_length=MAX_NAME_CHARS,
        pattern=rf"^({NAME})?$",
        description="Name of the camera's stream for this role; empty to choose one by its width.",
    ),
]


class Notice(Schema):
    """Something unusual about a camera that runs nevertheless."""

    code: str = Field(
        description="`waiting_for_key_frame`, `no_frames`, `no_media`, `gop_not_kept`, `clock_rate` or `asleep`. Later "
        "versions may add codes."
    )
    message: str


class FindingOut(Schema):
    """Something unusual about a camera, and what to do about it."""

    code: str = Field(
        description="`packet_loss`, `jitter`, `frame_rate`, `key_frame_interval`, `clock_offset`, `less_data`, "
        "`more_data`, `black`, `covered` or `frozen`. Later versions may add codes."
    )
    label: str = Field(description="One to three words for lists.")
    level: Literal["info", "warning", "problem"]
    message: str
    advice: str
    since: datetime


class Health(Schema):
    """Current figures; empty if the camera is not running."""

    codec: str = ""
    width_px: int = 0
    height_px: int = 0
    fps: float = 0
    declared_fps: float = Field(0, description="Frames per second that the camera declares; 0: not declared.")
    bitrate_bps: int = 0
    audio_codec: str = ""
    last_video_at: datetime | None = None
    connected_since: datetime | None = None
    packets_lost: int = 0
    packet_loss: float | None = Field(
        None, description="Lost share of the packets of the last minute, 0 to 1; null: not known yet."
    )
    jitter_s: float | None = Field(
        None,
        description="Interarrival jitter of the frames in seconds (RFC 3550); null while no viewer is connected.",
    )
    clock_offset_s: float | None = Field(
        None,
        description="Seconds by which the camera's clock is ahead of the server's; null: the camera does not report "
        "its time of day.",
    )
    packets_ignored: int = Field(
        0, description="Number of packets of another format or source than the stream's."
    )
    sequence_restarts: int = Field(
        0, description="Number of times the camera restarted its packet numbering."
    )
    frames_dropped: int = Field(0, description="Number of incomplete or malformed frames.")
    frames_skipped: int = Field(
        0, description="Number of frames before the first key frame of this connection."
    )
    key_frame_interval_s: float = Field(
        0,
        description="Seconds between the last two key frames, or since the last one if that is longer; 0: unknown.",
    )
    clock_rate: float | None = Field(
        None,
        description="Camera seconds per second, if the camera's clock is too fast or slow to be used.",
    )
    findings: list[FindingOut] = Field(
        [], description="Unusual figures, the most serious first, each with advice."
    )
    notices: list[Notice] = Field([], description="Unusual conditions, in sentences.")
    reconnects: int = 0
    subscribers: int = Field(
        0, description="Number of readers of the local stream: web workers, vision, recorder."
    )


class TalkOut(Schema):
    """Whether the camera takes audio for a loudspeaker, as its answers have shown."""

    state: Literal["unknown", "yes", "no"] = Field(
        description="`unknown` until somebody talks to the camera."
    )
    reason: str = Field(description="A sentence if `state` is `no`, else empty.")


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
    "talk": {"state": "unknown", "reason": ""},
    "roles": ["view", "configure"],
    "urls": {
        "mjpeg": "/live/door/mjpeg",
        "snapshot": "/live/door/snapshot.jpg",
        "ws": "/live/ws",
    },
    "record_stream": "",
    "live_stream": "",
    "detect_stream": "",
    "processors": ["motion"],
    "guest_view": "",
    "thumbnail_stream": "",
    "streams": [STREAM],
    "source": {
        "url": "rtsp://192.168.1.20/stream1",
        "has_credentials": True,
        "transport": "tcp",
        "audio": True,
        "verify_tls": True,
        "onvif_url": "auto",
        "sleeps": False,
    },
    "created_at": "2026-11-22T08:00:00Z",
    "updated_at": "2026-11-22T08:00:00Z",
}


class SourceOut(Schema):
    """The source without user and password, which are never returned; secrets in the query are masked as `***`."""

    url: str
    has_credentials: bool
    transport: Transport
    audio: bool
    verify_tls: bool
    onvif_url: str
    sleeps: Sleeps


class CameraOut(Schema):
    """`roles`: your roles for the camera. `source`: null unless you may configure the camera."""

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
    talk: TalkOut
    roles: list[RoleName]
    urls: dict[str, str] = Field(
        description="Paths on this server, for a session or a token: "
        + ", ".join(f"`{route.kind}`" for route in ROUTES if route.is_camera_url)
        + ". For signed links, use `POST /links`."
    )
    record_stream: str
    live_stream: str
    detect_stream: str
    processors: list[str]
    guest_view: str | None = Field(
        description="View that replaces the camera's own video for users who may only view; empty: none. null unless "
        "you may configure the camera."
    )
    thumbnail_stream: str
    streams: list[StreamOut] = Field(description="`main` first, then the others by name.")
    source: SourceOut | None
    created_at: datetime
    updated_at: datetime


class CameraPage(PageOut[CameraOut]):
    model_config = example(items=[_CAMERA], next=None)


class SourceFieldsIn(Schema):
    """User and password in the URL are removed from it and encrypted, like `username` and `password`."""

    url: Url
    username: Username = Field(default_factory=str, description="Empty to remove. Never returned.")
    password: SecretStr = Field(
        default_factory=lambda: SecretStr(""),
        max_length=200,
        description="Empty to remove. Never returned.",
    )
    transport: Transport = "tcp"
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
    onvif_url: OnvifUrl = ""
    sleeps: Sleeps = False
    processors: ReadyMade = Field(default_factory=list)
    guest_view: GuestView = ""
    record_stream: RoleStream = ""
    live_stream: RoleStream = ""
    detect_stream: RoleStream = ""
    thumbnail_stream: RoleStream = ""
    streams: list[NamedStreamIn] = Field(
        [], max_length=MAX_STREAMS, description="The camera's streams besides `main`, which is `url`."
    )


class ProbeIn(SourceFieldsIn):
    model_config = input_example(url="rtsp://192.168.1.20/stream1", username="viewer", password="a password")  # noqa: S106


class SourceFieldsPatch(Schema):
    """Fields of a camera's source. A field that is not sent stays unchanged."""

    url: Url = Field(default_factory=str)
    username: Username = Field(default_factory=str)
    password: SecretStr = Field(default_factory=lambda: SecretStr(""), max_length=200)
    transport: Transport = Field(default_factory=lambda: "tcp")
    audio: bool = Field(default_factory=bool)
    verify_tls: bool = Field(default_factory=bool)


class CameraPatch(SourceFieldsPatch):
    """The fields to change. The stored password is used only for the scheme, host, port and `verify_tls` that it was
    entered for; if you change one of these, send the password again."""

    model_config = input_example(name="Front door", enabled=False)

    slug: Slug = Field(default_factory=str)
    name: Name = Field(default_factory=str)
    enabled: bool = Field(default_factory=bool)
    record: Record = Field(default_factory=lambda: "off")
    record_before_s: BeforeS = Field(default_factory=int)
    record_after_s: AfterS = Field(default_factory=int)
    record_schedule: Schedule = Field(default_factory=str)
    onvif_url: OnvifUrl = Field(default_factory=str)
    sleeps: Sleeps = Field(default_factory=bool)
    processors: ReadyMade = Field(default_factory=list)
    guest_view: GuestView = Field(default_factory=str)
    record_stream: RoleStream = Field(default_factory=str)
    live_stream: RoleStream = Field(default_factory=str)
    detect_stream: RoleStream = Field(default_factory=str)
    thumbnail_stream: RoleStream = Field(default_factory=str)


class ProbePatch(SourceFieldsPatch):
    """The changes to test, as in a PATCH of the camera. Nothing is saved."""

    model_config = input_example(url="rtsp://192.168.1.20/stream2")


class ProbeOut(Schema):
    """`ok` is false if the camera cannot be used with these settings; `error` says why, and what to do."""

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
    jpeg_base64: str = Field(
        description="One frame as JPEG, 640 pixels wide, in base64; empty if there is none."
    )
