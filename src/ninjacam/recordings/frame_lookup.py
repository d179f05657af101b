"""Finds the frame at a given time in a recorded file. A child process decodes it (`recordings.still`)."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.clip import select_fragments
from ninjacam.recordings.library import read_known

MAX_BYTES = 64 << 20
"""Maximum number of bytes between two key frames; no more is decoded for one frame."""
TOLERANCE_NS = 2_000_000_000
"""A shorter interval is not a gap: the previous frame is still valid."""


@dataclass(frozen=True, slots=True)
class StillPlace:
    """Location of a frame: the bytes of `path` that a decoder needs for it, after the first `init_bytes`.

    The last of their fragments begins at `dts` (1/90000 s), captured at `start_ns`; the requested frame is that of
    `at_ns`.
    """

    path: str
    init_bytes: int
    offset: int
    size_bytes: int
    dts: int
    start_ns: int
    at_ns: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def find_still(path: Path, at_ns: int, *, key_only: bool = False) -> StillPlace | None:
    """Return the location of the frame at this time, or None if the file has none. `key_only`: use the preceding key
    frame that begins a fragment, so that only one frame must be decoded. Raises: DecodeError. Blocks."""
    recording = read_known(path)
    chosen = select_fragments(recording, at_ns - TOLERANCE_NS, at_ns + 1)
    keys = [number for number, each in enumerate(chosen) if each.is_key]
    if not keys or chosen[-1].end_ns + TOLERANCE_NS <= at_ns:
        return None
    chosen = chosen[keys[-1] :]
    if key_only:
        chosen = chosen[:1]
        at_ns = min(at_ns, chosen[0].start_ns)
    first, last = chosen[0], chosen[-1]
    size_bytes = last.offset + last.size_bytes - first.offset
    if size_bytes > MAX_BYTES:
        raise DecodeError("The key frames are too far apart to decode a single frame.")
    return StillPlace(
        str(path), recording.init_size_bytes, first.offset, size_bytes, last.dts, last.start_ns, at_ns
    )
