"""Streams of cameras."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field, SecretStr

from ninjacam.api.schemas.fields import example, input_example
from ninjacam.api.schemas.pages import PageOut, PageQuery
from ninjacam.api.schemas.problems import ErrorOut
from ninjacam.core.streams import NAME

Url = Annotated[str, Field(min_length=1, max_length=500, pattern=r"^[^\x00-\x20\x7f]+$")]
Username = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
StreamState = Literal[
    "idle", "connecting", "live", "stalled", "reconnecting", "asleep", "failed", "disabled", "unknown"
]
STREAM = {
    "camera": "door",
    "name": "sub",
    "state": "idle",
    "error": None,
    "url": "rtsp://192.168.1.20/stream2",
    "has_credentials": False,
    "codec": "h264",
    "width_px": 640,
    "height_px": 360,
    "fps": 15.0,
    "bitrate_bps": 400000,
    "seen_at": "2026-11-22T08:00:00Z",
    "subscribers": 0,
}


class StreamOut(Schema):
    """One stream of a camera. Its format is as it was last seen, because a stream besides `main` is only connected
    while it is used: otherwise it is `idle`."""

    model_config = example(**STREAM)

    camera: str
    name: str = Field(description="`main`, the camera's own URL, or another name.")
    state: StreamState
    error: ErrorOut | None
    url: str | None = Field(
        description="Without user and password; null unless you may configure the camera."
    )
    has_credentials: bool = Field(description="Whether a user or password is stored for this stream itself.")
    codec: str = Field(description="Empty if the stream was never seen.")
    width_px: int
    height_px: int
    fps: float = Field(description="Frames per second.")
    bitrate_bps: int = Field(description="Bits per second.")
    seen_at: datetime | None = Field(description="Time at which this format was noted.")
    subscribers: int = Field(description="Number of readers of the local stream: web workers, vision.")


class StreamPage(PageOut[StreamOut]):
    model_config = example(items=[STREAM], next=None)


class StreamQuery(PageQuery):
    camera: str = Field("", max_length=50, description="Only streams of this camera.")


class StreamIn(Schema):
    """The address of a stream. A stored login is kept while scheme, host, port and TLS verification stay the same.

    Without a login of its own, a stream uses that of the camera, if it was entered for the same scheme, host and
    port."""

    model_config = input_example(url="rtsp://192.168.1.20/stream2")

    url: Url
    username: Username = Field(default_factory=str, description="Empty to remove. Never returned.")
    password: SecretStr = Field(
        default_factory=lambda: SecretStr(""), max_length=200, description="Empty to remove. Never returned."
    )


class NamedStreamIn(StreamIn):
    model_config = input_example(name="sub", url="rtsp://192.168.1.20/stream2")

    name: Annotated[str, Field(pattern=rf"^{NAME}$")]
