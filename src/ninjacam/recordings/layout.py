"""Paths of recorded files: `<root>/<slug>/<YYYY-MM-DD>/<HH>/<MM-SS>.mp4`, by the UTC start of the file."""

import contextlib
import fcntl
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

MAX_SAME_SECOND = 1000
_PATH = re.compile(r"(?P<slug>[a-z0-9][a-z0-9_-]*)/\d{4}-\d{2}-\d{2}/\d{2}/\d{2}-\d{2}(?:-\d+)?\.mp4")


def segment_path(slug: str, start_ns: int, repeat: int = 0) -> str:
    """Return a relative path with `/`. `repeat`: number of existing files of the same second."""
    start = datetime.fromtimestamp(start_ns // 1_000_000_000, UTC)
    return f"{slug}/{start:%Y-%m-%d/%H/%M-%S}{f'-{repeat}' if repeat else ''}.mp4"


def slug_of(path: str) -> str | None:
    """Return the camera of a relative path; None: not one of our paths."""
    match = _PATH.fullmatch(path)
    return match["slug"] if match else None


def open_directory(root: Path, slug: str) -> int:
    """Return a descriptor of a camera's directory, which is created if it does not exist. Raises: OSError."""
    (root / slug).mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(root / slug, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def create_segment(directory: int, slug: str, start_ns: int) -> tuple[str, int]:
    """Create a new file of mode 0600, locked against repair. `directory`: from `open_directory`.

    Return its path relative to the root, if the directory still has the name `slug`, and a descriptor for writing.
    Raises: OSError.
    """
    for repeat in range(MAX_SAME_SECOND):
        path = segment_path(slug, start_ns, repeat)
        _, day, hour, name = path.split("/")
        for each in (day, f"{day}/{hour}"):
            with contextlib.suppress(FileExistsError):
                os.mkdir(each, 0o700, dir_fd=directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(f"{day}/{hour}/{name}", flags, 0o600, dir_fd=directory)
        except FileExistsError:
            continue
        with contextlib.suppress(OSError):  # Some network file systems do not support locks.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return path, descriptor
    raise FileExistsError(f"{MAX_SAME_SECOND} recordings of {slug} began in the same second")


def iter_paths(root: Path, slug: str | None = None) -> Iterator[str]:
    """Return the relative paths of all files that follow the layout, of one camera or of all, by time."""
    for camera in [slug] if slug is not None else _names(root):
        for day in _names(root / camera):
            for hour in _names(root / camera / day):
                for name in _names(root / camera / day / hour):
                    path = f"{camera}/{day}/{hour}/{name}"
                    if slug_of(path) is not None:
                        yield path


def remove_empty(directory: Path) -> None:
    """Remove the directory of a camera and its subdirectories if they are empty."""
    for day in _names(directory):
        for hour in _names(directory / day):
            with contextlib.suppress(OSError):
                (directory / day / hour).rmdir()
        with contextlib.suppress(OSError):
            (directory / day).rmdir()
    with contextlib.suppress(OSError):
        directory.rmdir()


def _names(directory: Path) -> list[str]:
    """Return the names in a directory; [] if it is not a directory, or no longer exists."""
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []
