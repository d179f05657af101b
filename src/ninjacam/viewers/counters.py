"""The counters of all ASGI workers of this host. Any worker can sum them.

Each worker keeps its own counters in a small file of the run directory, locked while it runs. A worker that finds a
file without a lock adds its counters to those of ended workers, so the sums never decrease.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger("ninjacam.viewers")

FIGURES = (
    ("viewers", "gauge", "Open live streams."),
    ("feeds", "gauge", "Local streams that the workers read."),
    ("viewers_served_total", "counter", "Live streams opened."),
    ("viewers_cut_slow_total", "counter", "Viewers disconnected because they were too slow."),
    ("viewers_cut_revoked_total", "counter", "Viewers disconnected because they lost their permission."),
    ("messages_sent_total", "counter", "Messages sent."),
    ("bytes_sent_total", "counter", "Bytes of frames sent."),
    ("frames_dropped_total", "counter", "Frames dropped for slow viewers."),
)
_VALUES = struct.Struct(f"<{len(FIGURES)}Q")
_ENDED = "web-ended.counters"
MAX_FILES = 1024
"""Maximum number of files, far more than the workers of any host."""


class Counters:
    """The counters of one worker. Thread: that of the event loop for `publish`, any for `total`."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._path: Path | None = None
        self._descriptor = -1
        self._own = (0,) * len(FIGURES)
        self._warned = False

    def publish(self, values: Sequence[int]) -> None:
        """Store values in the order of FIGURES."""
        self._own = tuple(values)
        try:
            if self._descriptor < 0:
                self._open()
            os.pwrite(self._descriptor, _VALUES.pack(*self._own), 0)
        except OSError as exc:
            if not self._warned:
                self._warned = True
                logger.warning("the metrics of this worker are not shared: %s", exc.strerror)

    def _open(self) -> None:
        """Create and lock the file. Raises: OSError: the run directory does not exist yet, or belongs to another
        user."""
        path = self._run_dir / f"web-{os.getpid()}-{secrets.token_hex(4)}.counters"
        # Otherwise, another worker could mistake it for the file of an ended worker.
        ended = self._lock_ended()
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(ended)
        self._path, self._descriptor = path, descriptor
        self.total()  # Clean up after workers whose metrics were never requested.

    def _lock_ended(self) -> int:
        """Return a descriptor of the file for ended workers, locked until it is closed. Raises: OSError."""
        ended = os.open(self._run_dir / _ENDED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(ended, fcntl.LOCK_EX)
        return ended

    def total(self) -> tuple[list[int], int]:
        """Return (the sums in the order of FIGURES, the number of running workers). May wait for another worker."""
        sums, workers = list(self._own), 1
        try:
            ended = self._lock_ended()
        except OSError:
            return sums, workers
        try:
            for path in sorted(self._run_dir.glob("web-*-*.counters"))[:MAX_FILES]:
                if path == self._path:
                    continue
                values = self._read_or_retire(path, ended)
                if values is not None:
                    workers += 1
                    sums = _add(sums, values)
            return _add(sums, _read(ended)), workers
        finally:
            os.close(ended)

    def _read_or_retire(self, path: Path, ended: int) -> Sequence[int] | None:
        """Return the values of a running worker; None: it has ended, and is counted among the ended ones.

        After a crash between writing and removing, it is counted twice, which is better than decreasing.
        """
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            values = _read(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return values
            counted = [
                value if kind == "counter" else 0 for value, (_, kind, _) in zip(values, FIGURES, strict=True)
            ]
            os.pwrite(ended, _VALUES.pack(*_add(_read(ended), counted)), 0)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Release the file. Published values stay counted. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._path = None


def _read(descriptor: int) -> Sequence[int]:
    data = os.pread(descriptor, _VALUES.size, 0)
    return _VALUES.unpack(data) if len(data) == _VALUES.size else (0,) * len(FIGURES)


def _add(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [(first + second) % 2**64 for first, second in zip(one, other, strict=True)]
