"""The thread of a capture process that writes recordings, so that a slow disk does not delay live video."""

import logging
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import RecordingError
from ninjacam.recordings.cutter import Job
from ninjacam.recordings.files import CameraFiles
from ninjacam.recordings.recorder import Recorder
from ninjacam.recordings.repair import repair_newest
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.recordings.sync import DiskSync

logger = logging.getLogger("ninjacam.recordings")

PERIOD_S = 60.0
MAX_WAITING_BYTES = 64 << 20
"""Maximum number of bytes that wait for the disk, for all cameras of the process."""
MAX_UNREPORTED = 10_000
"""Maximum number of segments that are kept until an engine requests the report. The engine's scan finds dropped
ones."""


class RecordingWriter:
    """Owns the thread. `open`, `report`, `close`: called from the event loop; they do not block."""

    def __init__(
        self,
        root: Path,
        *,
        period_s: float = PERIOD_S,
        max_waiting_bytes: int = MAX_WAITING_BYTES,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._root = root
        self._period_s = period_s
        self._max_waiting_bytes = max_waiting_bytes
        self._clock = clock
        self._sync = DiskSync(root)
        self._waiting_bytes = 0
        self._lock = threading.Lock()  # Guards the waiting and unreported data.
        self._unreported: dict[str, SegmentInfo] = {}
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    def open(self, slug: str) -> Recorder:
        """Return a recorder for a camera, and repair the camera's newest file, if a crash left it incomplete."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recordings", daemon=True)
            self._thread.start()
        files = CameraFiles(
            self._root,
            slug,
            self._on_segment,
            period_s=self._period_s,
            on_grown=self._sync.schedule,
            clock=self._clock,
        )
        too_slow: list[RecordingError] = []

        def hand_on(job: Job) -> bool:
            with self._lock:
                if self._waiting_bytes + job.size_bytes > self._max_waiting_bytes:
                    full = True
                else:
                    full = False
                    self._waiting_bytes += job.size_bytes
            if full:
                if not too_slow:
                    too_slow.append(RecordingError(_TOO_SLOW))
                    logger.error("%s: %s", slug, _TOO_SLOW)
                return False
            self._jobs.put(lambda: self._write(files, job))
            too_slow.clear()
            return True

        def state() -> dict[str, Any]:
            error = too_slow[0] if too_slow else files.error
            return {
                "state": "failing" if error else "recording" if files.is_open else "waiting",
                "error": error.as_dict() if error else None,
                "size_bytes": files.size_bytes,
                "failures": files.failures,
            }

        self._jobs.put(lambda: self._repair(slug))
        return Recorder(
            hand_on=hand_on, end_file=lambda: self._jobs.put(files.pause), state=state, clock=self._clock
        )

    def report(self) -> list[dict[str, Any]]:
        """Return the segments that are new or have grown since the last call, as dicts."""
        with self._lock:
            segments, self._unreported = self._unreported, {}
        return [segment.as_dict() for segment in segments.values()]

    def close(self) -> None:
        """Stop accepting data. The thread ends when all data is written; `join` waits for it."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait until all data is written, or for the timeout. Return whether it is written."""
        if self._thread is None:
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    # --- the thread ---

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                job()
            except Exception:
                # The boundary: a bug caused by one camera must not end the recording of others.
                logger.exception("recordings: unexpected error")
        self._sync.close()

    def _write(self, files: CameraFiles, job: Job) -> None:
        try:
            files.write(job)
        finally:
            with self._lock:
                self._waiting_bytes -= job.size_bytes

    def _repair(self, slug: str) -> None:
        for segment in repair_newest(self._root, slug):
            self._on_segment(segment)

    def _on_segment(self, segment: SegmentInfo) -> None:
        with self._lock:
            self._unreported.pop(segment.path, None)
            self._unreported[segment.path] = segment
            while len(self._unreported) > MAX_UNREPORTED:
                del self._unreported[next(iter(self._unreported))]


_TOO_SLOW = "The disk is too slow for the recordings, so some are dropped. Recording continues by itself."
