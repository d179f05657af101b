"""Parses the boxes of a recorded file: its parameters, fragments and times. Does not decode.

Files may be incomplete, still growing, or foreign: reads are bounded, and errors raise DecodeError. Sources: ISO/IEC
14496-12 (boxes; 8.16.5 prft), 14496-14 (esds).
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from ninjacam.containers.mp4 import NTP_EPOCH_S
from ninjacam.core.errors import DecodeError
from ninjacam.recordings.layout import slug_of
from ninjacam.recordings.segments import SegmentInfo

MAX_HEAD_BYTES = 1 << 20
"""Maximum size of a moov or moof. Those of a minute and a second take some KB."""
VIDEO_TRACK, AUDIO_TRACK = 1, 2
_NON_SYNC = 0x0001_0000
_CODECS = {b"avc1": "h264", b"hvc1": "hevc", b"mp4v": "mjpeg", b"mp4a": "aac"}
_CONTAINERS = frozenset((b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"))


class Fragment(NamedTuple):
    """`offset` ... `offset + size_bytes`: prft, moof, mdat, of which the last `annotations_bytes` are an emsg.
    `is_key`: a decoder can start here.

    `start_ns`: wall-clock capture time of its first frame. `dts`, `duration`: of its video, in 1/90000 s from the
    start of the file. `audio_dts`: in ticks of the audio's sample rate; None: it contains no audio.
    """

    offset: int
    size_bytes: int
    start_ns: int
    duration_s: float
    is_key: bool
    dts: int
    duration: int
    audio_dts: int | None = None
    annotations_bytes: int = 0

    @property
    def end_ns(self) -> int:
        return self.start_ns + self.duration * 1_000_000_000 // 90_000


@dataclass(frozen=True, slots=True)
class Recording:
    """The complete part of a file. `size_bytes`: up to the end of the last complete fragment."""

    init_size_bytes: int
    codec: str
    width_px: int
    height_px: int
    audio_codec: str = ""
    audio_source: str = ""
    audio_rate_hz: int = 0
    fragments: list[Fragment] = field(default_factory=list)

    @property
    def size_bytes(self) -> int:
        last = self.fragments[-1] if self.fragments else None
        return last.offset + last.size_bytes if last else self.init_size_bytes


def read_recording(path: Path) -> Recording:
    """Parse a file. Raises: DecodeError: missing, or not one of our recordings. An incomplete end is ignored.
    Blocks."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as exc:
        raise DecodeError(f"The recording {path.name} cannot be read: {exc.strerror}.") from exc
    try:
        return _read(descriptor)
    except OSError as exc:
        raise DecodeError(f"The recording {path.name} cannot be read: {exc.strerror}.") from exc
    finally:
        os.close(descriptor)


def read_segment(path: Path, *, root: Path) -> SegmentInfo:
    """Return the index row of a file that no longer grows.

    Raises: DecodeError: not one of our recordings, not at its place, or without a complete fragment.
    """
    try:
        relative = path.relative_to(root).as_posix()
    except ValueError as exc:
        raise DecodeError("The file is not in the recordings directory.") from exc
    slug = slug_of(relative)
    if slug is None:
        raise DecodeError(f"{relative} does not have the name of a recording.")
    recording = read_recording(path)
    if not recording.fragments:
        raise DecodeError(f"The recording {relative} contains no frame.")
    return SegmentInfo(
        slug=slug,
        path=relative,
        start_ns=recording.fragments[0].start_ns,
        end_ns=recording.fragments[-1].end_ns,
        size_bytes=recording.size_bytes,
        codec=recording.codec,
        width_px=recording.width_px,
        height_px=recording.height_px,
        audio_codec=recording.audio_codec,
        audio_source=recording.audio_source,
    )


def fragments(path: Path) -> list[Fragment]:
    """Yield the complete fragments of a file, in order. Raises: DecodeError."""
    return read_recording(path).fragments


def init_bytes(path: Path) -> bytes:
    """Return ftyp and moov. Raises: DecodeError."""
    size_bytes = read_recording(path).init_size_bytes
    try:
        with path.open("rb") as file:
            return file.read(size_bytes)
    except OSError as exc:
        raise DecodeError(f"The recording {path.name} cannot be read: {exc.strerror}.") from exc


# --- boxes of a file ---


def _read(descriptor: int) -> Recording:
    end = os.fstat(descriptor).st_size
    boxes = _iter_file(descriptor, end)
    ftyp = next(boxes, None)
    moov = next(boxes, None)
    if ftyp is None or moov is None or (ftyp[0], moov[0]) != (b"ftyp", b"moov"):
        raise DecodeError("The file does not begin like a recording.")
    _, offset, size_bytes = moov
    recording = _parse_moov(_body(descriptor, offset, size_bytes), offset + size_bytes)
    with contextlib.suppress(DecodeError):
        _read_fragments(descriptor, boxes, recording.fragments)
    return recording


