"""A synthetic scene that bears frame stamps, as a clip: a street under a moving sky, people, a car and a clock."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import av
import cv2
import numpy as np

from ninjacam.core.packets import CODEC_BY_LABEL, Codec
from ninjacam.core.text import draw_text
from ninjacam.testing import stamp
from ninjacam.testing.clips import Clip, ClipTrack, Unit, read_clip, write_clip

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

VideoName = Literal["h264", "hevc", "mjpeg"]
AudioName = Literal["", "pcm_alaw", "pcm_mulaw", "aac"]

_PEOPLE = (
    (0.10, 1, (60, 60, 190)),
    (0.35, -1, (170, 110, 40)),
    (0.62, 1, (70, 140, 60)),
    (0.85, -1, (150, 70, 130)),
)
"""Place in the loop (0..1), direction, coat (BGR)."""
_HOUSES = ((6, 26, 30, (150, 175, 205)), (38, 20, 40, (165, 160, 180)), (118, 30, 27, (180, 190, 200)))
"""Left edge, width, height in hundredths of the frame's height; wall (BGR)."""


@dataclass(frozen=True, slots=True)
class SceneOptions:
    """`bitrate_bps`: of H.264 and H.265. `audio`: a quiet melody beside the video. `gop`: frames from key to key."""

    width: int = 1280
    height: int = 720
    fps: int = 25
    seconds: float = 10.0
    gop: int = 50
    bframes: int = 0
    codec: VideoName = "h264"
    bitrate_bps: int = 3_000_000
    audio: AudioName = ""
    stamped: bool = True

    @property
    def frames(self) -> int:
        return round(self.seconds * self.fps)


def make_clip(options: SceneOptions | None = None, *, cache_dir: Path | None = None) -> Clip:
    """Encode the scene. It loops without a seam; frame k bears k in its stamp bar.

    `cache_dir`: keep the result there and take it from there the next time.
    """
    options = options or SceneOptions()
    if cache_dir is None:
        return _encode(options)
    digest = sha256(repr(sorted(asdict(options).items())).encode()).hexdigest()[:16]
    path = cache_dir / f"scene-{options.codec}-{options.width}x{options.height}-{digest}.clip"
    if not path.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        write_clip(_encode(options), path)
    return read_clip(path)


def draw_frames(options: SceneOptions) -> "Iterator[Image]":
    """The frames of one loop: uint8, (height, width, 3) BGR, each a new array."""
    scenery = _Scenery(options.width, options.height)
    for number in range(options.frames):
        yield scenery.draw(number / options.frames, number)


