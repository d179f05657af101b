"""Exports that are drawn anew: decoded, perhaps given to a processor, the clock drawn in, encoded as H.264.

For a process of its own. User code comes in as `Draw`; what a processor is, is not known here.
"""

import contextlib
import logging
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
from av.video.reformatter import VideoReformatter

from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.recordings.clip import PlacedFile, place_files
from ninjacam.recordings.clock_face import ClockFace
from ninjacam.recordings.export import (
    DiskError,
    ExportSpec,
    MadeFile,
    NothingRecordedError,
    OnProgress,
    digest_file,
    writing,
)
from ninjacam.recordings.instant import TOLERANCE_NS
from ninjacam.recordings.reader import AUDIO_TRACK, Fragment
from ninjacam.recordings.shown import NS, Shown, iter_shown

logger = logging.getLogger("ninjacam.recordings")

Draw = Callable[[av.VideoFrame, int, int, float], Any]
"""(decoded frame, wall clock in ns, number from 0, seconds from the start) -> uint8, (h, w, 3) BGR or (h, w)."""
BT601 = 6
"""AVCOL_SPC_SMPTE170M: what cv2.COLOR_BGR2YUV_I420 computes, with limited range (1)."""
KEY_EVERY_S = 2
EARLY = 50
"""By such a part of its step a picture of a timelapse may be early, and counts as in it."""
MOST_THREADS = 4
MOST_EARLY = 500
# Fragments, so that memory does not grow with the length; and their index in front, so that players can seek.
_FLAGS = "+frag_keyframe+empty_moov+default_base_moof+global_sidx"


def export_drawn(spec: ExportSpec, on_progress: OnProgress, draw: Draw | None = None) -> MadeFile:
    """A "burned" or "timelapse" export of `spec.paths`.

    Raises: NothingRecordedError, DiskError, EncodeError, and whatever `draw` raises.
    """
    output = Path(spec.output)
    with writing(output) as file:
        movie = _Movie(output, spec, draw)
        with movie:
            for placed in place_files(map(Path, spec.paths), spec.start_ns, spec.end_ns):
                try:
                    _add_file(movie, placed, spec, on_progress)
                except (av.FFmpegError, OSError) as exc:  # gone or damaged: a gap
                    logger.warning("%s is left out from here on: %s", placed.path.name, exc)
        if not movie.pictures:
            raise NothingRecordedError
        _check_whole(file)
        return digest_file(file)


def _check_whole(file: BinaryIO) -> None:
    """libavformat does not say when the disk is full at its last writes (8.0): what it left is compared with its index.

    Raises: DiskError, EncodeError.
    """
    descriptor = file.fileno()
    size_bytes = os.fstat(descriptor).st_size
    at = media_bytes = indexed_bytes = 0
    while at + 8 <= size_bytes:
        box_bytes, kind = struct.unpack(">I4s", os.pread(descriptor, 8, at))
        if kind in (b"moof", b"mdat"):
            media_bytes += box_bytes
        elif kind == b"sidx" and not indexed_bytes:
            body = os.pread(descriptor, box_bytes, at)
            first = 36 if body[8] else 28  # 14496-12, 8.16.3: its offsets have 64 or 32 bits
            indexed_bytes = sum(row[0] & 0x7FFF_FFFF for row in struct.iter_unpack(">III", body[first + 4 :]))
        at += max(8, box_bytes)
    if at == size_bytes and media_bytes == indexed_bytes:
        return
    try:
        os.posix_fallocate(descriptor, size_bytes, 1 << 20)
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
    raise EncodeError("The export could not be written whole. Try again.")


def _add_file(movie: "_Movie", placed: PlacedFile, spec: ExportSpec, on_progress: OnProgress) -> None:
    pictures = (
        movie.timelapse.pick(placed, spec.start_ns, spec.end_ns)
        if movie.timelapse
        else iter_shown(
            placed, on_open=movie.open_sound, on_sound=lambda packet: movie.add_sound(packet, placed)
        )
    )
    for shown in pictures:
        movie.add(shown)
        on_progress(min(1.0, max(0.0, (shown.captured_ns - spec.start_ns) / (spec.end_ns - spec.start_ns))))