def _read_fragments(
    descriptor: int, boxes: Iterator[tuple[bytes, int, int]], fragments: list[Fragment]
) -> None:
    """Append the fragments (prft, moof, mdat, optionally emsg), up to the first unexpected box.

    Raises: DecodeError: that box is malformed.
    """
    pending: tuple[int, int, int] | None = None  # Offset, wall clock and pts of a prft.
    head: tuple[int, Fragment] | None = None
    for kind, offset, size_bytes in boxes:
        if kind == b"emsg" and pending is None and fragments and not fragments[-1].annotations_bytes:
            last = fragments[-1]
            fragments[-1] = last._replace(
                size_bytes=last.size_bytes + size_bytes, annotations_bytes=size_bytes
            )
        elif kind == b"prft" and head is None:
            pending = (offset, *_parse_prft(_body(descriptor, offset, size_bytes)))
        elif kind == b"moof" and pending is not None and head is None:
            head = (pending[0], _parse_moof(_body(descriptor, offset, size_bytes), pending[1]))
        elif kind == b"mdat" and head is not None:
            start = head[0]
            fragments.append(head[1]._replace(offset=start, size_bytes=offset + size_bytes - start))
            head = pending = None
        else:
            return


def _iter_file(descriptor: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, offset, size in bytes) of the complete boxes, up to the first incomplete one."""
    at = 0
    while at + 8 <= end:
        size_bytes, kind = struct.unpack(">I4s", os.pread(descriptor, 8, at).ljust(8, b"\0"))
        if size_bytes < 8 or at + size_bytes > end:
            return
        yield kind, at, size_bytes
        at += size_bytes


def _body(descriptor: int, offset: int, size_bytes: int) -> bytes:
    if size_bytes > MAX_HEAD_BYTES:
        raise DecodeError("A box of the recording is too large.")
    data = os.pread(descriptor, size_bytes - 8, offset + 8)
    if len(data) != size_bytes - 8:
        raise DecodeError("The recording is being truncated.")
    return data


def _iter_boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        size_bytes, kind = struct.unpack_from(">I4s", data, at)
        if size_bytes < 8 or at + size_bytes > len(data):
            raise DecodeError("A box of the recording is longer than its container.")
        yield kind, data[at + 8 : at + size_bytes]
        at += size_bytes


def _flatten(data: bytes, depth: int = 0) -> Iterator[tuple[bytes, bytes]]:
    for kind, body in _iter_boxes(data):
        yield kind, body
        if kind in _CONTAINERS and depth < 8:
            yield from _flatten(body, depth + 1)


def _unpack(form: str, data: bytes, at: int = 0) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, at)
    except struct.error as exc:
        raise DecodeError("A box of the recording is too short.") from exc


def _parse_moov(moov: bytes, init_size_bytes: int) -> Recording:
    recording = None
    sound: tuple[str, str, int] | None = None
    for kind, trak in _iter_boxes(moov):
        if kind != b"trak":
            continue
        boxes = dict(_flatten(trak))
        entry = boxes.get(b"stsd", b"")[8:]
        size_bytes = _unpack(">I", entry)[0]
        codec = _CODECS.get(entry[4:8])
        if codec is None or size_bytes > len(entry):
            raise DecodeError("The recording contains an unknown codec.")
        if boxes.get(b"hdlr", b"")[8:12] == b"vide":
            width, height = _unpack(">HH", entry, 32)
            recording = Recording(init_size_bytes, codec, width, height)
        else:
            name = boxes.get(b"hdlr", b"")[24:].rstrip(b"\0").decode("ascii", "replace")
            rate_hz = _unpack(">I", boxes.get(b"mdhd", b""), 12)[0]
            sound = (codec, name if name != codec else "", rate_hz)
    if recording is None:
        raise DecodeError("The recording has no video track.")
    if sound is None:
        return recording
    return replace(recording, audio_codec=sound[0], audio_source=sound[1], audio_rate_hz=sound[2])


def _parse_prft(body: bytes) -> tuple[int, int]:
    """Return (ns since 1970, presentation time in ticks)."""
    version = _unpack(">B", body)[0]
    seconds, fraction, media_time = _unpack(">IIQ" if version else ">III", body, 8)
    return (seconds - NTP_EPOCH_S) * 1_000_000_000 + (fraction * 1_000_000_000 + (1 << 31) >> 32), media_time


def _parse_moof(moof: bytes, start_ns: int) -> Fragment:
    video = audio_dts = None
    for kind, traf in _iter_boxes(moof):
        if kind != b"traf":
            continue
        boxes = dict(_flatten(traf))
        track = _unpack(">I", boxes.get(b"tfhd", b""), 4)[0]
        tfdt = boxes.get(b"tfdt", b"")
        dts = _unpack(">Q" if tfdt[:1] == b"\1" else ">I", tfdt, 4)[0]
        if track == VIDEO_TRACK:
            video = (dts, *_parse_video_run(boxes.get(b"trun", b"")))
        elif track == AUDIO_TRACK:
            audio_dts = dts
    if video is None:
        raise DecodeError("A fragment of the recording has no frame.")
    dts, duration, is_key = video
    return Fragment(0, 0, start_ns, duration / 90_000, is_key, dts, duration, audio_dts)


def _parse_video_run(trun: bytes) -> tuple[int, bool]:
    """Return (duration in ticks, whether it begins with a key frame). Supports only the form that `containers.mp4`
    writes.
    """
    version_flags, count = _unpack(">II", trun)
    if version_flags & 0xFFFFFF != 0xF01 or not 0 < count <= (len(trun) - 12) // 16:
        raise DecodeError("A fragment of the recording does not have the form that Ninjacam writes.")
    samples = _unpack(f">{4 * count}I", trun, 12)
    return sum(samples[::4]), not samples[2] & _NON_SYNC
