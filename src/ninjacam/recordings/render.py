"""Re-encodes exports: decodes frames, optionally runs a processor, draws the clock, encodes H.264.

Meant for a separate process. User code is passed as `Draw`; this module does not depend on processors.
"""

import contextlib
import io
import logging
import os
import struct
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, BinaryIO

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ninjacam.core.errors import EncodeError
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.recordings.audio import FRAME_SAMPLES
from ninjacam.recordings.clip import PlacedFile, place_files
from ninjacam.recordings.clock_face import ClockFace
from ninjacam.recordings.decoded_frames import NS, CapturedFrame, iter_frames
from ninjacam.recordings.export import (
    DiskError,
    ExportSpec,
    MadeFile,
    NothingRecordedError,
    OnProgress,
    digest_file,
    writing,
)
from ninjacam.recordings.frame_lookup import TOLERANCE_NS
from ninjacam.recordings.reader import AUDIO_TRACK, Fragment

logger = logging.getLogger("ninjacam.recordings")

Draw = Callable[[av.VideoFrame, int, int, float], Any]
"""(decoded frame, wall clock in ns, number from 0, seconds from the start) -> uint8, (h, w, 3) BGR or (h, w)."""
BT601 = 6
"""AVCOL_SPC_SMPTE170M: the matrix of cv2.COLOR_BGR2YUV_I420, with limited range (1)."""
KEY_EVERY_S = 2
EARLY = 50
"""Reciprocal of the fraction of a step by which a timelapse frame may be early."""
MAX_THREADS = 4
MAX_EARLY = 500
"""Maximum number of audio packets that wait for the first frame: more than 10 s."""
# Fragments, so that memory does not grow with the length, and an index before them, so that players can seek.
MOVIE_FLAGS = "+frag_keyframe+empty_moov+default_base_moof+global_sidx"


def export_drawn(spec: ExportSpec, on_progress: OnProgress, draw: Draw | None = None) -> MadeFile:
    """Make a "burned" or "timelapse" export of `spec.paths`, limited exactly to the span.

    Raises: NothingRecordedError, DiskError, EncodeError, and the exceptions of `draw`.
    """
    output = Path(spec.output)
    with writing(output) as file:
        movie = _Movie(output, spec, draw, _find_sound(spec))
        with movie:
            for placed in place_files(map(Path, spec.paths), spec.start_ns, spec.end_ns):
                try:
                    _add_file(movie, placed, spec, on_progress)
                except (av.FFmpegError, OSError) as exc:  # A missing or damaged file is a gap.
                    logger.warning("%s is skipped from here on: %s", placed.path.name, exc)
        if not movie.frames:
            raise NothingRecordedError
        check_whole(file)
        return digest_file(file)


