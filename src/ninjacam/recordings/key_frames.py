"""Decodes only the key frames of a recorded file. Of each fragment that begins with one, only its bytes are read."""

import io
import logging
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.core.errors import DecodeError
from ninjacam.recordings.clip import walk
from ninjacam.recordings.reader import VIDEO_TRACK, Recording, read_recording

logger = logging.getLogger("ninjacam.recordings")

HEAD_BYTES = 1 << 14
"""Bytes of a fragment that contain its prft and moof: enough for 500 frames."""
MAX_KEY_BYTES = 16 << 20


class KeyFrame(NamedTuple):
    """A decoded key frame. `captured_ns`: wall clock."""

    captured_ns: int
    frame: av.VideoFrame


def iter_key_frames(
    path: Path, start_ns: int, end_ns: int, *, step_ns: int = 0, is_exact: bool = True
) -> Iterator[KeyFrame]:
    """Yield the key frames of [start, end) that begin a fragment. Damaged ones are skipped.

    `step_ns`: minimum time between two of them. `is_exact` False: skip the deblocking filter, which is faster.
    Raises: DecodeError: not a recording; OSError.
    """
    recording = read_recording(path)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        context = _make_decoder(descriptor, recording, is_exact=is_exact)
        due_ns = start_ns
        for fragment in recording.fragments:
            if not fragment.is_key or not due_ns <= fragment.start_ns < end_ns:
                continue
            try:
                offset, size_bytes = find_key(os.pread(descriptor, HEAD_BYTES, fragment.offset))
                frame = _decode(context, os.pread(descriptor, size_bytes, fragment.offset + offset))
            except (DecodeError, av.FFmpegError, ValueError) as exc:
                logger.debug("a recorded key frame is skipped: %s", exc)
                continue
            if frame is not None:
                due_ns = fragment.start_ns + step_ns
                yield KeyFrame(fragment.start_ns, frame)
    finally:
        os.close(descriptor)


def find_key(head: bytes) -> tuple[int, int]:
    """Return the offset and size of the first frame of the fragment that begins with `head`. ISO/IEC 14496-12, 8.8.8.

    Raises: DecodeError: `head` does not contain its moof.
    """
    try:
        for kind, begin, end in walk(head):
            if kind == b"moof" and end <= len(head):
                for inner, at, stop in walk(head, begin, end):
                    place = _first_sample(head, at, stop) if inner == b"traf" else None
                    if place is not None and 0 < place[1] <= MAX_KEY_BYTES:
                        return begin - 8 + place[0], place[1]
    except struct.error as exc:
        raise DecodeError("A fragment of the recording is damaged.") from exc
    raise DecodeError("A fragment of the recording has no frame.")


def _first_sample(head: bytes, at: int, stop: int) -> tuple[int, int] | None:
    """Return the offset from the moof, and the size, of the first frame of a traf; None: it belongs to another
    track."""
    track = 0
    for kind, begin, _ in walk(head, at, stop):
        if kind == b"tfhd":
            (track,) = struct.unpack_from(">I", head, begin + 4)
        elif kind == b"trun" and track == VIDEO_TRACK:
            flags, _count, offset, _duration, size_bytes = struct.unpack_from(">IIiII", head, begin)
            return (offset, size_bytes) if flags & 0xFFFFFF == 0xF01 and offset > 0 else None
    return None


def _make_decoder(descriptor: int, recording: Recording, *, is_exact: bool) -> Any:
    """Raises: DecodeError."""
    try:
        init = os.pread(descriptor, recording.init_size_bytes, 0)
        with av.open(io.BytesIO(init), "r", format="mp4") as container:
            source = container.streams.video[0].codec_context
            context: Any = av.CodecContext.create(source.name, "r")
            context.extradata = source.extradata
    except (av.FFmpegError, IndexError, ValueError) as exc:
        raise DecodeError("The recording cannot be decoded.") from exc
    context.thread_count = 1
    context.options = {"max_pixels": str(MAX_PIXELS)}
    if not is_exact:
        context.options |= {"skip_loop_filter": "all", "flags2": "+fast"}
    return context


def _decode(context: Any, data: bytes) -> av.VideoFrame | None:
    """Raises: av.FFmpegError."""
    frames = [*context.decode(av.Packet(data)), *context.decode(None)]
    context.flush_buffers()
    return frames[0] if frames else None
