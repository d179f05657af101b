"""Compressed video with capture times: from the recordings of a camera, or from any video file.

Memory does not grow with the length: packets are read as the decoder needs them.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.recordings.clip import PlacedFile, place_files
from ninjacam.recordings.decoded_frames import RecordedTimes, span_of
from ninjacam.recordings.reader import VIDEO_TRACK

logger = logging.getLogger("ninjacam.backtest")

NS = 1_000_000_000
FILE_STARTS_NS = 1_767_225_600 * NS
"""Time of capture of the first frame of a file that has none: 2026-01-01 00:00 UTC."""
RAW_FPS = 25
"""Frame rate of files without times of their own (.h264)."""


@dataclass(frozen=True, slots=True)
class VideoPart:
    """A span of a video. `paths`: recordings, in order, or one other file (`is_recorded` False). `starts_ns`: when the
    first frame of that file was captured.

    `width_px`: to which frames are scaled, as if they were of a smaller stream; 0: they are not.
    Frames are decoded from `warm_up_ns` on, and count from `start_ns` up to, not including, `end_ns`. 0: no limit.
    """

    paths: tuple[str, ...]
    is_recorded: bool = False
    starts_ns: int = FILE_STARTS_NS
    warm_up_ns: int = 0
    start_ns: int = 0
    end_ns: int = 0
    width_px: int = 0


@dataclass(frozen=True, slots=True)
class VideoPacket:
    """`context`: decodes it. `captured_ns(pts)`: the time of capture of a frame of this file; None: it has no time.
    `pts_s(pts)`: seconds since the start of the video.
    """

    packet: Any
    context: Any
    captured_ns: Callable[[int | None], int]
    pts_s: Callable[[int | None], float]


def iter_packets(part: VideoPart) -> Iterator[VideoPacket]:
    """Yield the packets in decoding order, from the key frame at or before the beginning.

    Recordings that are missing or damaged are gaps. Raises: DecodeError: the file has no video.
    """
    if part.is_recorded:
        yield from _iter_recorded(part)
    else:
        yield from _iter_file(part)


def find_length_ns(path: Path) -> int:
    """Return the length of a video file; 0: unknown. Raises: DecodeError."""
    with _open(path) as container:
        return int(container.duration or 0) * 1000


def _iter_recorded(part: VideoPart) -> Iterator[VideoPacket]:
    for placed in place_files(map(Path, part.paths), part.warm_up_ns or part.start_ns, part.end_ns):
        try:
            yield from _iter_placed(placed)
        except (av.FFmpegError, OSError) as exc:
            logger.warning("%s is skipped from here on: %s", placed.path.name, exc)


def _iter_placed(placed: PlacedFile) -> Iterator[VideoPacket]:
    """Raises: av.FFmpegError, OSError."""
    fragments = list(placed.fragments)
    moved_pts = placed.ticks[VIDEO_TRACK]
    descriptor = os.open(placed.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with av.open(span_of(descriptor, placed, fragments), "r", format="mp4") as container:
            context = _prepare(container)
            times = RecordedTimes(fragments)
            for packet in container.demux(container.streams.video[0]):
                times.takes(packet, keys_only=False)
                yield VideoPacket(
                    packet,
                    context,
                    lambda pts: times.captured_ns(pts or 0),
                    lambda pts: ((pts or 0) + moved_pts) / VIDEO_CLOCK_HZ,
                )
    finally:
        os.close(descriptor)


class _FileTimes:
    """The capture times of the frames of a file. Frames without a time get the next one of a constant frame rate."""

    def __init__(self, starts_ns: int, first_pts: int, time_base: Fraction) -> None:
        self._starts_ns = starts_ns
        self._first_pts = first_pts
        self._time_base = time_base
        self._count = 0

    def captured_ns(self, pts: int | None) -> int:
        if pts is None:
            self._count += 1
            return self._starts_ns + (self._count - 1) * NS // RAW_FPS
        return self._starts_ns + round((pts - self._first_pts) * self._time_base * NS)

    def pts_s(self, pts: int | None) -> float:
        if pts is None:
            return (self._count - 1) / RAW_FPS
        return float((pts - self._first_pts) * self._time_base)


def _iter_file(part: VideoPart) -> Iterator[VideoPacket]:
    with _open(Path(part.paths[0])) as container:
        stream = container.streams.video[0]
        context = _prepare(container)
        time_base = stream.time_base or Fraction(1, VIDEO_CLOCK_HZ)
        times = _FileTimes(part.starts_ns, stream.start_time or 0, time_base)
        since_ns = (part.warm_up_ns or part.start_ns) - part.starts_ns
        try:
            if since_ns > 0:
                container.seek(
                    int(since_ns / NS / time_base) + (stream.start_time or 0), stream=stream, backward=True
                )
            for packet in container.demux(stream):
                yield VideoPacket(packet, context, times.captured_ns, times.pts_s)
        except av.FFmpegError as exc:
            logger.warning("%s is skipped from here on: %s", part.paths[0], exc)


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    """Open a container. Raises: DecodeError."""
    if not path.is_file():
        raise DecodeError(f"No file “{path.name}”. Check its path.")
    with ExitStack() as stack:
        try:
            # A file object: libavformat then opens neither URLs nor the files that a playlist names.
            file = stack.enter_context(path.open("rb"))
            container = stack.enter_context(av.open(file, "r"))
        except (av.FFmpegError, OSError) as exc:
            raise DecodeError(f"“{path.name}” cannot be read as a video. Convert it to MP4 first.") from exc
        if not container.streams.video:
            raise DecodeError(f"“{path.name}” has no video.")
        yield container


def _prepare(container: Any) -> Any:
    context = container.streams.video[0].codec_context
    context.options = {"max_pixels": str(MAX_PIXELS)}
    context.thread_type = "SLICE"
    return context


def total_length_ns(parts: Sequence[VideoPart]) -> int:
    """Return the sum of the spans that count."""
    return sum(max(0, part.end_ns - part.start_ns) for part in parts)
