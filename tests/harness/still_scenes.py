"""Images of an empty or motionless scene, and their H.264 encoding."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec, Flags, Kind, Packet
from ninjacam.testing.clips import Clip, ClipTrack, Unit

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Image = NDArray[np.uint8]

FPS = 10


def draw_room(width_px: int, height_px: int, *, brightness: float = 1.0) -> "Image":
    """Return a still scene with edges, in luma: a wall, a door, a window, a lamp."""
    image = np.full((height_px, width_px), 150, np.uint8)
    image[:, : width_px // 2] = np.linspace(90, 150, width_px // 2, dtype=np.uint8)
    cv2.rectangle(image, (width_px // 8, height_px // 4), (width_px // 3, height_px), 60, -1)
    cv2.rectangle(image, (width_px // 2, height_px // 5), (width_px * 4 // 5, height_px // 2), 210, -1)
    for part in (10, 12, 14):
        x = width_px * part // 20
        cv2.line(image, (x, height_px // 5), (x, height_px // 2), 40, max(1, width_px // 200))
    cv2.circle(image, (width_px * 9 // 10, height_px // 6), height_px // 12, 235, -1)
    scaled: Image = np.clip(16 + (image.astype(np.float32) - 16) * brightness, 16, 235).astype(np.uint8)
    return scaled


def add_noise(image: "Image", sigma: float, count: int) -> "Iterator[Image]":
    """Yield the image with sensor noise."""
    chance = np.random.default_rng(5)
    for _ in range(count):
        noisy = image + chance.normal(0, sigma, image.shape)
        yield np.clip(noisy, 16, 235).astype(np.uint8)


def encode(images: "Iterable[Image]", *, bitrate_bps: int, gop: int = 2 * FPS) -> list[Packet]:
    """Encode luma as H.264 with FPS frames per second, received at that rate from second 1 on."""
    packets: list[Packet] = []
    context: av.VideoCodecContext | None = None
    for number, image in enumerate(images):
        height_px, width_px = image.shape
        if context is None:
            created = av.CodecContext.create("libx264", "w")
            assert isinstance(created, av.VideoCodecContext)
            context = created
            context.width, context.height, context.pix_fmt = width_px, height_px, "yuv420p"
            context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
            context.bit_rate, context.gop_size, context.max_b_frames = bitrate_bps, gop, 0
            rate = bitrate_bps // 1000
            own = f"keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1:vbv-maxrate={rate}:vbv-bufsize={rate}"
            context.options = {"preset": "superfast", "tune": "zerolatency", "x264-params": own}
        planes = np.full((height_px * 3 // 2, width_px), 128, np.uint8)
        planes[:height_px] = image
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = number
        for unit in context.encode(frame):
            flags = Flags.KEY | Flags.CONFIG if unit.is_keyframe else Flags.NONE
            packets.append(
                Packet(
                    Kind.VIDEO, Codec.H264, bytes(unit), number * VIDEO_CLOCK_HZ // FPS,
                    10**9 + number * 10**9 // FPS, flags=flags, width_px=width_px, height_px=height_px,
                )
            )  # fmt: skip
    return packets


def encode_clip(images: "Iterable[Image]", *, bitrate_bps: int) -> Clip:
    """Encode luma as `encode` does, for a fake camera."""
    packets = encode(images, bitrate_bps=bitrate_bps)
    units = tuple(
        Unit(number / FPS, number / FPS, packet.data, bool(packet.flags & Flags.KEY))
        for number, packet in enumerate(packets)
    )
    track = ClipTrack(Codec.H264, units, width_px=packets[0].width_px, height_px=packets[0].height_px)
    return Clip((track,), len(units) / FPS)
