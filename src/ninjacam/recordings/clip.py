"""A span of recorded files as one fragmented MP4, without touching a sample: their fragments, with the times moved.

A clip is planned as pieces (byte ranges of files, and bytes of ours) whose sizes are known, so it can be served with
HTTP ranges and read piece by piece. Fragments keep their sizes: only fields of fixed width are rewritten.
ISO/IEC 14496-12: prft 8.16.5, moof 8.8.4, tfdt 8.8.12, trun 8.8.8, sidx 8.16.3.
"""

import logging
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ninjacam.core.errors import DecodeError, NinjacamError
from ninjacam.core.packets import VIDEO_CLOCK_HZ as VIDEO_HZ
from ninjacam.recordings.library import read_known
from ninjacam.recordings.reader import AUDIO_TRACK, VIDEO_TRACK, Fragment, Recording

logger = logging.getLogger("ninjacam.recordings")

HEAD_BYTES = 1 << 16
"""What is read of a fragment to find its times: more than prft and moof of some seconds need."""
SLIVER_NS = 2_000_000
"""A file of which only so much of its end is in a span is left out: times may be cut to the millisecond, and a file may
end a fraction of one behind the start of the next."""
_MAX_REFERENCES = 0xFFFF  # of a sidx
_DAMAGED = "A fragment of the recording is damaged."


class ClipChangesError(NinjacamError):
    """Codec, picture size or parameter sets change at `at_ns`, in the middle of the span."""

    code = "format_changes"
    retryable = False

    def __init__(self, at_ns: int) -> None:
        super().__init__("The recording changes its codec, size or parameter sets in this span.")
        self.at_ns = at_ns


