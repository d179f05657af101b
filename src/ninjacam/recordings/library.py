"""Caches the parsed boxes of recorded files, which viewers read repeatedly."""

from functools import lru_cache
from pathlib import Path

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.reader import Recording, read_recording

MAX_KEPT = 256
"""Maximum number of cached files, some tens of KB each."""


def read_known(path: Path) -> Recording:
    """Like `read_recording`, but cached while the file is unchanged. Raises: DecodeError. Blocks."""
    try:
        stat = path.stat()
    except OSError as exc:
        raise DecodeError(f"The recording {path.name} cannot be read: {exc.strerror}.") from exc
    return _read(path, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=MAX_KEPT)
def _read(path: Path, _size_bytes: int, _modified_ns: int) -> Recording:
    return read_recording(path)
