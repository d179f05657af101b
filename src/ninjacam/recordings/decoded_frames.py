"""Decodes recorded files frame by frame, with capture times.

Memory does not grow with the span: files are read as the decoder requires data, and one file is open at a time.
"""

import io
import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.recordings.clip import PlacedFile
from ninjacam.recordings.reader import VIDEO_TRACK, Fragment

logger = logging.getLogger("ninjacam.recordings")

NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A decoded frame. `pts`: 1/90000 s, from the start of the first file. `captured_ns`: wall clock."""

    frame: av.VideoFrame
    pts: int
    captured_ns: int


class FileSpan(io.RawIOBase):
    """The head of a recorded file and some of its fragments, presented to libavformat as a complete file."""

    def __init__(self, descriptor: int, parts: list[tuple[int, int]]) -> None:
        """`parts`: (offset, size in bytes), in order."""
        self._descriptor = descriptor
        self._parts = parts
        self._starts = [0]
        for _, size_bytes in parts:
            self._starts.append(self._starts[-1] + size_bytes)
        self._at = 0

    def read(self, size: int = -1, /) -> bytes:
        end = self._starts[-1]
        if self._at >= end:
            return b""
        number = bisect_right(self._starts, self._at) - 1
        offset, size_bytes = self._parts[number]
        skip = self._at - self._starts[number]
        most = size_bytes - skip if size < 0 else min(size, size_bytes - skip)
        data = os.pread(self._descriptor, most, offset + skip)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def span_of(descriptor: int, placed: PlacedFile, fragments: list[Fragment]) -> FileSpan:
    parts = [(0, placed.recording.init_size_bytes)]
    for each in fragments:
        offset, size_bytes = parts[-1]
        if len(parts) > 1 and offset + size_bytes == each.offset:
            parts[-1] = (offset, size_bytes + each.size_bytes)
        else:
            parts.append((each.offset, each.size_bytes))
    return FileSpan(descriptor, parts)


def iter_frames(
    placed: PlacedFile,
    *,
    fragments: list[Fragment] | None = None,
    keys_only: bool = False,
    on_open: Callable[[Any], None] | None = None,
    on_sound: Callable[[Any], None] | None = None,
) -> Iterator[CapturedFrame]:
    """Yield the frames of `placed`, or of some of its fragments, in display order.

    `keys_only`: only the first frame of each fragment, which must be a key frame; the others are not decoded.
    `on_open`: receives the container. Damaged frames are skipped. Raises: OSError, av.FFmpegError: the file cannot
    be opened.
    """
    chosen = list(placed.fragments if fragments is None else fragments)
    descriptor = os.open(placed.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with av.open(span_of(descriptor, placed, chosen), "r", format="mp4") as container:
            if on_open is not None:
                on_open(container)
            stream = container.streams.video[0]
            context = stream.codec_context
            context.options = {"max_pixels": str(MAX_PIXELS)}
            context.thread_type = "SLICE"
            wanted = [stream, *(container.streams.audio[:1] if on_sound is not None else ())]
            clock = RecordedTimes(chosen)
            move = placed.ticks[VIDEO_TRACK]
            for packet in container.demux(wanted):
                if packet.stream is not stream:
                    if on_sound is not None and packet.size:
                        on_sound(packet)
                elif clock.takes(packet, keys_only=keys_only):
                    for frame, pts in _decode(context, packet):
                        yield CapturedFrame(frame, pts + move, clock.captured_ns(pts))
    finally:
        os.close(descriptor)


def _decode(context: Any, packet: Any) -> list[tuple[av.VideoFrame, int]]:
    """Return the frames that the decoder outputs, each with its time."""
    try:
        return [(frame, frame.pts) for frame in context.decode(packet) if frame.pts is not None]
    except (av.FFmpegError, ValueError) as exc:
        logger.debug("a recorded frame is skipped: %s", exc)
        return []


class RecordedTimes:
    """The capture times of a file's frames, according to the clocks of its fragments."""

    def __init__(self, fragments: list[Fragment]) -> None:
        self._coming = list(reversed(fragments))
        self._known: list[tuple[int, int]] = []  # (pts of a fragment's first frame, its wall clock in ns)

    def takes(self, packet: Any, *, keys_only: bool) -> bool:
        """Store the time of a packet. Return whether to decode it. `keys_only`: only the first packet of each
        fragment."""
        if not packet.size or packet.pts is None or packet.dts is None:
            return True
        begins = self._saw(packet.dts, packet.pts)
        return not keys_only or bool(begins and packet.is_keyframe)

    def _saw(self, dts: int, pts: int) -> bool:
        """Return whether a fragment starts with this packet."""
        begins = False
        while self._coming and dts >= self._coming[-1].dts:
            self._known.append((pts, self._coming.pop().start_ns))
            begins = True
        del self._known[:-8]  # More than a decoder holds back.
        return begins

    def captured_ns(self, pts: int) -> int:
        number = max(0, bisect_right(self._known, (pts, 1 << 63)) - 1)
        first_pts, start_ns = self._known[number]
        return start_ns + (pts - first_pts) * NS // VIDEO_CLOCK_HZ