@dataclass(frozen=True, slots=True)
class Shift:
    """How the times of a fragment move. `ticks`: track -> what is added to its times. `sequence`: its new number; 0: it
    keeps its own."""

    ticks: Mapping[int, int]
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of a file, or (`data`) bytes of ours. `shift`: a fragment, to be rewritten by `shift_times`."""

    size_bytes: int
    path: Path | None = None
    offset: int = 0
    data: bytes = b""
    shift: Shift | None = None


@dataclass(frozen=True, slots=True)
class ClipPlan:
    """`start_ns`, `end_ns`: the wall clock of what is in it, which is at least what was asked for."""

    pieces: tuple[Piece, ...]
    start_ns: int
    end_ns: int

    @property
    def size_bytes(self) -> int:
        return sum(piece.size_bytes for piece in self.pieces)


def select_fragments(recording: Recording, start_ns: int, end_ns: int) -> list[Fragment]:
    """From that with the key frame at or before `start_ns` (else the first one after it) to that which has `end_ns`."""
    found = recording.fragments
    if not found or found[-1].end_ns <= start_ns:
        return []
    keys = [number for number, each in enumerate(found) if each.is_key]
    first = max((number for number in keys if found[number].start_ns <= start_ns), default=None)
    if first is None:
        first = keys[0] if keys else len(found)
    return [each for each in found[first:] if each.start_ns < end_ns]


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """What a clip has of one file. `init`: ftyp and moov. `ticks`: what the times of its tracks move by."""

    path: Path
    recording: Recording
    fragments: Sequence[Fragment]
    init: bytes
    ticks: Mapping[int, int]


def place_files(paths: Iterable[Path], start_ns: int, end_ns: int) -> Iterator[PlacedFile]:
    """What there is of the span in these files, which are of one camera and in order, one behind the other.

    Times begin at 0, and gaps between files are closed up. A file that is gone or cannot be read is a gap; one that has
    but a sliver of the span is left out. Blocks.
    """
    end = End()
    for path in paths:
        try:
            recording = read_known(path)
            found = select_fragments(recording, start_ns, end_ns)
            if not found or recording.fragments[-1].end_ns - start_ns < SLIVER_NS:
                continue
            with path.open("rb") as file:
                init = file.read(recording.init_size_bytes)
                ticks, end = place(file, recording, found, end)
        except (DecodeError, OSError) as exc:
            logger.warning("a recording is left out: %s", exc)
            continue
        yield PlacedFile(path, recording, found, init, ticks)


def plan_clip(
    paths: Iterable[Path], start_ns: int, end_ns: int, *, stop_at_change: bool = False
) -> ClipPlan | None:
    """The clip of the span, see `place_files`; None: nothing of it was recorded. Blocks.

    `stop_at_change`: it ends where the format changes. Raises: ClipChangesError.
    """
    pieces: list[Piece] = []
    chosen: list[Fragment] = []
    init = b""
    for placed in place_files(paths, start_ns, end_ns):
        if init and placed.init != init:
            if stop_at_change:
                break
            raise ClipChangesError(placed.fragments[0].start_ns)
        init = placed.init
        for each in placed.fragments:
            chosen.append(each)
            shift = Shift(placed.ticks, len(chosen))
            pieces.append(Piece(each.size_bytes, placed.path, each.offset, shift=shift))
    if not chosen:
        return None
    head = init + encode_sidx(chosen)
    return ClipPlan((Piece(len(head), data=head), *pieces), chosen[0].start_ns, chosen[-1].end_ns)


@dataclass(frozen=True, slots=True)
class End:
    """Where what was placed ends so far, in ticks of each track."""

    video: int = 0
    audio: int = 0


def place(
    file: BinaryIO, recording: Recording, found: Sequence[Fragment], end: End
) -> tuple[dict[int, int], End]:
    """What the times of these fragments of one file move by, track by track, and where all ends with them.

    The first file's earliest sample comes to 0. The video of a later one follows on that of the one before, and the
    sound stays with it, but never begins before its own end.
    """
    rate_hz = recording.audio_rate_hz
    sound = [each for each in found if each.audio_dts is not None] if rate_hz else []
    audio_dts = sound[0].audio_dts if sound else None
    move_s = (end.video - found[0].dts) / VIDEO_HZ
    if not end.video and audio_dts is not None:
        move_s = max(move_s, -audio_dts / rate_hz)
    ticks = {VIDEO_TRACK: round(move_s * VIDEO_HZ)}
    audio_end = end.audio
    if audio_dts is not None:
        ticks[AUDIO_TRACK] = max(round(move_s * rate_hz), end.audio - audio_dts)
        last = sound[-1]
        file.seek(last.offset)
        audio_end = ticks[AUDIO_TRACK] + read_end(file.read(min(last.size_bytes, HEAD_BYTES)), AUDIO_TRACK)
    return ticks, End(found[-1].dts + found[-1].duration + ticks[VIDEO_TRACK], audio_end)


# --- boxes ---


def walk(data: bytes | bytearray, start: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """The boxes side by side from `start`: kind, where the contents begin, where the box ends (maybe beyond `data`).

    Raises: DecodeError: what is there is no box.
    """
    limit = len(data) if end is None else end
    while start + 8 <= limit:
        size, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if size == 1 and start + 16 <= limit:
            (size,) = struct.unpack_from(">Q", data, start + 8)
            head = 16
        if size < head:
            raise DecodeError(_DAMAGED)
        yield bytes(kind), start + head, start + size
        start += size


def read_end(head: bytes, track: int) -> int:
    """Where `track` ends, in its ticks, in the fragment that begins with `head` (prft, moof whole; mdat or some of it).

    Raises: DecodeError: it has nothing of that track.
    """
    try:
        for begin, stop in _moofs(head):
            for kind, start, end in walk(head, begin, stop):
                if kind == b"traf":
                    number, end_ticks = _read_traf(head, start, end)
                    if number == track:
                        return end_ticks
    except struct.error as exc:
        raise DecodeError(_DAMAGED) from exc
    raise DecodeError(_DAMAGED)


def _moofs(head: bytes | bytearray) -> Iterator[tuple[int, int]]:
    for kind, begin, stop in walk(head):
        if kind == b"moof":
            if stop > len(head):
                raise DecodeError(_DAMAGED)
            yield begin, stop


def _read_traf(head: bytes, start: int, end: int) -> tuple[int, int]:
    number = default = at_ticks = 0
    for kind, at, _ in walk(head, start, end):
        (flags,) = struct.unpack_from(">I", head, at)
        if kind == b"tfhd":
            (number,) = struct.unpack_from(">I", head, at + 4)
            if flags & 8:
                skip = at + 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
                (default,) = struct.unpack_from(">I", head, skip)
        elif kind == b"tfdt":
            (at_ticks,) = struct.unpack_from(">Q" if head[at] else ">I", head, at + 4)
        elif kind == b"trun":
            at_ticks += _trun_ticks(head, at, flags, default)
    return number, at_ticks


def _trun_ticks(head: bytes, at: int, flags: int, default: int) -> int:
    count = int(struct.unpack_from(">I", head, at + 4)[0])
    if not flags & 0x100:
        return default * count
    row = at + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    width = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    return sum(int(struct.unpack_from(">I", head, row + number * width)[0]) for number in range(count))


def shift_times(head: bytes, shift: Shift) -> bytes:
    """`head` as in `read_end`, with its decoding times, its number and its prft moved. Raises: DecodeError."""
    data = bytearray(head)
    try:
        for kind, at, _ in walk(data):
            if kind == b"prft":
                (number,) = struct.unpack_from(">I", data, at + 4)
                _add(data, at + 16, wide=bool(data[at]), ticks=shift.ticks.get(number, 0))
        for begin, stop in _moofs(data):
            for kind, at, end in walk(data, begin, stop):
                if kind == b"mfhd" and shift.sequence:
                    struct.pack_into(">I", data, at + 4, shift.sequence & 0xFFFF_FFFF)
                elif kind == b"traf":
                    _shift_traf(data, at, end, shift)
    except struct.error as exc:
        raise DecodeError(_DAMAGED) from exc
    return bytes(data)


def _shift_traf(data: bytearray, start: int, end: int, shift: Shift) -> None:
    number = 0
    for kind, at, _ in walk(data, start, end):
        if kind == b"tfhd":
            (number,) = struct.unpack_from(">I", data, at + 4)
        elif kind == b"tfdt":
            _add(data, at + 4, wide=bool(data[at]), ticks=shift.ticks.get(number, 0))


def _add(data: bytearray, at: int, *, wide: bool, ticks: int) -> None:
    form = ">Q" if wide else ">I"
    (before,) = struct.unpack_from(form, data, at)
    struct.pack_into(form, data, at, max(0, before + ticks))


def encode_sidx(fragments: Sequence[Fragment]) -> bytes:
    """The index of a clip's fragments, right before the first: what lets a player seek, and know the length.

    Of more fragments than it has room for, several share a row.
    """
    step = -(-len(fragments) // _MAX_REFERENCES)
    rows = [fragments[at : at + step] for at in range(0, len(fragments), step)]
    body = bytearray(struct.pack(">IIIQQHH", 1 << 24, VIDEO_TRACK, VIDEO_HZ, 0, 0, 0, len(rows)))
    for row in rows:
        size_bytes, duration = sum(each.size_bytes for each in row), sum(each.duration for each in row)
        body += struct.pack(">III", size_bytes & 0x7FFF_FFFF, duration, 0x9000_0000 if row[0].is_key else 0)
    return struct.pack(">I4s", 8 + len(body), b"sidx") + body
