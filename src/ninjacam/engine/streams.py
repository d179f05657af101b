"""The last known format of each stream, by which a stream is selected while it is not connected.

Pure bookkeeping, and the loop that writes changes. Not here: storage (`ninjacam.adapters`).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock, until_tick_s
from ninjacam.core.packets import CameraState
from ninjacam.core.streams import MAIN
from ninjacam.engine.specs import CameraSpec
from ninjacam.engine.storage import StorageThread

LOOK_EVERY_S = 5.0
WRITE_EVERY_S = 60.0
"""Minimum seconds between two writes for the same stream."""
MIN_CHANGE = 0.25
"""Minimum change of the frame rate or bitrate, as a fraction, that is written."""


@dataclass(frozen=True, slots=True)
class SeenStream:
    """The last known format of a stream, identified by `slug` and `name`. `seen_ns`: wall clock."""

    slug: str
    name: str
    codec: str
    width_px: int
    height_px: int
    fps: float
    bitrate_bps: int
    seen_ns: int

    def differs(self, other: "SeenStream") -> bool:
        """Return whether the difference is large enough to be written."""
        same = (self.codec, self.width_px, self.height_px) == (other.codec, other.width_px, other.height_px)
        return (
            not same or _has_changed(self.fps, other.fps) or _has_changed(self.bitrate_bps, other.bitrate_bps)
        )


def _has_changed(now: float, before: float) -> bool:
    return abs(now - before) > MIN_CHANGE * before


class StreamLog(Protocol):
    """Stores the formats of streams."""

    def put(self, seen: Sequence[SeenStream]) -> None:
        """Write the formats. Called in one thread. Raises: NinjacamError: the database is unavailable."""


class StreamKeeper:
    """Compares reports with the stored formats."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._written: dict[tuple[str, str], tuple[SeenStream, int]] = {}

    def find_changes(
        self, specs: Iterable[CameraSpec], cameras: Mapping[str, Mapping[str, Any]]
    ) -> list[SeenStream]:
        """Return the formats to write. `cameras`: the status of all cameras."""
        now_ns = self._clock.monotonic_ns()
        found: list[SeenStream] = []
        known: set[tuple[str, str]] = set()
        for spec in specs:
            for name, width_px, report in _reports(spec, cameras.get(spec.slug, {})):
                known.add((spec.slug, name))
                if (seen := self._read(spec.slug, name, report)) is None:
                    continue
                before, at_ns = self._written.get((spec.slug, name), (None, 0))
                if before is None or (
                    now_ns - at_ns >= WRITE_EVERY_S * 1e9
                    and (seen.differs(before) or seen.width_px != width_px)
                ):
                    found.append(seen)
        self._written = {key: value for key, value in self._written.items() if key in known}
        return found

    def mark_written(self, seen: Iterable[SeenStream]) -> None:
        now_ns = self._clock.monotonic_ns()
        self._written |= {(each.slug, each.name): (each, now_ns) for each in seen}

    def _read(self, slug: str, name: str, report: Mapping[str, Any]) -> SeenStream | None:
        """Return the format, or None if the stream is not live, or its rate is not known yet."""
        if report.get("state") != CameraState.LIVE or not (report.get("width") and report.get("fps")):
            return None
        return SeenStream(
            slug=slug,
            name=name,
            codec=report["codec"],
            width_px=report["width"],
            height_px=report["height"],
            fps=report["fps"],
            bitrate_bps=report["bitrate_bps"],
            seen_ns=self._clock.wall_ns(),
        )


def _reports(spec: CameraSpec, status: Mapping[str, Any]) -> Iterator[tuple[str, int, Mapping[str, Any]]]:
    """Yield (name, width in the database, report) of each stream."""
    yield MAIN, spec.width_px, status
    for stream in spec.streams:
        yield stream.name, stream.width_px, status.get("streams", {}).get(stream.name, {})


class StreamWriter:
    """Writes changes to the log, and retries while the log is unavailable. Thread: the event loop.

    `look()`: returns the specifications and the status of all cameras.
    """

    def __init__(
        self,
        log: StreamLog,
        storage: StorageThread,
        look: Callable[[], tuple[Iterable[CameraSpec], Mapping[str, Mapping[str, Any]]]],
        *,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._keeper = StreamKeeper(clock)
        self._log = log
        self._storage = storage
        self._look = look
        self._clock = clock

    async def run(self) -> None:
        """Run until cancelled."""
        while True:
            await self._clock.sleep(until_tick_s(LOOK_EVERY_S, self._clock))
            await self.write_once()

    async def write_once(self) -> None:
        changes = self._keeper.find_changes(*self._look())
        if changes and await self._storage.run(lambda: self._put(changes)) is not None:
            self._keeper.mark_written(changes)

    def _put(self, changes: list[SeenStream]) -> int:
        self._log.put(changes)
        return len(changes)
