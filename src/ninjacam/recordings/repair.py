"""After a crash: the tail of a file that is no whole fragment is cut off; a file without any is deleted. Blocks."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

from ninjacam.core.errors import DecodeError
from ninjacam.core.mp4 import FTYP
from ninjacam.recordings.layout import slug_of
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.segments import Segment

logger = logging.getLogger("ninjacam.recordings")

HOURS = 3
"""Directories of a camera that are looked at: those written to last. Retention writes to the oldest, too."""


def repair_file(path: Path) -> bool:
    """Whether something was wrong. Only for files that nobody writes to.

    A file without a fragment was begun in the instant of the crash: it is deleted.
    Raises: DecodeError: it cannot be read, or is no recording of ours; it stays as it is. OSError.
    """
    actual_bytes = path.stat().st_size
    try:
        recording = read_recording(path)
    except DecodeError:
        if _was_begun(path):
            path.unlink()
            return True
        raise
    if recording.fragments and recording.size_bytes == actual_bytes:
        return False
    if recording.fragments:
        os.truncate(path, recording.size_bytes)
    else:
        path.unlink()
    return True


def _was_begun(path: Path) -> bool:
    """Whether there is nothing but a torn header; zeros are what a power cut leaves of it."""
    with path.open("rb") as file:
        head = file.read(len(FTYP))
    return head == FTYP[: len(head)] or not any(head)


def repair_newest(root: Path, slug: str) -> list[Segment]:
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
