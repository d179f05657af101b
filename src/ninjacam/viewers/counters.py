"""The counters of all ASGI workers of this host, summed up by any of them.

Each worker keeps its own in a small file of the run directory, locked for as long as it lives. A worker that finds a
file without a lock adds its counters to those of the workers that have ended, so the sums never go backwards.
"""

import contextlib
import fcntl
import logging
import os
import secrets
import struct
from collections.abc import Sequence
from pathlib import Path

logger = logging.getLogger("ninjacam.live")

FIGURES = (
    ("viewers", "gauge", "Open live streams."),
    ("feeds", "gauge", "Local streams that the workers read."),
    ("viewers_served_total", "counter", "Live streams that were opened."),
    ("viewers_cut_slow_total", "counter", "Viewers that were too slow for too long."),
    ("viewers_cut_revoked_total", "counter", "Viewers that lost their permission."),
    ("messages_sent_total", "counter", "Messages sent."),
    ("bytes_sent_total", "counter", "Bytes of pictures sent."),
    ("pictures_dropped_total", "counter", "Pictures that slow viewers did not get."),
)
_VALUES = struct.Struct(f"<{len(FIGURES)}Q")
_ENDED = "web-ended.counters"
MAX_FILES = 1024
"""More workers than anybody has."""


class Counters:
    """Those of one worker. Thread: `publish` the event loop's, `total` any."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._path: Path | None = None
        self._descriptor = -1
        self._own = (0,) * len(FIGURES)
        self._warned = False

    def publish(self, values: Sequence[int]) -> None:
        """Values in the order of FIGURES."""
        self._own = tuple(values)
        try:
            if self._descriptor < 0:
                self._open()
            os.pwrite(self._descriptor, _VALUES.pack(*self._own), 0)
        except OSError as exc:
            if not self._warned:
                self._warned = True
                logger.warning("the metrics of this worker stay its own: %s", exc.strerror)

    def _open(self) -> None:
        """Raises: OSError: there is no run directory yet, or it belongs to another user."""
        path = self._run_dir / f"web-{os.getpid()}-{secrets.token_hex(4)}.counters"
        ended = (
            self._lock_ended()
        )  # else another worker could take the file for one of a worker that has ended
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        finally:
            os.close(ended)
        self._path, self._descriptor = path, descriptor
        self.total()  # tidies up after workers that were never asked for their metrics

    def _lock_ended(self) -> int:
        """A descriptor of the file for workers that have ended, locked until it is closed. Raises: OSError."""
        ended = os.open(self._run_dir / _ENDED, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(ended, fcntl.LOCK_EX)
        return ended

    def total(self) -> tuple[list[int], int]:
        """(the sums in the order of FIGURES, the number of workers that live). May wait for another worker's turn."""
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
        """The values of a worker that lives; None: it has ended, and counts among those that have.

        A death between the writing and the removal counts it twice, which is better than going backwards.
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
        """What was published last stays counted. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._path = None


def _read(descriptor: int) -> Sequence[int]:
    data = os.pread(descriptor, _VALUES.size, 0)
    return _VALUES.unpack(data) if len(data) == _VALUES.size else (0,) * len(FIGURES)


def _add(one: Sequence[int], other: Sequence[int]) -> list[int]:
    return [(first + second) % 2**64 for first, second in zip(one, other, strict=True)]
