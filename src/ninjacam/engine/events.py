"""What the engine sees happen: cameras that are down, recordings that fail, a full disk. One event each, as long as it
lasts. Pure bookkeeping: `engine.event_writer` writes what is new to the log. Not here: where the log is (`adapters`).
"""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.packets import CameraState
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.engine")

MAX_WAITING = 1000
"""Events that wait for the database. Beyond, the oldest are forgotten."""
MAX_LABEL = 200
HOST = ""
"""Instead of a camera."""
_DOWN = {CameraState.STALLED, CameraState.RECONNECTING, CameraState.FAILED}


def _label(error: Mapping[str, Any]) -> str:
    """Users who may replay the camera read it, so it is the text for viewers."""
    return str((for_viewers(error) or {}).get("message", ""))


@dataclass(frozen=True, slots=True)
class Rule:
    """An event begins when it has been so for `begin_after_s`, and ends when it has not for `end_after_s`; it tells the
    times of the changes."""

    kind: str
    begin_after_s: float
    end_after_s: float


CAMERA_DOWN = Rule("camera_down", 5, 5)
RECORDING_FAILED = Rule("recording_failed", 3, 30)
DISK_FULL = Rule("disk_full", 0, 600)
"""Where recordings fill the disk all the time, the oldest is deleted about once in a file's length."""
DISK_LOW = Rule("disk_low", 0, 60)
"""Other files fill the disk."""
RULES = (CAMERA_DOWN, RECORDING_FAILED, DISK_FULL, DISK_LOW)
DISK_LOW_TEXT = (
    "Other files fill the disk of the recordings, so recordings can no longer grow. "
    "Free some space, or lower free_bytes in RETENTION."
)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """`slug`, `kind` and `start_ns` name it. `end_ns`: None: it goes on. Wall clock."""

    slug: str
    kind: str
    start_ns: int
    end_ns: int | None = None
    label: str = ""
    data: Json = field(default_factory=dict)


class EventLog(Protocol):
    """Where events are kept. All is called in one thread. Raises: NinjacamError: the database is away."""

    def ongoing(self) -> Sequence[EngineEvent]:
        """The engine's own that have not ended, the oldest first."""
        ...

    def put(self, events: Sequence[EngineEvent]) -> None:
        """One transaction. One that is there already is brought up to date."""


@dataclass(slots=True)
class _Seen:
    """Of one kind and camera. Since when it `is_so` or is not: monotonic, and by the wall clock. `event`: goes on."""

    is_so: bool
    since_ns: int
    since_wall_ns: int
    event: EngineEvent | None = None


class EventKeeper:
    """Thread: the event loop. Sees nothing before `adopt`, so that no event is told twice."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._seen: dict[Key, _Seen] = {}
        self._waiting: dict[tuple[str, str, int], EngineEvent] = {}
        self.adopted = False
        self.begun: Counter[str] = Counter({rule.kind: 0 for rule in RULES})
        """How many of each kind, by this engine."""

    # --- what happens ---

    def see_cameras(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        """All cameras that are wanted, with their status. For one that is gone, everything is over."""
        if not self.adopted:
            return
        for slug, told in cameras.items():
            state, error = told.get("state"), told.get("error") or {}
            if state != CameraState.CONNECTING:  # neither down nor back
                down = state in _DOWN
                data = {"state": str(state), "code": error.get("code", "")}
                self._see(CAMERA_DOWN, slug, down, _label(error), data, told.get("last_video_ns"))
            recording = told.get("recording")
            if recording is not None or state == CameraState.DISABLED:
                error = (recording or {}).get("error") or {}
                failing = (recording or {}).get("state") == "failing"
                data = {"code": error.get("code", "")}
                self._see(RECORDING_FAILED, slug, failing, _label(error), data)
        for slug, kind in [key for key in self._seen if key[0] != HOST and key[0] not in cameras]:
            self._end(self._seen.pop((slug, kind)), self._clock.wall_ns())

    def see_disk(self, is_full: bool, is_low: bool) -> None:
        """`is_full`: recordings had to make room for recordings. `is_low`: other files leave too little space."""
        if self.adopted:
            self._see(DISK_FULL, HOST, is_full, "The disk is full: the oldest recordings make room.", {})
            self._see(DISK_LOW, HOST, is_low, DISK_LOW_TEXT, {})

    def disk_status(self) -> Json:
        """Return whether the events of the disk are ongoing, for the status."""
        return {"disk_full": self._host_has(DISK_FULL), "disk_low": self._host_has(DISK_LOW)}

    def _host_has(self, rule: Rule) -> bool:
        seen = self._seen.get((HOST, rule.kind))
        return seen is not None and seen.event is not None

    def _see(
        self, rule: Rule, slug: str, is_so: bool, label: str, data: Json, since_wall_ns: int | None = None
    ) -> None:
        now_ns = self._clock.monotonic_ns()
        seen = self._seen.get((slug, rule.kind))
        if seen is None:
            if not is_so:
                return
            seen = self._seen[slug, rule.kind] = _Seen(False, now_ns, 0)
        if is_so != seen.is_so:
            seen.is_so, seen.since_ns = is_so, now_ns
            seen.since_wall_ns = (is_so and since_wall_ns) or self._clock.wall_ns()
        lasted_s = (now_ns - seen.since_ns) / 1e9
        if is_so and seen.event is None and lasted_s >= rule.begin_after_s:
            seen.event = EngineEvent(slug, rule.kind, seen.since_wall_ns, None, label[:MAX_LABEL], data)
            self.begun[rule.kind] += 1
            self._tell(seen.event)
        elif not is_so and (seen.event is None or lasted_s >= rule.end_after_s):
            self._end(self._seen.pop((slug, rule.kind)), seen.since_wall_ns)

    def _end(self, seen: _Seen, end_ns: int) -> None:
        if seen.event is not None:
            self._tell(replace(seen.event, end_ns=max(end_ns, seen.event.start_ns)))

    # --- what the log is told ---

    def adopt(self, ongoing: Iterable[EngineEvent]) -> None:
        """What an engine before this one has begun: it goes on, or it is over as soon as that is seen."""
        self.adopted = True
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        for event in ongoing:
            seen = self._seen.get((event.slug, event.kind))
            if seen is not None:  # told twice
                self._end(seen, event.start_ns)
            self._seen[event.slug, event.kind] = _Seen(True, now_ns, wall_ns, event)

    def take(self) -> list[EngineEvent]:
        """What is new; of each event the latest."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting.values())

    def give_back(self, events: Iterable[EngineEvent]) -> None:
        """The log was away. What came meanwhile is newer."""
        newer, self._waiting = self._waiting, {}
        for event in (*events, *newer.values()):
            self._tell(event)

    def _tell(self, event: EngineEvent) -> None:
        self._waiting.pop((event.slug, event.kind, event.start_ns), None)
        self._waiting[event.slug, event.kind, event.start_ns] = event
        while len(self._waiting) > MAX_WAITING:
            gone = self._waiting.pop(next(iter(self._waiting)))
            logger.error(
                "engine: too many events wait for the database; %s of %s is forgotten", gone.kind, gone.slug
            )
