"""Detects from its files whether a SQLite database may have changed: two stats instead of a query."""

import os
from collections.abc import Collection

from django.db import connections

from ninjacam.core.clock import Clock

SETTLED_NS = 2 * 10**9
"""Minimum age of a modification. A more recently modified file may change again without a new timestamp: file
systems have resolutions of up to two seconds."""

_Mark = tuple[int, int, int] | None


class SqliteFiles:
    """The database file and its write-ahead log. Every commit changes one of them (https://sqlite.org/wal.html)."""

    def __init__(self, path: str, clock: Clock) -> None:
        self._paths = (path, f"{path}-wal")
        self._clock = clock
        self._marks: tuple[_Mark, ...] | None = None
        """None: unknown, or the files are too recent to be compared."""

    @classmethod
    def of(cls, aliases: Collection[str], clock: Clock) -> "SqliteFiles | None":
        """Return the files of these databases; None: they are not a single SQLite database in a file."""
        (alias, *others) = aliases
        connection = connections[alias]
        path = str(connection.settings_dict["NAME"])
        if others or connection.vendor != "sqlite" or not os.path.isfile(path):
            return None
        return cls(path, clock)

    def note(self) -> None:
        """Store the current state of the files."""
        marks = tuple(_mark(path) for path in self._paths)
        last_ns = max((mark[2] for mark in marks if mark is not None), default=0)
        # Also False if a file's time is in the future, after the wall clock was set back.
        is_settled = last_ns + SETTLED_NS < self._clock.wall_ns()
        self._marks = marks if is_settled else None

    def are_unchanged(self) -> bool:
        """Return whether the files are certainly unchanged since the last `note`."""
        return self._marks is not None and self._marks == tuple(_mark(path) for path in self._paths)


def _mark(path: str) -> _Mark:
    """Return (inode, size, modification time in ns); None: there is no such file."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