def check_whole(file: BinaryIO) -> None:
    """Compare the file with its index, because libavformat (8.0) does not report a full disk at its last writes.

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
            first = 36 if body[8] else 28  # 14496-12, 8.16.3: its offsets have 64 or 32 bits.
            indexed_bytes = sum(row[0] & 0x7FFF_FFFF for row in struct.iter_unpack(">III", body[first + 4 :]))
        at += max(8, box_bytes)
    if at == size_bytes and media_bytes == indexed_bytes:
        return
    try:
        os.posix_fallocate(descriptor, size_bytes, 1 << 20)
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
    raise EncodeError("The export could not be written completely. Try again.")


def _add_file(movie: "_Movie", placed: PlacedFile, spec: ExportSpec, on_progress: OnProgress) -> None:
    frames = (
        movie.timelapse.pick(placed, spec.start_ns, spec.end_ns)
        if movie.timelapse
        else _iter_span(placed, spec, movie.sound)
    )
    for captured in frames:
        movie.add(captured)
        on_progress(
            min(1.0, max(0.0, (captured.captured_ns - spec.start_ns) / (spec.end_ns - spec.start_ns)))
        )


def _iter_span(placed: PlacedFile, spec: ExportSpec, sound: "_Sound | None") -> Iterator[CapturedFrame]:
    """Yield the frames of the span, and pass its audio to `sound`. Earlier frames are decoded as references."""

    def on_sound(packet: Any) -> None:
        if sound is not None and packet.pts is not None:
            captured_ns = _captured_ns(placed, packet.pts * packet.time_base)
            if spec.start_ns <= captured_ns < spec.end_ns:
                sound.add(packet, packet.pts + placed.ticks.get(AUDIO_TRACK, 0))

    frames = iter_frames(placed, on_open=sound.open_file, on_sound=on_sound) if sound else iter_frames(placed)
    return (captured for captured in frames if spec.start_ns <= captured.captured_ns < spec.end_ns)


def _captured_ns(placed: PlacedFile, at_s: Fraction) -> int:
    """Return the wall clock at this time of the file."""
    at = round(at_s * VIDEO_CLOCK_HZ)
    number = max(0, bisect_right(placed.fragments, at, key=lambda each: each.dts) - 1)
    fragment = placed.fragments[number]
    return fragment.start_ns + (at - fragment.dts) * NS // VIDEO_CLOCK_HZ


def _find_sound(spec: ExportSpec) -> "_Sound | None":
    """Return an audio track of the format of the first file with audio; None: there is no audio."""
    if spec.kind == "timelapse":
        return None
    for placed in place_files(map(Path, spec.paths), spec.start_ns, spec.end_ns):
        if placed.recording.audio_codec == "aac":
            with contextlib.suppress(av.FFmpegError):
                return _Sound(placed.init)
    return None


class Timelapse:
    """Selects the frames of a timelapse: the first one of each `step_ns` of recorded wall clock. Gaps are removed."""

    def __init__(self, step_ns: int) -> None:
        self.step_ns = step_ns
        self._origin_ns: int | None = None  # The wall clock of step 0, as if there were no gaps.
        self._end_ns = 0
        self._last_step = -1

    def pick(self, placed: PlacedFile, start_ns: int, end_ns: int) -> Iterator[CapturedFrame]:
        """Yield the selected frames of a file, with the number of their step as `pts`."""
        self._close_gap(placed.fragments)
        fragments = self._needed(placed, start_ns, end_ns)
        if fragments is None:
            frames = iter_frames(placed)
        elif fragments:
            frames = iter_frames(placed, fragments=fragments, keys_only=True)
        else:
            return
        for captured in frames:
            if start_ns <= captured.captured_ns < end_ns:
                step = self._step_of(captured.captured_ns)
                if step > self._last_step:
                    self._last_step = step
                    yield replace(captured, pts=step)

    def pick_keys(
        self, fragments: Sequence[Fragment], start_ns: int, end_ns: int
    ) -> Iterator[tuple[Fragment, int]]:
        """Yield the selected key frames of a file, as the fragments that begin with them, and their steps."""
        self._close_gap(fragments)
        for fragment in fragments:
            if fragment.is_key and start_ns <= fragment.start_ns < end_ns:
                step = self._step_of(fragment.start_ns)
                if step > self._last_step:
                    self._last_step = step
                    yield fragment, step

    def _close_gap(self, fragments: Sequence[Fragment]) -> None:
        gap_ns = fragments[0].start_ns - self._end_ns
        if self._origin_ns is not None and gap_ns > TOLERANCE_NS:
            self._origin_ns += gap_ns
        self._end_ns = max(self._end_ns, fragments[-1].end_ns)

    def _step_of(self, at_ns: int) -> int:
        """Return the step of a time. The first requested time begins step 0. A frame may be slightly early, because
        clocks are not exact."""
        if self._origin_ns is None:
            self._origin_ns = at_ns
        return (at_ns - self._origin_ns + self.step_ns // EARLY) // self.step_ns

    def _needed(self, placed: PlacedFile, start_ns: int, end_ns: int) -> list[Fragment] | None:
        """Return the fragments whose key frames suffice, possibly none; None: more frames than key frames are
        required."""
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
    """The output file. As a context manager, it closes the file at the end."""

    def __init__(self, output: Path, spec: ExportSpec, draw: Draw | None, sound: "_Sound | None") -> None:
        self.frames = 0
        self.sound = sound
        self.timelapse = Timelapse(round(spec.speed * NS / spec.fps)) if spec.kind == "timelapse" else None
        self._spec = spec
        self._output = output
        self._draw = draw
        self._face = ClockFace(spec.zone) if spec.clock else None
        self._reformatter = VideoReformatter()
        self._container: Any = None
        self._video: Any = None
        self._first_pts = 0
        self._last_pts = -1

    def __enter__(self) -> "_Movie":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if self._container is None:
            return
        if kind is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._container.close()
            return
        with writing_movie():
            for packet in self._video.encode(None):
                self._container.mux(packet)
            self._container.close()

    # --- frames ---

    def add(self, captured: CapturedFrame) -> None:
        """Add a frame. Raises: DiskError, EncodeError, and the exceptions of `draw`."""
        if self._container is None:
            self._first_pts = captured.pts
        pts = captured.pts - self._first_pts
        planes, width, height, colour = self._planes(captured, pts)
        if self._container is None:
            self._begin(width, height, colour)
        elif (self._video.width, self._video.height) != (width, height):
            planes = _resize(planes, (width, height), (self._video.width, self._video.height))
            width, height = self._video.width, self._video.height
        if self._face is not None:
            self._face.draw(planes, width, height, captured.captured_ns)
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = self._last_pts = max(pts, self._last_pts + 1)
        frame.time_base = self._time_base
        frame.colorspace, frame.color_range = colour
        self.frames += 1
        with writing_movie():
            for packet in self._video.encode(frame):
                self._container.mux(packet)
        if self.sound is not None:
            self.sound.follow(pts)

    @property
    def _time_base(self) -> Fraction:
        return Fraction(1, self._spec.fps if self.timelapse else VIDEO_CLOCK_HZ)

    def _planes(self, captured: CapturedFrame, pts: int) -> tuple[Any, int, int, tuple[int, int]]:
        """Return (I420 that may be modified, width, height, (color matrix, range))."""
        frame = captured.frame
        if self._draw is None:
            width, height = self._size(frame.width, frame.height)
            made = self._reformatter.reformat(frame, width, height, "yuv420p", threads=1)
            return made.to_ndarray(), width, height, (int(made.colorspace), int(made.color_range))
        image = self._draw(frame, captured.captured_ns, self.frames, float(pts * self._time_base))
        if image.ndim == 2:
            image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
        width, height = self._size(image.shape[1], image.shape[0])
        if image.shape[:2] != (height, width):
            image = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        return cv2.cvtColor(image, cv2.COLOR_BGR2YUV_I420), width, height, (BT601, 1)

    def _size(self, width: int, height: int) -> tuple[int, int]:
        """Return an even size, no wider than requested."""
        wanted = min(self._spec.width_px or width, width)
        return max(2, wanted & ~1), max(2, round(height * wanted / width) & ~1)

    def _begin(self, width: int, height: int, colour: tuple[int, int]) -> None:
        with writing_movie():
            self._container = av.open(str(self._output), "w", format="mp4", options={"movflags": MOVIE_FLAGS})
            fps = self._spec.fps
            stream = self._video = self._container.add_stream(
                "libx264", rate=fps, options={"preset": "veryfast", "crf": "23", "bf": "0"}
            )
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            context = stream.codec_context
            context.time_base = self._time_base
            context.gop_size = KEY_EVERY_S * fps
            context.thread_count = min(MAX_THREADS, os.cpu_count() or 1)
            context.colorspace, context.color_range = colour
            if self.sound is not None:
                self.sound.begin(self._container, self._first_pts)


class _Sound:
    """The audio track of the export: recorded audio unchanged, or silence if it is missing or of another format.

    Silence, because players lose sync at gaps, and libavformat begins each track at 0, regardless of its first
    packet. Times are in ticks of its rate.
    """

    def __init__(self, init: bytes) -> None:
        """Create the track. `init`: ftyp and moov of a file with such audio. Raises: av.FFmpegError."""
        self._template: Any = av.open(io.BytesIO(init), "r", format="mp4").streams.audio[0]
        self._kind = _kind_of(self._template)
        self._silence = _encode_silence(self._template.codec_context)
        self._container: Any = None
        self._stream: Any = None
        self._early = deque[tuple[Any, int]](maxlen=MAX_EARLY)  # Before the first frame.
        self._fits = False
        self._start = self._end = 0
        self._last = -1

    def open_file(self, container: Any) -> None:
        """Start the next recorded file. Return whether its audio has the same format."""
        self._fits = any(_kind_of(each) == self._kind for each in container.streams.audio[:1])

    def begin(self, container: Any, pts: int) -> None:
        """Write to `container`, from the first frame, at `pts` (1/90000 s). Raises: DiskError, EncodeError."""
        self._container = container
        self._stream = container.add_stream_from_template(self._template)
        self._start = round(pts / VIDEO_CLOCK_HZ / self._template.time_base)
        while self._early:
            self.add(*self._early.popleft())

    def add(self, packet: Any, at: int) -> None:
        """Raises: DiskError, EncodeError."""
        if not self._fits:
            return
        if self._stream is None:
            self._early.append((packet, at))
            return
        at -= self._start
        if at > self._last:
            self._fill(at)
            self._mux(packet, at)

    def follow(self, pts: int) -> None:
        """Fill the audio up to `pts` (1/90000 s, from the first frame). Raises: DiskError, EncodeError."""
        if not self._fits:
            self._fill(round(pts / VIDEO_CLOCK_HZ / self._template.time_base))

    def _fill(self, until: int) -> None:
        while self._silence and self._end + FRAME_SAMPLES <= until:
            packet = av.Packet(self._silence)
            packet.time_base, packet.duration = self._template.time_base, FRAME_SAMPLES
            self._mux(packet, self._end)

    def _mux(self, packet: Any, at: int) -> None:
        packet.pts = packet.dts = self._last = at
        packet.stream = self._stream
        self._end = at + (packet.duration or FRAME_SAMPLES)
        with writing_movie():
            self._container.mux(packet)


def _kind_of(stream: Any) -> tuple[Any, ...]:
    context = stream.codec_context
    return context.name, bytes(context.extradata or b""), stream.time_base


def _encode_silence(context: Any) -> bytes:
    """Return a silent AAC frame for its decoder; empty: the encoder does not support this rate or number of
    channels.
    """
    encoder: Any = av.CodecContext.create("aac", "w")
    silence = np.zeros((context.layout.nb_channels, FRAME_SAMPLES), np.float32)
    try:
        encoder.rate, encoder.layout, encoder.format = context.rate, context.layout, "fltp"
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout=context.layout.name)
        frame.rate = context.rate
        return bytes([*encoder.encode(frame), *encoder.encode(None)][-1])
    except (av.FFmpegError, ValueError):
        return b""


def _resize(planes: Any, size: tuple[int, int], wanted: tuple[int, int]) -> Any:
    """Return I420 in another size, because the camera's frame size changed within the span."""
    bgr = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    return cv2.cvtColor(cv2.resize(bgr, wanted, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2YUV_I420)


@contextlib.contextmanager
def writing_movie() -> Iterator[None]:
    """Convert errors of encoder and writer to our errors."""
    try:
        yield
    except av.FFmpegError as exc:
        if exc.errno is not None and 0 < exc.errno < 200:
            raise DiskError.of(exc.errno) from exc
        raise EncodeError("The export cannot be encoded.") from exc
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
