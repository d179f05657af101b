"""Conditions that the engine observes: cameras that are down, recordings that fail, a full disk.

Each is one event that lasts while the condition holds. Pure bookkeeping: `engine.event_writer` writes changes to the
log. Not here: storage of the log (`ninjacam.adapters`).
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
"""Maximum number of events that wait for the database. Beyond it, the oldest are dropped."""
MAX_LABEL = 200
HOST = ""
"""Key for events of the host, in place of a camera."""
_DOWN = {CameraState.STALLED, CameraState.RECONNECTING, CameraState.FAILED}


def _label(error: Mapping[str, Any]) -> str:
    """Return the text for viewers, because users who may replay the camera read it."""
    return str((for_viewers(error) or {}).get("message", ""))


@dataclass(frozen=True, slots=True)
class ConditionRule:
    """An event begins when the condition has held for `begin_after_s`, and ends when it has not held for
    `end_after_s`. The event's times are those of the changes."""

    kind: str
    begin_after_s: float
    end_after_s: float
    triggers_recording: bool = False


CAMERA_DOWN = ConditionRule("camera_down", 5, 5)
RECORDING_FAILED = ConditionRule("recording_failed", 3, 30)
DISK_FULL = ConditionRule("disk_full", 0, 600)
"""Ends late: if recordings fill the disk constantly, the oldest file is deleted about once per file length.
"""
SCENE_END_AFTER_S = 30.0
"""Seconds within which a new engine detects that a condition continues."""
DISK_LOW = ConditionRule("disk_low", 0, 60)
"""Files other than recordings fill the disk."""
SCENE_RULES = {
    code: ConditionRule(f"camera_{code}", 0, SCENE_END_AFTER_S) for code in ("black", "covered", "frozen")
}
"""By the code of the finding (`engine.findings`), which has its own delay."""
RULES = (CAMERA_DOWN, RECORDING_FAILED, DISK_FULL, DISK_LOW, *SCENE_RULES.values())
DEVICE_END_AFTER_S = 5.0
"""Cameras report motion repeatedly: reports within this time are one event."""
DISK_LOW_TEXT = (
    "Other files fill the disk of the recordings, so recordings cannot grow any more. "
    "Free some space, or lower free_bytes in RETENTION."
)
_OWN_KINDS = frozenset(rule.kind for rule in RULES)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """An event, identified by `slug`, `kind` and `start_ns`. `end_ns`: None while it is ongoing. Times: wall clock."""

    slug: str
    kind: str
    start_ns: int
    end_ns: int | None = None
    label: str = ""
    data: Json = field(default_factory=dict)
    triggers_recording: bool = False


class EventLog(Protocol):
    """Stores events. All methods are called in one thread. Raises: NinjacamError: the database is unavailable."""

    def ongoing(self) -> Sequence[EngineEvent]:
        """Return the engine's own events that have not ended, oldest first."""
        ...

    def put(self, events: Sequence[EngineEvent]) -> None:
        """Create or update events in one transaction."""


@dataclass(slots=True)
class _Condition:
    """A condition of one kind and camera. The times since which it `holds` or not: monotonic and wall clock.
    `event`: the ongoing event."""

    holds: bool
    since_ns: int
    since_wall_ns: int
    event: EngineEvent | None = None


