"""The device of a camera: what it is, its video profiles and encoders, clock, imaging, outputs."""

from datetime import datetime
from typing import Annotated, Literal

from ninja import Schema
from pydantic import Field

from ninjacam.api.schemas.cameras import Notice, OnvifUrl, SourceFieldsIn, SourceFieldsPatch
from ninjacam.api.schemas.fields import example, input_example
from ninjacam.api.schemas.streams import STREAM, StreamOut

FunctionName = Literal["ptz", "imaging", "events", "outputs"]
_ENCODER = {
    "codec": "H264",
    "width_px": 1920,
    "height_px": 1080,
    "fps": 25.0,
    "bitrate_kbps": 4096,
    "gop_frames": 250,
}
_ADVICE = {
    "code": "key_frames_rare",
    "message": "A key frame every 10 s delays the first picture; set 2 s (50 frames).",
}


class EncoderOut(Schema):
    """Settings of a video encoder; 0: the camera does not report this one."""

    model_config = example(**_ENCODER)

    codec: str = Field(description="`H264`, `H265`, `JPEG` or another name of the camera's.")
    width_px: int
    height_px: int
    fps: float = Field(description="Maximum number of frames per second.")
    bitrate_kbps: int = Field(description="Maximum number of kilobits per second.")
    gop_frames: int = Field(description="Frames from one key frame to the next.")


class VideoProfileOut(Schema):
    """A video profile of the device."""

    token: str
    name: str
    stream: str | None = Field(
        description="Name of the camera's stream with this address. In a probe, also the name under which it would be "
        "added. Null: none."
    )
    url: str | None = Field(
        description="Address of its stream at the device's own host, without a login; null if it cannot be used."
    )
    error: str = Field(description="Why there is no `url`.")
    snapshot_url: str = Field(
        description="Address of a JPEG image at the device's own host, without a login; empty: none."
    )
    encoder: EncoderOut
    advice: list[Notice]


class DeviceRecordingsOut(Schema):
    """The recordings that the camera itself keeps, such as on an SD card. Times are by the camera's clock."""

    count: int = Field(description="Number of recordings; cameras usually keep one for each video source.")
    start: datetime | None = Field(description="Start of the oldest one; null: unknown.")
    end: datetime | None = Field(description="End of the newest one; null: unknown.")


class DeviceOut(Schema):
    """What the device says about itself."""

    model_config = example(
        manufacturer="Example",
        model="Dome 5",
        firmware="1.2.3",
        serial="0001",
        hardware="A1",
        functions=["ptz", "imaging", "events", "outputs"],
        clock_offset_s=0.2,
        profiles=[
            {
                "token": "Profile_1",
                "name": "mainStream",
                "stream": "main",
                "url": "rtsp://192.168.1.20/stream1",
                "error": "",
                "snapshot_url": "http://192.168.1.20/snapshot.jpg",
                "encoder": _ENCODER,
                "advice": [_ADVICE],
            }
        ],
        recordings={"count": 1, "start": "2026-01-01T00:00:00Z", "end": "2026-01-08T12:00:00Z"},
        advice=[],
    )

    manufacturer: str
    model: str
    firmware: str
    serial: str
    hardware: str
    functions: list[FunctionName] = Field(description="The functions that it offers besides video.")
    clock_offset_s: float = Field(
        description="Seconds by which the camera's clock is ahead of this server's, to a second."
    )
    profiles: list[VideoProfileOut] = Field(description="In the device's order; at most 16.")
    recordings: DeviceRecordingsOut | None = Field(
        description="The recordings that the camera itself keeps; null: it does not report any."
    )
    advice: list[Notice] = Field(description="What to change in the device.")


class DeviceProbeIn(SourceFieldsIn):
    model_config = input_example(url="rtsp://192.168.1.20/", username="viewer", password="a password")  # noqa: S106

    onvif_url: OnvifUrl = "auto"


class DeviceProbePatch(SourceFieldsPatch):
    """The changes to test, as in a PATCH of the camera. Nothing is saved."""

    model_config = input_example(onvif_url="auto")

    onvif_url: OnvifUrl = Field(default_factory=str)


class AddedStreams(Schema):
    """The streams that were added; empty if the camera has all of them."""

    model_config = example(streams=[STREAM])

    streams: list[StreamOut]


class RangeOut(Schema):
    min: float
    max: float


class SizeOut(Schema):
    width_px: int
    height_px: int


