"""Exports a timelapse of key frames as recorded: they are copied with new times, and nothing is decoded or encoded.

Blocks; meant for a separate process, as `recordings.export`.
"""

import io
import logging
import os
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.clip import PlacedFile, place_files
from ninjacam.recordings.decoded_frames import NS
from ninjacam.recordings.export import (
    ExportSpec,
    FormatChangesError,
    MadeFile,
    NothingRecordedError,
    OnProgress,
    digest_file,
    writing,
)
from ninjacam.recordings.key_frames import HEAD_BYTES, find_key
from ninjacam.recordings.render import MOVIE_FLAGS, Timelapse, check_whole, writing_movie

logger = logging.getLogger("ninjacam.recordings")


def export_key_frames(spec: ExportSpec, on_progress: OnProgress) -> MadeFile:
    """Write the first key frame of each step, which lasts `speed` / `fps` seconds of the recording, at the time of its
    step. So the length is that of the recording divided by the speed, with gaps closed.

    Raises: NothingRecordedError, FormatChangesError, DiskError, EncodeError.
    """
    timelapse = Timelapse(round(spec.speed * NS / spec.fps))
    output = Path(spec.output)
    with writing(output) as file:
        with closing(_Movie(output, spec.fps)) as movie:
            for placed in place_files(map(Path, spec.paths), spec.start_ns, spec.end_ns):
                for at_ns, step, data in _iter_keys(timelapse, placed, spec):
                    movie.add(placed, at_ns, step, data)
                    share = (at_ns - spec.start_ns) / (spec.end_ns - spec.start_ns)
                    on_progress(min(1.0, max(0.0, share)))
        if not movie.frames:
            raise NothingRecordedError
        check_whole(file)
        return digest_file(file)


def _iter_keys(
    timelapse: Timelapse, placed: PlacedFile, spec: ExportSpec
) -> Iterator[tuple[int, int, bytes]]:
    """Yield the wall clock, the step and the data of each frame. A missing or damaged file is a gap."""
    try:
        descriptor = os.open(placed.path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as exc:
        logger.warning("%s is skipped: %s", placed.path.name, exc)
        return
    try:
        for fragment, step in timelapse.pick_keys(placed.fragments, spec.start_ns, spec.end_ns):
            try:
                offset, size_bytes = find_key(os.pread(descriptor, HEAD_BYTES, fragment.offset))
                data = os.pread(descriptor, size_bytes, fragment.offset + offset)
            except (DecodeError, OSError) as exc:
                logger.warning("a key frame of %s is skipped: %s", placed.path.name, exc)
                continue
            if len(data) == size_bytes:
                yield fragment.start_ns, step, data
    finally:
        os.close(descriptor)


class _Movie:
    """The output file. `frames`: number of those that were added."""

    def __init__(self, output: Path, fps: int) -> None:
        self.frames = 0
        self._output = output
        self._time_base = Fraction(1, fps)
        self._init = b""
        self._format: tuple[Any, ...] = ()
        self._container: Any = None
        self._stream: Any = None

    def add(self, placed: PlacedFile, at_ns: int, step: int, data: bytes) -> None:
        """Raises: FormatChangesError, DiskError, EncodeError."""
        with writing_movie():
            if placed.init != self._init:
                self._open_file(placed, at_ns)
            packet = av.Packet(data)
            packet.stream = self._stream
            packet.time_base = self._time_base
            packet.pts = packet.dts = step
            packet.duration = 1
            packet.is_keyframe = True
            self._container.mux(packet)
        self.frames += 1

    def _open_file(self, placed: PlacedFile, at_ns: int) -> None:
        """Take the format of the first file, and require it of the others."""
        with av.open(io.BytesIO(placed.init), "r", format="mp4") as source:
            stream = source.streams.video[0]
            context = stream.codec_context
            found = (context.name, context.width, context.height, bytes(context.extradata or b""))
            if self._container is None:
                self._format = found
                self._container = av.open(
                    str(self._output), "w", format="mp4", options={"movflags": MOVIE_FLAGS}
                )
                self._stream = self._container.add_stream_from_template(stream)
                self._stream.time_base = self._time_base
        if found != self._format:
            raise FormatChangesError(at_ns)
        self._init = placed.init

    def close(self) -> None:
        """Raises: DiskError, EncodeError."""
        if self._container is not None:
            with writing_movie():
                self._container.close()
