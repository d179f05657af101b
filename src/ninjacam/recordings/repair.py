"""After a crash: the tail of a file that is no whole fragment is cut off; a file without any is deleted. Blocks."""

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
"""Directories of a camera that are looked at: those written to last. Retention writes to the oldest, too."""


def repair_file(path: Path) -> bool:
    """Whether something was wrong. A file that a process still writes to is left alone.

    A file without a fragment was begun in the instant of the crash: it is deleted.
    Raises: DecodeError: it cannot be read, or is no recording of ours; it stays as it is. OSError.
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
    """The kernel lets go of a lock however its process ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass  # a file system that knows no locks
    return True


def _was_begun(head: bytes) -> bool:
    """Whether there is nothing but a torn header; zeros are what a power cut leaves of it."""
    return head == FTYP[: len(head)] or not any(head)


def repair_newest(root: Path, slug: str) -> list[SegmentInfo]:
    """Repair the file of a camera that was being written when its last capture ended. The segments that it checked."""
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
    """The newest file of each of the hours that were written to last."""
    hours = sorted(_iter_hours(directory), reverse=True)
    for _, hour in hours[:HOURS]:
        newest = max(_with_mtime(hour), default=None)
        if newest is not None:
            yield newest[1]


def _iter_hours(directory: Path) -> Iterator[tuple[int, Path]]:
    for _, day in _with_mtime(directory):
        yield from _with_mtime(day)


def _with_mtime(directory: Path) -> list[tuple[int, Path]]:
    """Entries and when they were written to last; [] where it is no directory, or gone by now."""
    try:
        with os.scandir(directory) as entries:
            return [(entry.stat(follow_symlinks=False).st_mtime_ns, Path(entry.path)) for entry in entries]
    except OSError:
        return []