class EncoderOptionsOut(Schema):
    """What the encoder can be set to, with one codec. Null: the camera does not limit this one."""

    codec: str
    sizes: list[SizeOut]
    fps: list[float] = Field(
        description="The frame rates that the camera offers; empty: any within `fps_range`."
    )
    fps_range: RangeOut | None
    bitrate_kbps: RangeOut | None
    gop_frames: RangeOut | None


class EncoderSettingsOut(Schema):
    model_config = example(
        encoder=_ENCODER,
        options=[
            {
                "codec": "H264",
                "sizes": [{"width_px": 1920, "height_px": 1080}],
                "fps": [15, 25],
                "fps_range": None,
                "bitrate_kbps": {"min": 64, "max": 8192},
                "gop_frames": {"min": 1, "max": 100},
            }
        ],
        advice=[_ADVICE],
    )

    encoder: EncoderOut
    options: list[EncoderOptionsOut]
    advice: list[Notice]


class EncoderPatch(Schema):
    """The settings to change, to values that the camera offers."""

    model_config = input_example(gop_frames=50)

    codec: Annotated[str, Field(max_length=20, pattern=r"^[A-Za-z0-9-]+$")] | None = None
    width_px: Annotated[int, Field(ge=1, le=16_384)] | None = None
    height_px: Annotated[int, Field(ge=1, le=16_384)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None
    bitrate_kbps: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    gop_frames: Annotated[int, Field(ge=1, le=100_000)] | None = None


class ClockOut(Schema):
    model_config = example(offset_s=0.3)

    offset_s: float = Field(description="Seconds by which the camera's clock is ahead now.")


class ImagingLevelOut(Schema):
    """In the camera's own unit. Without a range, it cannot be changed."""

    value: float
    min: float | None
    max: float | None


class ImagingOut(Schema):
    """Imaging settings of the camera's first video source; empty: the camera does not have this one."""

    model_config = example(
        ir_cut_filter="auto",
        ir_cut_filters=["on", "off", "auto"],
        ir_lamp_modes=["on", "off"],
        focus_mode="auto",
        focus_modes=["auto", "manual"],
        can_move_focus=True,
        levels={"brightness": {"value": 50, "min": 0, "max": 100}},
    )

    ir_cut_filter: str = Field(description="`on` by day, `off` by night, or `auto`.")
    ir_cut_filters: list[str] = Field(description="The modes that the camera offers.")
    ir_lamp_modes: list[str] = Field(
        description="The modes of the infrared lamp that the camera offers: `on`, `off`, `auto`; empty: none. "
        "Cameras do not report the present one."
    )
    focus_mode: str = Field(description="`auto` or `manual`.")
    focus_modes: list[str] = Field(description="The modes that the camera offers.")
    can_move_focus: bool
    levels: dict[str, ImagingLevelOut] = Field(
        description="`brightness`, `contrast`, `saturation` and `sharpness`, where the camera has them."
    )


class ImagingPatch(Schema):
    """The settings to change, to values that the camera offers."""

    model_config = input_example(ir_cut_filter="auto")

    ir_cut_filter: Literal["on", "off", "auto"] | None = None
    ir_lamp: Literal["on", "off", "auto"] | None = None
    focus_mode: Literal["auto", "manual"] | None = None
    brightness: float | None = Field(None, ge=-1e6, le=1e6)
    contrast: float | None = Field(None, ge=-1e6, le=1e6)
    saturation: float | None = Field(None, ge=-1e6, le=1e6)
    sharpness: float | None = Field(None, ge=-1e6, le=1e6)


class FocusIn(Schema):
    """Move the focus for a short time. The camera's `focus_mode` should be `manual`."""

    model_config = input_example(speed=-0.5, duration_s=0.3)

    speed: Annotated[float, Field(ge=-1, le=1)] = Field(description="From -1 (near) to 1 (far); not 0.")
    duration_s: Annotated[float, Field(ge=0.05, le=3)] = Field(0.3, description="Seconds.")


class OutputOut(Schema):
    """A relay output. Cameras do not report whether it is active."""

    token: str
    mode: str = Field(
        description="`Bistable`, or `Monostable`: it returns to its idle state by itself after `delay`."
    )
    idle: str = Field(description="`open` or `closed`.")
    delay: str = Field(description="As an xs:duration, such as `PT5S`.")


class OutputsOut(Schema):
    model_config = example(outputs=[{"token": "relay1", "mode": "Bistable", "idle": "open", "delay": ""}])

    outputs: list[OutputOut]


class OutputIn(Schema):
    model_config = input_example(active=True)

    active: bool
