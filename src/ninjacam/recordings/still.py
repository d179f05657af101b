"""`python -m ninjacam.recordings.still`: decode frames from recorded files.

A separate process, because a decoder in C reads camera data. Reads lines of `StillPlace.as_dict()` as JSON from
standard input, with "width_px" (0: as recorded) and "box" (null, or the edges of an object in fractions of the image);
responds to each with a line {"at_ns", "size_bytes", "colors", "crop_bytes"}, the JPEG, with size 0 if there is none,
and the JPEG of the object with a margin, with size 0 if there is no box. "colors" are those of the object.
"""

import contextlib
import json
import sys
from io import BytesIO
from typing import Any, NamedTuple

import av
import cv2

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.colors import Color
from ninjacam.core.errors import DecodeError
from ninjacam.core.event_calls import CROP_MARGIN, box_in_pixels
from ninjacam.core.limits import confine, keep_files_private
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.recordings.frame_lookup import StillPlace
from ninjacam.recordings.object_colors import find_colors

MEMORY_BYTES = 4 << 30
QUALITY = 85


Box = tuple[float, float, float, float]


class Still(NamedTuple):
    """A decoded frame. `colors`, `crop`: of the object in the box; `crop`: a JPEG, empty without a box."""

    at_ns: int
    jpeg: bytes
    colors: list[Color]
    crop: bytes


def decode_still(place: StillPlace, *, width_px: int = 0, box: Box | None = None) -> Still:
    """Return the last frame not after `at_ns`.

    `box`: left, top, right, bottom in fractions of the image; None: no object. Raises: DecodeError.
    """
    with open(place.path, "rb") as file:
        data = file.read(place.init_bytes)
        file.seek(place.offset)
        data += file.read(place.size_bytes)
    try:
        frame, at_ns = _pick(data, place)
        width = min(width_px or frame.width, frame.width) & ~1
        height = max(2, frame.height * width // frame.width)
        image = frame.to_ndarray(format="bgr24", width=width, height=height)
    except av.FFmpegError as exc:
        raise DecodeError("The frame cannot be decoded.") from exc
    if not box:
        return Still(at_ns, _encode(image), [], b"")
    left, top, right, bottom = box_in_pixels(box, width, height, CROP_MARGIN)
    crop = _encode(image[top:bottom, left:right])
    return Still(at_ns, _encode(image), find_colors(image, box), crop)


def _encode(image: Any) -> bytes:
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])


def _pick(data: bytes, place: StillPlace) -> tuple[av.VideoFrame, int]:
    with av.open(BytesIO(data), "r", format="mp4") as container:
        stream = container.streams.video[0]
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        packets = [packet for packet in container.demux(stream) if packet.size and packet.pts is not None]
        zero_pts = _first_pts(packets, place.dts)
        limit_pts = zero_pts + (place.at_ns - place.start_ns) * VIDEO_CLOCK_HZ // 1_000_000_000
        best, best_pts = _decode_until(stream.codec_context, packets, limit_pts)
    return best, place.start_ns + (best_pts - zero_pts) * 1_000_000_000 // VIDEO_CLOCK_HZ


def _first_pts(packets: list[Any], dts: int) -> int:
    """Return the presentation time of the first packet that is decoded at `dts` or later. Raises: DecodeError: there
    is none."""
    for packet in packets:
        if packet.dts is not None and packet.dts >= dts:
            return int(packet.pts)
    raise DecodeError("The frame cannot be found.")


def _decode_until(context: Any, packets: list[Any], limit_pts: int) -> tuple[av.VideoFrame, int]:
    """Return the last frame displayed at or before `limit_pts`, or else the first; and its time.

    Raises: DecodeError: there is none; av.FFmpegError.
    """
    best: tuple[av.VideoFrame, int] | None = None
    for packet in (*packets, None):
        for frame in context.decode(packet):
            if frame.pts is not None and (best is None or frame.pts <= limit_pts):
                best = (frame, frame.pts)
        if best is not None and best[1] >= limit_pts:
            break
    if best is None:
        raise DecodeError("There is no frame.")
    return best


def main() -> None:
    keep_files_private()
    confine(memory_bytes=MEMORY_BYTES)
    out = sys.stdout.buffer
    for line in sys.stdin:
        values = json.loads(line)
        width_px = int(values.pop("width_px", 0))
        box = values.pop("box", None)
        still = Still(0, b"", [], b"")
        with contextlib.suppress(DecodeError, OSError):
            still = decode_still(StillPlace(**values), width_px=width_px, box=box)
        head = {
            "at_ns": still.at_ns,
            "size_bytes": len(still.jpeg),
            "colors": still.colors,
            "crop_bytes": len(still.crop),
        }
        out.write(json.dumps(head).encode() + b"\n" + still.jpeg + still.crop)
        out.flush()


if __name__ == "__main__":
    main()
