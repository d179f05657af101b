"""What capture reports of its files goes to the index; retention; the scan for what the index has missed; events.

All of the index's and the log's work is done by one thread, so that adding, scanning and deleting never cross each
other, and the event loop never waits for the database or the disk. Not here: where they are (the Django edge).
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import NinjacamError
from ninjacam.engine.events import DISK_FULL, DISK_LOW, EngineEvent, EventKeeper, EventLog
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.engine")

WRITE_EVERY_S = 1.0
RETAIN_EVERY_S = 10.0
MAX_WAITING = 4096
"""Files that wait for the database: 4 hours of 16 cameras. Beyond, they are forgotten, and found by the scan."""
LOOK_BACK_NS = 24 * 3600 * 10**9
SCAN_EVERY_S = 600.0
SCAN_AGAIN_S = 10.0
"""After the start and after a death: a capture is back by then, has mended its last files, and they look at rest."""

T = TypeVar("T")


class SegmentIndex(Protocol):
    """Where recordings are listed. All is called in one thread. Raises: NinjacamError: the database is away."""

    def add(self, segments: Sequence[SegmentInfo]) -> None:
        """One transaction. A file that is listed already is brought up to date."""

    def catch_up(self, since_ns: int) -> int:
        """List the files since then that are not, or not rightly; how many."""
        ...

    def retain(self) -> Json:
        """Delete what has to go; return what is held, for the status, "disk_full" and "disk_low" among it."""
        ...

    def close(self) -> None:
        """From any thread: whatever runs ends soon."""


class RecordingKeeper:
    """Thread: the event loop."""

    def __init__(
        self, index: SegmentIndex, log: EventLog | None = None, *, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self._index = index
        self._log = log
        self._events = EventKeeper(clock=clock)
        self._clock = clock
        self._waiting: dict[str, SegmentInfo] = {}
        self._scan_since_ns: int | None = clock.wall_ns() - LOOK_BACK_NS
        self._scan_at_ns = 0  # monotonic
        self._scan_again = True
        self._held: Json = {}
        self._error: Json | None = None

    def hear(self, reported: Sequence[dict[str, Any]]) -> None:
        """What capture says of its files. Only their latest state is kept."""
        for values in reported:
            try:
                segment = SegmentInfo.from_dict(values)
            except TypeError:
                continue  # of another version: the scan finds the file
            if segment.path in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[segment.path] = segment
            else:
                self.scan_later(segment.start_ns)

    def see_cameras(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        """What all cameras that are wanted do now: makes events of it."""
        self._events.see_cameras(cameras)

    def capture_ended(self) -> None:
        """Its last words may be missing, and its successor mends the files."""
        self.scan_later(self._clock.wall_ns() - LOOK_BACK_NS, after_s=SCAN_AGAIN_S)

    def scan_later(self, since_ns: int, *, after_s: float = 0) -> None:
        at_ns = self._clock.monotonic_ns() + int(after_s * 1e9)
        pending = self._scan_since_ns is not None
        self._scan_since_ns = min(since_ns, self._scan_since_ns or since_ns)
        self._scan_at_ns = min(at_ns, self._scan_at_ns) if pending else at_ns
        self._scan_again = True

    def status(self) -> Json:
        return {
            **self._held,
            "disk_full": self._events.host_has(DISK_FULL),
            "disk_low": self._events.host_has(DISK_LOW),
            "events": dict(self._events.begun),
            "waiting": len(self._waiting),
            "error": self._error,
        }

    async def run(self) -> None:
        """Until cancelled."""
        worker = ThreadPoolExecutor(1, thread_name_prefix="engine-index")
        retained_ns: int | None = None
        try:
            while True:
                await self._write_once(worker)
                await self._write_events(worker)
                if self._scan_since_ns is None:
                    pause_s = SCAN_AGAIN_S if self._scan_again else SCAN_EVERY_S
                    self.scan_later(self._clock.wall_ns() - LOOK_BACK_NS, after_s=pause_s)
                    self._scan_again = False
                now_ns = self._clock.monotonic_ns()
                if retained_ns is None or now_ns - retained_ns >= RETAIN_EVERY_S * 1e9:
                    retained_ns = now_ns
                    held = await self._ask(worker, self._index.retain)
                    if held is not None:
                        self._held = held
                        self._events.see_disk(
                            is_full=bool(held.get("disk_full")), is_low=bool(held.get("disk_low"))
                        )
                await self._clock.sleep(WRITE_EVERY_S)
        finally:
            self._index.close()
            worker.shutdown(wait=False, cancel_futures=True)

    async def _write_once(self, worker: ThreadPoolExecutor) -> None:
        batch, self._waiting = self._waiting, {}
        if batch and await self._ask(worker, lambda: self._add(batch)) is None:
            self._waiting = {**batch, **self._waiting}  # what came meanwhile is newer
            while len(self._waiting) > MAX_WAITING:
                self.scan_later(self._waiting.pop(next(iter(self._waiting))).start_ns)
        if self._scan_since_ns is not None and self._clock.monotonic_ns() >= self._scan_at_ns:
            since_ns, self._scan_since_ns = self._scan_since_ns, None
            found = await self._ask(worker, lambda: self._index.catch_up(since_ns))
            if found is None:
                self.scan_later(since_ns)
            elif found:
                logger.info("engine: the index has caught up with %d recordings", found)

    async def _write_events(self, worker: ThreadPoolExecutor) -> None:
        log = self._log
        if log is None:
            return
        if not self._events.adopted:
            going_on = await self._ask(worker, log.going_on)
            if going_on is None:
                return
            self._events.adopt(going_on)
        events = self._events.take()

        def put(events: list[EngineEvent]) -> bool:
            log.put(events)
            return True

        if events and await self._ask(worker, lambda: put(events)) is None:
            self._events.give_back(events)

    def _add(self, batch: dict[str, SegmentInfo]) -> bool:
        self._index.add(list(batch.values()))
        return True

    async def _ask(self, worker: ThreadPoolExecutor, work: Callable[[], T]) -> T | None:
        """None: the index is away, which is said once."""
        try:
            answer = await asyncio.get_running_loop().run_in_executor(worker, work)
        except NinjacamError as exc:
            if self._error is None:
                logger.warning("engine: the index of the recordings is away: %s", exc)
            self._error = exc.as_dict()
            return None
        self._error = None
        return answer
