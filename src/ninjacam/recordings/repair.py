"""Repairs files after a crash: truncates an incomplete last fragment, and deletes a file without fragments. Blocks."""

import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ninjacam.containers.mp4 import FTYP
from ninjacam.core.errors import DecodeError
from ninjacam.recordings.layout import slug_of
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.segments import SegmentInfo

logger = logging.getLogger("ninjacam.recordings")

HOURS = 3
"""Number of a camera's most recently written directories to check. Retention modifies the oldest ones, too.
"""


def repair_file(path: Path) -> bool:
    """Repair a file. Return whether it was damaged. Files that a process still writes to are skipped.

    A file without a fragment was created at the moment of the crash: it is deleted. Raises: DecodeError: it cannot
    be read, or is not one of our recordings; it is left unchanged. OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        if not _is_abandoned(descriptor):
            return False
        actual_bytes = os.fstat(descriptor).st_size
        try:
            recording = read_recording(path)
        except DecodeError:
            if not _was_begun(os.pread(descriptor, len(FTYP), 0)):
                raise
            path.unlink()
            return True
        if not recording.fragments:
            path.unlink()
            return True
        if recording.size_bytes == actual_bytes:
            return False
        os.ftruncate(descriptor, recording.size_bytes)
        return True
    finally:
        os.close(descriptor)


def _is_abandoned(descriptor: int) -> bool:
    """Return whether no process holds the file's lock, which the kernel releases when a process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # The file system does not support locks.
    return True


def _was_begun(head: bytes) -> bool:
    """Return whether the file contains only an incomplete header. A power failure leaves zeros."""
    return head == FTYP[: len(head)] or not any(head)


def repair_newest(root: Path, slug: str) -> list[SegmentInfo]:
    """Repair the file of a camera that its last capture process was writing. Return the checked segments."""
    segments = []
    for path in _newest(root / slug):
        relative = path.relative_to(root).as_posix()
        if slug_of(relative) is None:
            continue
        try:
            if repair_file(path):
                logger.warning("%s: repaired after a crash", relative)
            if path.exists():
                segments.append(read_segment(path, root=root))
        except (OSError, DecodeError) as exc:
            logger.error("%s: cannot be repaired: %s", relative, exc)  # noqa: TRY400 (one bad file is one gap)
    return segments


def _newest(directory: Path) -> Iterator[Path]:
    """Return the newest file of each of the most recently written hours."""
    hours = sorted(_iter_hours(directory), reverse=True)
    for _, hour in hours[:HOURS]:
        newest = max(_with_mtime(hour), default=None)
        if newest is not None:
            yield newest[1]


def _iter_hours(directory: Path) -> Iterator[tuple[int, Path]]:
    for _, day in _with_mtime(directory):
        yield from _with_mtime(day)


def _with_mtime(directory: Path) -> list[tuple[int, Path]]:
    """Return entries with their modification times; [] if it is not a directory, or no longer exists."""
    try:
        with os.scandir(directory) as entries:
            return [(entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)) for entry in entries]
    except OSError:
        return []
