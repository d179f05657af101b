"""Maintains the index of the recordings: files that capture reports, files missing from the index, and retention.

Not here: storage of the index (`ninjacam.adapters`), and events (`engine.events`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock, until_tick_s
from ninjacam.engine.bitrates import BitrateChange
from ninjacam.engine.storage import StorageThread
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.engine")

WRITE_EVERY_S = 1.0
RETAIN_EVERY_S = 10.0
COMPARE_EVERY_S = 600.0
MAX_WAITING = 4096
"""Maximum number of files that wait for the database: 4 hours of 16 cameras. Further ones are dropped, and the scan
finds them."""
LOOK_BACK_NS = 24 * 3600 * 10**9
SCAN_EVERY_S = 600.0
SCAN_AGAIN_S = 10.0
"""Seconds after a start or a crash until the scan: by then, capture has restarted and repaired its last files.
"""


class SegmentIndex(Protocol):
    """The index of recordings. All methods but `stop` are called in one thread. Raises: NinjacamError: the database
    is unavailable.
    """

    def add(self, segments: Sequence[SegmentInfo]) -> None:
        """Add or update files in one transaction."""

    def catch_up(self, since_ns: int) -> int:
        """Index the missing or outdated files since then. Return their number."""
        ...

    def retain(self) -> Json:
        """Delete recordings over the limits. Return the usage for the status, including "disk_full" and "disk_low"."""
        ...

    def compare_bitrates(self) -> Mapping[str, BitrateChange]:
        """Return the change of the bitrate of each camera with enough recordings."""
        ...

    def close(self) -> None:
        """End a running call soon. Thread: any."""


class RecordingKeeper:
    """Maintains the index. Thread: the event loop."""

    def __init__(
        self,
        index: SegmentIndex,
        storage: StorageThread,
        *,
        on_disk: Callable[[bool, bool], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create the keeper. `on_disk`: called every ten seconds with whether the disk is full, and whether other
        files fill it."""
        self._index = index
        self._storage = storage
        self._on_disk = on_disk
        self._clock = clock
        self._waiting: dict[str, SegmentInfo] = {}
        self._scan_since_ns: int | None = clock.wall_ns() - LOOK_BACK_NS
        self._scan_at_ns = 0  # Monotonic.
        self._scan_again = True
        self._held: Json = {}
        self._compare_at_ns = 0  # Monotonic.
        self.bitrates: Mapping[str, BitrateChange] = {}

    def hear(self, reported: Sequence[dict[str, Any]]) -> None:
        """Queue reports of files from capture. Only the latest state of each file is kept."""
        for values in reported:
            try:
                segment = SegmentInfo.from_dict(values)
            except TypeError:
                continue  # From another version: the scan finds the file.
            if segment.path in self._waiting or len(self._waiting) < MAX_WAITING:
                self._waiting[segment.path] = segment
            else:
                self.scan_later(segment.start_ns)

    def capture_ended(self) -> None:
        """Schedule a scan, because a capture process died: its last reports may be missing, and its successor
        repairs the files."""
        self.scan_later(self._clock.wall_ns() - LOOK_BACK_NS, after_s=SCAN_AGAIN_S)

    def scan_later(self, since_ns: int, *, after_s: float = 0) -> None:
        at_ns = self._clock.monotonic_ns() + int(after_s * 1e9)
        pending = self._scan_since_ns is not None
        self._scan_since_ns = min(since_ns, self._scan_since_ns or since_ns)
        self._scan_at_ns = min(at_ns, self._scan_at_ns) if pending else at_ns
        self._scan_again = True

    def status(self) -> Json:
        return {**self._held, "waiting": len(self._waiting), "error": self._storage.error}

    async def run(self) -> None:
        """Run until cancelled."""
        retained_ns: int | None = None
        try:
            while True:
                await self._write_once()
                if self._scan_since_ns is None:
                    pause_s = SCAN_AGAIN_S if self._scan_again else SCAN_EVERY_S
                    self.scan_later(self._clock.wall_ns() - LOOK_BACK_NS, after_s=pause_s)
                    self._scan_again = False
                now_ns = self._clock.monotonic_ns()
                if retained_ns is None or now_ns - retained_ns >= RETAIN_EVERY_S * 1e9:
                    retained_ns = now_ns
                    held = await self._storage.run(self._index.retain)
                    if held is not None:
                        self._held = held
                        self._on_disk(bool(held.get("disk_full")), bool(held.get("disk_low")))
                if now_ns >= self._compare_at_ns:
                    self._compare_at_ns = now_ns + int(COMPARE_EVERY_S * 1e9)
                    compared = await self._storage.run(self._index.compare_bitrates)
                    self.bitrates = self.bitrates if compared is None else compared
                await self._clock.sleep(until_tick_s(WRITE_EVERY_S, self._clock))
        finally:
            self._index.close()

    async def _write_once(self) -> None:
        batch, self._waiting = self._waiting, {}
        if batch and await self._storage.run(lambda: self._add(batch)) is None:
            self._waiting = {**batch, **self._waiting}  # Newer reports take precedence.
            while len(self._waiting) > MAX_WAITING:
                self.scan_later(self._waiting.pop(next(iter(self._waiting))).start_ns)
        if self._scan_since_ns is not None and self._clock.monotonic_ns() >= self._scan_at_ns:
            since_ns, self._scan_since_ns = self._scan_since_ns, None
            found = await self._storage.run(lambda: self._index.catch_up(since_ns))
            if found is None:
                self.scan_later(since_ns)
            elif found:
                logger.info("engine: the index has caught up with %d recordings", found)

    def _add(self, batch: dict[str, SegmentInfo]) -> bool:
        self._index.add(list(batch.values()))
        return True
