"""Collects the events that processors create during a backtest, instead of writing them to the database.

An event that begins, changes and ends is one event. Keys are not kept: those that `events.begin` makes are random.
"""

import time
from dataclasses import dataclass, field, fields
from typing import Any

MAX_EVENTS = 10_000
"""Maximum number of events of one part. Others are counted."""


@dataclass(slots=True)
class CollectedEvent:
    """An event as the database would have it. Times: wall clock, ns. `end_ns`: None: a moment, or `is_ongoing`.

    `seen_ns`: capture time of the frame that its picture shows. `score`, `track`, `box` (fractions) and `zones`: of
    where the object is seen best, if the processor says so. `jpeg`: base64; "": no picture.
    """

    camera: str
    kind: str
    start_ns: int
    label: str = ""
    end_ns: int | None = None
    is_ongoing: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    is_protected: bool = False
    seen_ns: int = 0
    score: float | None = None
    track: int | None = None
    box: tuple[float, ...] | None = None
    zones: tuple[str, ...] = ()
    jpeg: str = ""

    def as_dict(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "CollectedEvent":
        return cls(
            **{
                **values,
                "zones": tuple(values["zones"]),
                "box": None if values["box"] is None else tuple(values["box"]),
            }
        )


class EventCollector:
    """A sink for `ninjacam.events.send_to`. Thread: that of the processor.

    `events`: in the order of their creation. `changed`: indices of those that the last call created or changed.
    `seen`: of these, the ones of which the present frame is the best view.
    """

    def __init__(self) -> None:
        self.events: list[CollectedEvent] = []
        self.changed: dict[int, None] = {}
        self.seen: dict[int, None] = {}
        self.dropped = 0
        self._by_key: dict[tuple[str, str], int] = {}
        self._captured_ns = 0
        self._entered_ns = time.time_ns()

    def enter(self, captured_ns: int) -> None:
        """User code is called with a frame of this time; 0: without a frame, at the time of the last one."""
        self._captured_ns = captured_ns or self._captured_ns
        self._entered_ns = time.time_ns()

    def take_changed(self) -> list[int]:
        """Return the indices of the events that are new or have changed since the last call."""
        changed, self.changed, self.seen = list(self.changed), {}, {}
        return changed

    def put(self, camera: str, item: Any) -> None:
        """Take an `EventInput` or `EventChange` of `ninjacam.actions.events`."""
        if hasattr(item, "kind"):
            self._begin(camera, item)
        else:
            self._change(camera, item)

    def _begin(self, camera: str, item: Any) -> None:
        key = getattr(item, "key", "")
        if key and (camera, key) in self._by_key:
            return
        if len(self.events) >= MAX_EVENTS:
            self.dropped += 1
            return
        start_ns = self._video_time(item.start_ns)
        end_ns = self._video_time(item.end_ns) if item.end_ns else None
        if item.duration_ns is not None:
            end_ns = start_ns + item.duration_ns
        event = CollectedEvent(
            camera,
            item.kind,
            start_ns,
            item.label,
            end_ns,
            bool(item.ongoing),
            dict(item.data),
            item.protected,
        )
        event.seen_ns = self._captured_ns
        index = len(self.events)
        self.events.append(event)
        if key:
            self._by_key[camera, key] = index
        self.changed[index] = self.seen[index] = None
        self._see(index, getattr(item, "sighting", None))

    def _change(self, camera: str, item: Any) -> None:
        """A change of an event of an earlier run is ignored, as that of an unknown event."""
        index = self._by_key.get((camera, getattr(item, "key", "")))
        if index is None:
            return
        event = self.events[index]
        self.changed[index] = None
        if getattr(item, "label", None) is not None:
            event.label = item.label
        if getattr(item, "data", None):
            event.data |= item.data
        if getattr(item, "end_ns", None) is not None:
            event.end_ns, event.is_ongoing = self._video_time(item.end_ns), False
        self._see(index, getattr(item, "sighting", None))

    def _see(self, index: int, sighting: Any) -> None:
        if sighting is None:
            return
        event = self.events[index]
        event.score, event.track, event.zones = sighting.score, sighting.track, tuple(sighting.zones)
        event.box = None if sighting.box is None else tuple(sighting.box)
        if sighting.at_ns == self._captured_ns:
            event.seen_ns = sighting.at_ns
            self.seen[index] = None

    def _video_time(self, wall_ns: int | None) -> int:
        """Return the time of the frame for an event without a time: it got the present time of this host."""
        if wall_ns is None or self._entered_ns <= wall_ns <= time.time_ns():
            return self._captured_ns
        return wall_ns