class _Scenery:
    """Everything scales with the height of the frame."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.horizon = int(height * 0.55)
        self.background = self._still()
        self.clouds = [self._cloud(seed) for seed in range(3)]

    def _still(self) -> "Image":
        width, height, horizon = self.width, self.height, self.horizon
        image = np.empty((height, width, 3), np.uint8)
        ramp = np.linspace(0, 1, horizon)[:, None]
        image[:horizon] = ((1 - ramp) * (200, 130, 60) + ramp * (225, 215, 190)).astype(np.uint8)[:, None]
        image[horizon:] = (88, 128, 104)
        cv2.circle(
            image, (int(width * 0.8), int(height * 0.25)), height // 14, (190, 235, 255), -1, cv2.LINE_AA
        )
        x = np.arange(width)
        for rise, wave, colour in ((0.12, 2.2, (140, 150, 120)), (0.07, 3.7, (105, 135, 95))):
            edge = horizon - height * rise * (0.6 + 0.4 * np.sin(x / width * math.tau * wave + rise * 40))
            hill = np.vstack([np.column_stack([x, edge]), [[width, horizon], [0, horizon]]]).astype(np.int32)
            cv2.fillPoly(image, [hill], colour, cv2.LINE_AA)
        self._houses(image)
        cv2.rectangle(image, (0, int(height * 0.74)), (width, int(height * 0.92)), (92, 90, 88), -1)
        for left in range(0, width, height // 6):
            cv2.rectangle(
                image,
                (left, int(height * 0.825)),
                (left + height // 12, int(height * 0.835)),
                (200, 205, 205),
                -1,
            )
        grain = np.random.default_rng(7).normal(0, 5, (height - horizon, width, 1))
        image[horizon:] = np.clip(image[horizon:] + grain, 0, 255).astype(np.uint8)
        return image

    def _houses(self, image: "Image") -> None:
        unit = self.height / 100
        for left, wide, tall, wall in _HOUSES:
            x0, x1 = int(left * unit), int((left + wide) * unit)
            y1 = int(self.horizon + 4 * unit)
            y0 = int(y1 - tall * unit)
            cv2.rectangle(image, (x0, y0), (x1, y1), wall, -1)
            roof = np.array(
                [[x0 - unit * 2, y0], [(x0 + x1) / 2, y0 - 10 * unit], [x1 + unit * 2, y0]], np.int32
            )
            cv2.fillPoly(image, [roof], (60, 70, 130), cv2.LINE_AA)
            for wx in np.arange(x0 + 3 * unit, x1 - 4 * unit, 7 * unit):
                for wy in np.arange(y0 + 4 * unit, y1 - 8 * unit, 9 * unit):
                    corner = (int(wx), int(wy))
                    cv2.rectangle(
                        image, corner, (int(wx + 3.5 * unit), int(wy + 5 * unit)), (120, 100, 70), -1
                    )

    def _cloud(self, seed: int) -> "Image":
        """A soft white shape as an alpha plane, 0..255."""
        rng = np.random.default_rng(seed)
        height, width = int(self.height * 0.16), int(self.height * 0.5)
        plane = np.zeros((height, width), np.uint8)
        for _ in range(9):
            centre = (int(rng.uniform(0.25, 0.75) * width), int(rng.uniform(0.4, 0.62) * height))
            axes = (int(width * rng.uniform(0.08, 0.17)), int(height * rng.uniform(0.15, 0.3)))
            cv2.ellipse(plane, centre, axes, 0, 0, 360, 230, -1)
        blurred = cv2.GaussianBlur(plane, (0, 0), self.height / 90)
        return cast("Image", blurred)

    def draw(self, phase: float, number: int) -> "Image":
        """`phase`: 0..1 of the loop."""
        image = self.background.copy()
        for index, cloud in enumerate(self.clouds):
            self._draw_cloud(image, cloud, (phase + index / 3) % 1, 0.1 + 0.11 * index)
        self._draw_car(image, (phase * 2) % 1)
        for place, direction, coat in _PEOPLE:
            self._draw_person(image, (place + direction * phase) % 1, direction, coat, phase)
        self._draw_clock(image, phase, number)
        return image

    def _draw_cloud(self, image: "Image", cloud: "Image", across: float, top: float) -> None:
        height, width = cloud.shape
        left = int(across * (self.width + width)) - width
        x0, x1, y0 = max(left, 0), min(left + width, self.width), int(top * self.height)
        if x1 <= x0:
            return
        alpha = cloud[:, x0 - left : x1 - left, None].astype(np.uint16)
        area = image[y0 : y0 + height, x0:x1]
        area[:] = ((area * (255 - alpha) + 250 * alpha) >> 8).astype(np.uint8)

    def _draw_car(self, image: "Image", across: float) -> None:
        unit = self.height / 100
        x, y = across * (self.width + 60 * unit) - 45 * unit, 84 * unit

        def box(x0: float, y0: float, x1: float, y1: float, colour: tuple[int, int, int]) -> None:
            corners = (int(x + x0 * unit), int(y + y0 * unit)), (int(x + x1 * unit), int(y + y1 * unit))
            cv2.rectangle(image, corners[0], corners[1], colour, -1)

        box(0, -7, 34, 2, (45, 45, 185))
        box(7, -14, 26, -7, (40, 40, 160))
        box(9, -12.5, 16, -7.5, (210, 190, 160))
        box(17.5, -12.5, 24.5, -7.5, (210, 190, 160))
        box(32.5, -4, 34.5, -1, (190, 250, 255))
        for wheel in (7.5, 26.5):
            centre = (int(x + wheel * unit), int(y + 2 * unit))
            cv2.circle(image, centre, int(3.6 * unit), (30, 30, 30), -1, cv2.LINE_AA)
            cv2.circle(image, centre, int(1.6 * unit), (170, 170, 170), -1, cv2.LINE_AA)

    def _draw_person(
        self, image: "Image", across: float, direction: int, coat: tuple[int, int, int], phase: float
    ) -> None:
        unit = self.height / 100
        x, feet = across * (self.width + 20 * unit) - 10 * unit, (73 if direction > 0 else 99) * unit
        swing = math.sin(phase * math.tau * 12 + coat[0]) * 2.6
        hip = (int(x), int(feet - 8.5 * unit))
        for side in (1, -1):
            foot = (int(x + side * swing * unit), int(feet))
            cv2.line(image, hip, foot, (60, 50, 45), max(1, int(1.9 * unit)), cv2.LINE_AA)
        belly, axes = (int(x), int(feet - 12.5 * unit)), (int(3 * unit), int(5.6 * unit))
        cv2.ellipse(image, belly, axes, 0, 0, 360, coat, -1, cv2.LINE_AA)
        cv2.circle(
            image, (int(x), int(feet - 20.3 * unit)), int(2.3 * unit), (150, 180, 220), -1, cv2.LINE_AA
        )

    def _draw_clock(self, image: "Image", phase: float, number: int) -> None:
        """A hand that goes round once in a loop, and the number of the frame."""
        unit = self.height / 100
        x, y, radius = self.width - 15 * unit, 19 * unit, 9 * unit

        def hand(turn: float, start: float, end: float, colour: tuple[int, int, int], wide: float) -> None:
            sin, cos = radius * math.sin(turn * math.tau), radius * math.cos(turn * math.tau)
            ends = (int(x + start * sin), int(y - start * cos)), (int(x + end * sin), int(y - end * cos))
            cv2.line(image, ends[0], ends[1], colour, max(1, int(wide * unit)), cv2.LINE_AA)

        cv2.circle(image, (int(x), int(y)), int(radius), (245, 245, 245), -1, cv2.LINE_AA)
        cv2.circle(image, (int(x), int(y)), int(radius), (70, 70, 70), max(1, int(unit * 0.7)), cv2.LINE_AA)
        for tick in range(12):
            hand(tick / 12, 0.8, 0.9, (70, 70, 70), 0.4)
        hand(phase, 0, 0.75, (40, 40, 200), 0.9)
        place = (int(x - 6.2 * unit), int(34 * unit))
        size_px = self.height / 24
        draw_text(image, f"{number:04d}", place, size_px=size_px, color=(60, 50, 40), outline=None)


def _encode(options: SceneOptions) -> Clip:
    units = _encode_jpegs(options) if options.codec == "mjpeg" else _encode_video(options)
    video = ClipTrack(CODEC_BY_LABEL[options.codec], units, width_px=options.width, height_px=options.height)
    audio = (_encode_audio(options),) if options.audio else ()
    return Clip((video, *audio), options.frames / options.fps)


def _encode_jpegs(options: SceneOptions) -> tuple[Unit, ...]:
    units = []
    for number, image in enumerate(draw_frames(options)):
        if options.stamped:
            stamp.draw(image, number)
        _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 80])
        units.append(Unit(number / options.fps, number / options.fps, data.tobytes(), key=True))
    return tuple(units)


def _encode_video(options: SceneOptions) -> tuple[Unit, ...]:
    name = "libx264" if options.codec == "h264" else "libx265"
    context = cast("av.VideoCodecContext", av.CodecContext.create(name, "w"))
    context.width, context.height, context.pix_fmt = options.width, options.height, "yuv420p"
    context.time_base = Fraction(1, options.fps)
    context.framerate = Fraction(options.fps)
    context.bit_rate = options.bitrate_bps
    context.gop_size, context.max_b_frames, context.thread_count = options.gop, options.bframes, 2
    context.options = _encoder_options(options)
    noise = np.random.default_rng(3).integers(0, 5, (options.height * 2, options.width), np.uint8)
    packets: list[av.Packet[av.VideoStream]] = []
    for number, image in enumerate(draw_frames(options)):
        if options.stamped:
            stamp.draw(image, number)
        planes = cast("Image", cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420))
        luma = planes[: options.height]
        shift = (number * 37) % options.height  # a sensor's noise, so that the bitrate is a camera's
        cv2.add(luma, noise[shift : shift + options.height], dst=luma)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        packets += context.encode(frame)
    packets += context.encode(None)
    packets.sort(key=lambda packet: packet.dts or 0)
    return tuple(
        Unit(sent / options.fps, (packet.pts or 0) / options.fps, bytes(packet), packet.is_keyframe)
        for sent, packet in enumerate(packets)
    )


def _encoder_options(options: SceneOptions) -> dict[str, str]:
    rate = options.bitrate_bps // 1000
    shape = {"keyint": options.gop, "min-keyint": options.gop, "scenecut": 0, "bframes": options.bframes,
             "vbv-maxrate": rate, "vbv-bufsize": rate, "repeat-headers": 1}  # fmt: skip
    if options.codec == "hevc":
        text = ":".join(f"{key}={value}" for key, value in {**shape, "log-level": "none"}.items())
        return {"preset": "ultrafast", "x265-params": text}
    text = ":".join(f"{key}={value}" for key, value in {**shape, "nal-hrd": "vbr"}.items())
    return {"preset": "superfast", "profile": "high", "x264-params": text}


def _encode_audio(options: SceneOptions) -> ClipTrack:
    """A soft pentatonic tune, one note a quarter of a second, that loops with the video; 8 kHz (AAC: 16 kHz), mono."""
    codec = CODEC_BY_LABEL[options.audio]
    rate = 16_000 if codec is Codec.AAC else 8_000
    context = cast("av.AudioCodecContext", av.CodecContext.create(options.audio, "w"))
    context.sample_rate, context.layout, context.time_base = rate, "mono", Fraction(1, rate)
    context.format = "fltp" if codec is Codec.AAC else "s16"
    size = 1024 if codec is Codec.AAC else 160
    seconds = np.arange(round(options.seconds * rate)) / rate
    notes = np.array([220.0, 261.6, 293.7, 329.6, 392.0, 329.6, 293.7, 261.6])[(seconds * 4).astype(int) % 8]
    wave = 0.15 * np.sin(math.tau * np.cumsum(notes) / rate) * np.exp(-4 * (seconds * 4 % 1))
    samples = wave.astype(np.float32) if codec is Codec.AAC else (wave * 32767).astype(np.int16)
    packets: list[av.Packet[av.AudioStream]] = []
    for start in range(0, len(samples) - size + 1, size):
        frame = av.AudioFrame.from_ndarray(
            samples[None, start : start + size], format=context.format.name, layout="mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
        packets += context.encode(frame)
    packets += context.encode(None)
    units = tuple(
        Unit(number * size / rate, number * size / rate, bytes(packet), key=True)
        for number, packet in enumerate(packets)
        if number * size / rate < options.seconds
    )
    return ClipTrack(codec, units, rate_hz=rate, config=bytes(context.extradata or b""))
