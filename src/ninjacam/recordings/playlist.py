"""HLS playlists (RFC 8216bis, version 7) of recorded files: byte ranges, from key frame to key frame.

Grouping starts at a file's first fragment, independent of the requested span, so the playlist of a running span only
grows.
"""

import math
import os
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.clip import End, place
from ninjacam.recordings.library import read_known
from ninjacam.recordings.reader import Fragment

NS = 1_000_000_000
GAP_NS = 2 * NS
"""A longer interval between files is a gap, as in the timeline."""
MIN_PART_S = 2.0
"""Key frames at shorter intervals share a segment, which saves requests and still allows fast seeking."""


@dataclass(frozen=True, slots=True)
class Part:
    """An entry of the playlist: bytes of a file that begin with a key frame. `start_ns`: wall clock."""

    offset: int
    size_bytes: int
    start_ns: int
    duration_s: float

    @property
    def end_ns(self) -> int:
        return self.start_ns + round(self.duration_s * NS)


@dataclass(frozen=True, slots=True)
class PlaylistFile:
    """A file in the playlist. `uri`: relative to the playlist. `init_bytes`: the length of its ftyp and moov.
    `is_same`: whether these are identical to those of the previous file. `follows`: times continue without a gap.
    """

    uri: str
    init_bytes: int
    parts: Sequence[Part]
    is_same: bool = False
    follows: bool = False


def group(fragments: Iterable[Fragment], *, is_open: bool, min_s: float = MIN_PART_S) -> list[Part]:
    """Return the fragments of one file as parts. `is_open`: the file still grows, so its last part is omitted.

    Data before the first key frame cannot be decoded and is omitted.
    """
    parts: list[Part] = []
    offset = size = start_ns = 0
    duration_s = 0.0
    for fragment in fragments:
        if fragment.is_key and (not size or duration_s >= min_s):
            if size:
                parts.append(Part(offset, size, start_ns, duration_s))
            offset, size, start_ns, duration_s = fragment.offset, 0, fragment.start_ns, 0.0
        elif not size:
            continue
        size += fragment.size_bytes
        duration_s += fragment.duration_s
    if size and not is_open:
        parts.append(Part(offset, size, start_ns, duration_s))
    return parts


def select(parts: Iterable[Part], start_ns: int, end_ns: int) -> list[Part]:
    """Return the parts that contain a frame of the span."""
    return [part for part in parts if part.start_ns < end_ns and part.end_ns > start_ns]


class Chain:
    """Consecutive files on one time line: each starts at the end of the previous one, regardless of gaps. Thread:
    one."""

    def __init__(self, start_ns: int, end_ns: int) -> None:
        self._span = start_ns, end_ns
        self._end = End()
        self._init = b""
        self._ended_ns = 0

    def add(
        self, path: Path, uri: Callable[[Mapping[int, int]], str], *, is_open: bool
    ) -> PlaylistFile | None:
        """Return the parts of a file in the span, if any. `uri`: returns a URI for given offsets of its times.
        Blocks.

        Raises: DecodeError.
        """
        recording = read_known(path)
        parts = select(group(recording.fragments, is_open=is_open), *self._span)
        if not parts:
            return None
        first, behind = parts[0].offset, parts[-1].offset + parts[-1].size_bytes
        chosen = [each for each in recording.fragments if first <= each.offset < behind]
        try:
            with path.open("rb") as file:
                init = file.read(recording.init_size_bytes)
                ticks, self._end = place(file, recording, chosen, self._end)
        except OSError as exc:
            raise DecodeError(f"The recording {path.name} cannot be read: {exc.strerror}.") from exc
        is_same = init == self._init
        follows = is_same and abs(chosen[0].start_ns - self._ended_ns) <= GAP_NS
        self._init, self._ended_ns = init, chosen[-1].end_ns
        return PlaylistFile(uri(ticks), recording.init_size_bytes, parts, is_same, follows)


def read_whole_file(path: Path, uri: str, start_ns: int, end_ns: int) -> PlaylistFile:
    """Return a finished file as one part, for playlists of many files; `start_ns`, `end_ns`: from the index. Blocks.

    Raises: DecodeError.
    """
    try:
        with path.open("rb") as file:
            size_bytes = os.fstat(file.fileno()).st_size
            ftyp_bytes, kind = struct.unpack(">I4s", file.read(8))
            file.seek(ftyp_bytes)
            moov_bytes, second = struct.unpack(">I4s", file.read(8))
    except (OSError, struct.error) as exc:
        raise DecodeError(f"The recording {path.name} cannot be read.") from exc
    init_bytes = ftyp_bytes + moov_bytes
    if (kind, second) != (b"ftyp", b"moov") or init_bytes >= size_bytes:
        raise DecodeError(f"The recording {path.name} is empty.")
    part = Part(init_bytes, size_bytes - init_bytes, start_ns, (end_ns - start_ns) / NS)
    return PlaylistFile(uri, init_bytes, (part,))


def read_running_file(path: Path, uri: str) -> PlaylistFile:
    """Like `read_whole_file`, for a file that is being written: up to its last complete fragment. Blocks.

    Raises: DecodeError.
    """
    recording = read_known(path)
    if not recording.fragments:
        raise DecodeError(f"The recording {path.name} is empty.")
    start_ns, end_ns = recording.fragments[0].start_ns, recording.fragments[-1].end_ns
    init_bytes = recording.init_size_bytes
    part = Part(init_bytes, recording.size_bytes - init_bytes, start_ns, (end_ns - start_ns) / NS)
    return PlaylistFile(uri, init_bytes, (part,))


def encode_playlist(
    files: Iterable[PlaylistFile], *, start_ns: int, ended: bool, min_target_s: int = 1
) -> str:
    """Return the playlist. `start_ns`: where a player should start. `ended`: no more files will be added. Until
    then, the target duration is `min_target_s`, because it must not change with the content.

    A discontinuity marks gaps, and changes of the decoder configuration.
    """
    listed = [file for file in files if file.parts]
    longest_s = max((part.duration_s for file in listed for part in file.parts), default=MIN_PART_S)
    lines = [
        "#EXTM3U",
        "#EXT-X-VERSION:7",
        f"#EXT-X-TARGETDURATION:{max(math.ceil(longest_s), min_target_s)}",
        f"#EXT-X-PLAYLIST-TYPE:{'VOD' if ended else 'EVENT'}",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]
    if listed:
        late_s = (start_ns - listed[0].parts[0].start_ns) / NS
        if late_s > 0:
            lines.append(f"#EXT-X-START:TIME-OFFSET={late_s:.3f},PRECISE=YES")
    for number, file in enumerate(listed):
        if number and not file.follows:
            lines.append("#EXT-X-DISCONTINUITY")
        if not file.is_same:
            lines.append(f'#EXT-X-MAP:URI="{file.uri}",BYTERANGE="{file.init_bytes}@0"')
        lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{_milliseconds(file.parts[0].start_ns)}")
        for part in file.parts:
            lines += (
                f"#EXTINF:{part.duration_s:.5f},",
                f"#EXT-X-BYTERANGE:{part.size_bytes}@{part.offset}",
                file.uri,
            )
    if ended:
        lines.append("#EXT-X-ENDLIST")
    return "\n".join(lines) + "\n"


def _milliseconds(wall_ns: int) -> str:
    seconds, rest_ns = divmod(wall_ns, NS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest_ns // 1_000_000:03d}Z"