class Timelapse:
    """Which pictures a timelapse has: the first one of each `step_ns` of recorded wall clock. Gaps are closed up."""

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self._origin_ns: int | None = None  # the wall clock of step 0, had there been no gaps
        self._end_ns = 0
        self._last_step = -1

    def pick(self, placed: PlacedFile, start_ns: int, end_ns: int) -> Iterator[Shown]:
        """Those of a file, with the number of their step as `pts`."""
        self._close_gap(placed)
        fragments = self._needed(placed, start_ns, end_ns)
        if fragments is None:
            pictures = iter_shown(placed)
        elif fragments:
            pictures = iter_shown(placed, fragments=fragments, keys_only=True)
        else:
            return
        for shown in pictures:
            if start_ns <= shown.captured_ns < end_ns:
                step = self._step_of(shown.captured_ns)
                if step > self._last_step:
                    self._last_step = step
                    yield replace(shown, pts=step)

    def _close_gap(self, placed: PlacedFile) -> None:
        gap_ns = placed.fragments[0].start_ns - self._end_ns
        if self._origin_ns is not None and gap_ns > TOLERANCE_NS:
            self._origin_ns += gap_ns
        self._end_ns = max(self._end_ns, placed.fragments[-1].end_ns)

    def _step_of(self, at_ns: int) -> int:
        """The first instant that is asked for begins step 0. A picture may be a little early: clocks are not exact."""
        if self._origin_ns is None:
            self._origin_ns = at_ns
        return (at_ns - self._origin_ns + self.step_ns // EARLY) // self.step_ns

    def _needed(self, placed: PlacedFile, start_ns: int, end_ns: int) -> list[Fragment] | None:
        """The fragments whose key frames suffice, maybe none; None: more pictures are due than there are key frames."""
        keys = [each for each in placed.fragments if each.is_key and start_ns <= each.start_ns < end_ns]
        edges_ns = (
            max(start_ns, placed.fragments[0].start_ns),
            *(each.start_ns for each in keys),
            min(end_ns, placed.fragments[-1].end_ns),
        )
        if not keys or any(later - earlier > self.step_ns for earlier, later in pairwise(edges_ns)):
            return None
        by_step = groupby(keys, lambda each: self._step_of(each.start_ns))
        return [next(found) for step, found in by_step if step > self._last_step]


class _Movie:
    """The file that is being made. As a context manager: closed at its end."""

    def __init__(self, output: Path, spec: ExportSpec, draw: Draw | None) -> None:
        self.pictures = 0
        self.timelapse = Timelapse(round(spec.speed * NS / spec.fps)) if spec.kind == "timelapse" else None
        self._spec = spec
        self._output = output
        self._draw = draw
        self._face = ClockFace(spec.zone) if spec.clock else None
        self._reformatter = VideoReformatter()
        self._container: Any = None
        self._video: Any = None
        self._sound: Any = None
        self._sound_config: tuple[Any, ...] = ()
        self._fits = False
        self._template: Any = None
        self._early: list[tuple[Any, int]] = []  # sound that comes before the first picture
        self._last_pts = self._last_sound = -1

    def __enter__(self) -> "_Movie":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._container is None:
            return
        if kind is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            return
        with _translated():
            for packet in self._video.encode(None):
                self._container.mux(packet)
            self._container.close()

    # --- pictures ---

    def add(self, shown: Shown) -> None:
        """Raises: DiskError, EncodeError, and what `draw` raises."""
        planes, width, height, colour = self._planes(shown)
        if self._container is None:
            self._begin(width, height, colour)
        elif (self._video.width, self._video.height) != (width, height):
            planes = _resize(planes, (width, height), (self._video.width, self._video.height))
            width, height = self._video.width, self._video.height
        if self._face is not None:
            self._face.draw(planes, width, height, shown.captured_ns)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._last_pts = max(shown.pts, self._last_pts + 1)
        frame.time_base = self._time_base
        frame.colorspace, frame.color_range = colour
        self.pictures += 1
        with _translated():
            for packet in self._video.encode(frame):
                self._container.mux(packet)

    @property
    def _time_base(self) -> Fraction:
        return Fraction(1, self._spec.fps if self.timelapse else VIDEO_CLOCK_HZ)

    def _planes(self, shown: Shown) -> tuple[Any, int, int, tuple[int, int]]:
        """(I420 that is ours to draw on, width, height, (colour matrix, range))."""
        frame = shown.frame
        if self._draw is None:
            width, height = self._size(frame.width, frame.height)
            made = self._reformatter.reformat(frame, width, height, "yuv420p", threads=1)
            return made.to_ndarray(), width, height, (int(made.colorspace), int(made.color_range))
        image = self._draw(frame, shown.captured_ns, self.pictures, float(shown.pts * self._time_base))
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        width, height = self._size(image.shape[1], image.shape[0])
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), width, height, (BT601, 1)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Even, and no wider than what is asked for."""
        wanted = min(self._spec.width_px or width, width)
        return max(2, wanted & ~1), max(2, round(height * wanted / width) & ~1)

    def _begin(self, width: int, height: int, colour: tuple[int, int]) -> None:
        with _translated():
            self._container = av.open(str(self._output), "w", format="mp4", options={"movflags": _FLAGS})
            fps = self._spec.fps
            stream = self._video = self._container.add_stream(
                "libx264", rate=fps, options={"preset": "veryfast", "crf": "23", "bf": "0"}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context = stream.codec_context
            context.time_base = self._time_base
            context.gop_size = KEY_EVERY_S * fps
            context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
            context.colorspace, context.color_range = colour
            if self._template is not None:
                self._sound = self._container.add_stream_from_template(self._template)
        self._template = None
        early, self._early = self._early, []
        for packet, at in early:
            self._mux_sound(packet, at)

    # --- sound ---

    def open_sound(self, container: Any) -> None:
        """Of the first file, whose sound decides whether there is any; of the others, whether it is the same."""
        streams = [each for each in container.streams.audio if each.codec_context.name == "aac"]
        config = tuple((bytes(each.codec_context.extradata or b""), each.time_base) for each in streams[:1])
        if self._container is None and not self._sound_config:
            self._sound_config = config
            self._template = streams[0] if streams else None
        self._fits = bool(config) and config == self._sound_config

    def add_sound(self, packet: Any, placed: PlacedFile) -> None:
        """Raises: DiskError, EncodeError."""
        if not self._fits or packet.pts is None:
            return
        at = packet.pts + placed.ticks.get(AUDIO_TRACK, 0)
        if self._container is not None:
            self._mux_sound(packet, at)
        elif len(self._early) < MOST_EARLY:
            self._early.append((packet, at))

    def _mux_sound(self, packet: Any, at: int) -> None:
        if self._sound is None or at <= self._last_sound:
            return
        packet.pts = packet.dts = self._last_sound = at
        packet.stream = self._sound
        with _translated():
            self._container.mux(packet)


def _resize(planes: Any, size: tuple[int, int], wanted: tuple[int, int]) -> Any:
    """I420 of another size. The camera's picture changed in the middle."""
    bgr = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    return cv2.cvtColor(cv2.resize(bgr, wanted, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2YUV_I420)


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """What encoder and writer raise, as ours."""
    try:
        yield
    except av.FFmpegError as exc:
        if exc.errno is not None and 0 < exc.errno < 200:
            raise DiskError.of(exc.errno) from exc
        raise EncodeError("The export cannot be encoded.") from exc
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