class EventKeeper:
    """Tracks all conditions. Creates no event before `adopt`, so that no event is created twice. Thread: the event
    loop."""

    def __init__(self, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._conditions: dict[Key, _Condition] = {}
        self._waiting: dict[tuple[str, str, int], EngineEvent] = {}
        self._of_devices: set[Key] = set()
        """Camera and kind of events that cameras report, while they are ongoing."""
        self.adopted = False
        self.begun: Counter[str] = Counter({rule.kind: 0 for rule in RULES})
        """Number of events of each kind that this engine has created."""

    # --- observations ---

    def observe_cameras(self, cameras: Mapping[str, Mapping[str, Any]]) -> None:
        """Process the status of all configured cameras. Events of a removed camera end."""
        if not self.adopted:
            return
        for slug, status in cameras.items():
            self._observe_camera(slug, status)
            self._observe_scene(slug, status.get("findings") or ())
            self._observe_device(slug, status.get("device_events") or {})
        for slug, kind in [key for key in self._conditions if key[0] != HOST and key[0] not in cameras]:
            self._end(self._conditions.pop((slug, kind)), self._clock.wall_ns())

    def _observe_camera(self, slug: str, status: Mapping[str, Any]) -> None:
        state, error = status.get("state"), status.get("error") or {}
        if state != CameraState.CONNECTING:  # The camera is neither down nor up.
            down = state in _DOWN
            data = {"state": str(state), "code": error.get("code", "")}
            self._observe(CAMERA_DOWN, slug, down, _label(error), data, status.get("last_video_ns"))
        recording = status.get("recording")
        if recording is not None or state == CameraState.DISABLED:
            error = (recording or {}).get("error") or {}
            failing = (recording or {}).get("state") == "failing"
            data = {"code": error.get("code", "")}
            self._observe(RECORDING_FAILED, slug, failing, _label(error), data)

    def _observe_scene(self, slug: str, findings: Iterable[Mapping[str, Any]]) -> None:
        found = {each["code"]: each for each in findings}
        for code, rule in SCENE_RULES.items():
            finding = found.get(code)
            label, since_ns = (finding["message"], finding["since_ns"]) if finding else ("", None)
            self._observe(rule, slug, finding is not None, label, {}, since_ns)

    def _observe_device(self, slug: str, active: Mapping[str, Mapping[str, Any]]) -> None:
        """Process the events of a camera. `active`: as `devices.events.DeviceEvents.report` returns it."""
        for kind in {*active, *(kind for camera, kind in self._of_devices if camera == slug)}:
            found = active.get(kind)
            rule = ConditionRule(kind, 0, DEVICE_END_AFTER_S, triggers_recording=True)
            label, since_ns = (found["label"], found["since_ns"]) if found else ("", None)
            self._observe(rule, slug, found is not None, label, {}, since_ns)
            self._of_devices.add((slug, kind))
        self._of_devices &= self._conditions.keys()

    def observe_disk(self, is_full: bool, is_low: bool) -> None:
        """Process the state of the disk. `is_full`: recordings were deleted for new ones. `is_low`: other files
        leave too little space."""
        if self.adopted:
            self._observe(
                DISK_FULL,
                HOST,
                is_full,
                "The disk is full. The oldest recordings are deleted to make room.",
                {},
            )
            self._observe(DISK_LOW, HOST, is_low, DISK_LOW_TEXT, {})

    def disk_status(self) -> Json:
        """Return whether the disk's events are ongoing, for the status."""
        return {"disk_full": self._host_has(DISK_FULL), "disk_low": self._host_has(DISK_LOW)}

    def _host_has(self, rule: ConditionRule) -> bool:
        condition = self._conditions.get((HOST, rule.kind))
        return condition is not None and condition.event is not None

    def _observe(
        self,
        rule: ConditionRule,
        slug: str,
        holds: bool,
        label: str,
        data: Json,
        since_wall_ns: int | None = None,
    ) -> None:
        now_ns = self._clock.monotonic_ns()
        condition = self._conditions.get((slug, rule.kind))
        if condition is None:
            if not holds:
                return
            condition = self._conditions[slug, rule.kind] = _Condition(False, now_ns, 0)
        if holds != condition.holds:
            condition.holds, condition.since_ns = holds, now_ns
            condition.since_wall_ns = (holds and since_wall_ns) or self._clock.wall_ns()
        lasted_s = (now_ns - condition.since_ns) / 1e9
        if holds and condition.event is None and lasted_s >= rule.begin_after_s:
            condition.event = EngineEvent(
                slug,
                rule.kind,
                condition.since_wall_ns,
                None,
                label[:MAX_LABEL],
                data,
                rule.triggers_recording,
            )
            self.begun[rule.kind] += 1
            self._enqueue(condition.event)
        elif not holds and (condition.event is None or lasted_s >= rule.end_after_s):
            self._end(self._conditions.pop((slug, rule.kind)), condition.since_wall_ns)

    def _end(self, condition: _Condition, end_ns: int) -> None:
        if condition.event is not None:
            self._enqueue(replace(condition.event, end_ns=max(end_ns, condition.event.start_ns)))

    # --- output to the log ---

    def adopt(self, ongoing: Iterable[EngineEvent]) -> None:
        """Adopt the ongoing events of the previous engine. They end once the condition has ended."""
        self.adopted = True
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        for event in ongoing:
            condition = self._conditions.get((event.slug, event.kind))
            if condition is not None:  # A duplicate: end one of them.
                self._end(condition, event.start_ns)
            self._conditions[event.slug, event.kind] = _Condition(True, now_ns, wall_ns, event)
            if event.kind not in _OWN_KINDS:
                self._of_devices.add((event.slug, event.kind))

    def take(self) -> list[EngineEvent]:
        """Return new and changed events, each in its latest state."""
        waiting, self._waiting = self._waiting, {}
        return list(waiting.values())

    def give_back(self, events: Iterable[EngineEvent]) -> None:
        """Keep these events for the next attempt, unless there are newer states. Call it if the log was unavailable."""
        newer, self._waiting = self._waiting, {}
        for event in (*events, *newer.values()):
            self._enqueue(event)

    def _enqueue(self, event: EngineEvent) -> None:
        self._waiting.pop((event.slug, event.kind, event.start_ns), None)
        self._waiting[event.slug, event.kind, event.start_ns] = event
        while len(self._waiting) > MAX_WAITING:
            gone = self._waiting.pop(next(iter(self._waiting)))
            logger.error(
                "engine: too many events wait for the database; %s of %s is dropped", gone.kind, gone.slug
            )
