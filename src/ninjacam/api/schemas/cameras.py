"""Cameras, their health and source, and the test of one."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, SecretStr

from ninjacam.api.schemas.fields import Name, RoleName, Slug, example, input_example
from ninjacam.api.schemas.problems import ErrorOut

Url = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]+$")]
Username = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
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
State = Literal["connecting", "live", "stalled", "reconnecting", "failed", "disabled", "unknown"]


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
