"""One event for each visit: what the ready-made processors that detect objects have in common. Not a processor."""

from typing import Any

from ninjacam import Box, Frame, Processor, Zone, events
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import Tracker, Visit, Visits, VisitUpdate

SAVE_EVERY_NS = 2_000_000_000
MAX_TRAIL = 24


class VisitEvents:
    """Tracks the objects that a processor detects, and creates the events of their visits.

    With zones, an event begins when its object is in one of them; objects in masks do not count. `score`,
    `continue_score`: what a visit needs to begin and to continue, 0 to 1. `end_after_s`: seconds out of sight after
    which it ends. Continues the visits of the processor's previous instance: create it in `setup`, which may block.
    """

    def __init__(
        self, processor: Processor, *, score: float, continue_score: float, end_after_s: float
    ) -> None:
        self._processor = processor
        self.min_score = min(continue_score, score)
        """The lowest score that a detector should return."""
        self._tracker = Tracker(start_score=score, continue_score=self.min_score, max_trail=MAX_TRAIL)
        self._visits = Visits(start_score=score, continue_score=self.min_score, end_after_s=end_after_s)
        self._events: dict[int, events.OngoingEvent] = {}
        self._zones: dict[int, set[str]] = {}
        self._saved_ns = 0
        self._restore(processor.load_state())

    @property
    def ongoing(self) -> int:
        """The number of ongoing visits."""
        return len(self._visits.ongoing)

    def update(self, found: list[Box], frame: Frame) -> tuple[list[Box], VisitUpdate]:
        """Return the boxes that are not in masks, with their tracks, and the changes of visits.

        Call it for each frame, also without boxes.
        """
        tracked = self._tracker.update(
            [box for box in found if not _is_masked(box, frame)], frame.captured_at
        )
        update = self._visits.update(tracked, frame.captured_at)
        self._see_zones(frame, update)
        for visit in update.ended:
            self._end(visit)
        if update.started or update.ended or frame.captured_ns - self._saved_ns > SAVE_EVERY_NS:
            self._save(frame)
        return tracked, update

    def _see_zones(self, frame: Frame, update: VisitUpdate) -> None:
        """Begin the events of visits, those of a camera with zones when an object is in one, and keep them current."""
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"]
        changed = {visit.id for visit in update.updated}
        for visit in self._visits.ongoing:
            seen = self._zones.setdefault(visit.id, set())
            inside = _zones_at(visit.box, zones) if visit.end_ns == frame.captured_ns else set()
            is_new = not inside <= seen
            seen |= inside
            if visit.id not in self._events and (seen or not zones):
                self._begin(visit, frame)
            elif visit.id in self._events and (is_new or visit.id in changed):
                self._events[visit.id].update(sighting=self._sighting(visit, frame))

    def _begin(self, visit: Visit, frame: Frame) -> None:
        camera = self._processor.camera
        self._events[visit.id] = events.begin(
            camera,
            to_kind(visit.label),
            label=visit.label,
            start=visit.start,
            sighting=self._sighting(visit, frame),
            key=f"{self._processor.name}-{camera}-{visit.start_ns}-{visit.id}",
        )

    def _sighting(self, visit: Visit, frame: Frame) -> events.Sighting:
        zones = tuple(sorted(self._zones.get(visit.id, ())))
        return events.Sighting.of(visit.best.box, frame, at_ns=visit.best.captured_ns, zones=zones)

    def _end(self, visit: Visit) -> None:
        event = self._events.pop(visit.id, None)
        self._zones.pop(visit.id, None)
        if event is not None:
            event.end(visit.end, data={"detections": visit.detections, "seconds": round(visit.seconds, 1)})

    def _save(self, frame: Frame) -> None:
        self._saved_ns = frame.captured_ns
        self._processor.save_state(
            {
                "visits": self._visits.state(),
                "keys": {str(visit): event.key for visit, event in self._events.items()},
                "zones": {str(visit): sorted(zones) for visit, zones in self._zones.items()},
            }
        )

    def _restore(self, state: Any) -> None:
        """Continue the visits of the previous instance. Its events end if the state cannot be used."""
        if not state:
            return
        camera = self._processor.camera
        open_events = {int(visit): events.resume(camera, key) for visit, key in state["keys"].items()}
        try:
            self._visits.restore(state["visits"])
        except InvalidError:
            for event in open_events.values():
                event.end()
            return
        self._events = open_events
        self._zones = {int(visit): set(zones) for visit, zones in state["zones"].items()}


def to_kind(label: str) -> str:
    """Return a label as the kind of an event."""
    return (
        "".join(each if each.isascii() and each.isalnum() else "_" for each in label.lower())[:32] or "object"
    )


def _foot(box: Box) -> tuple[float, float]:
    """Return where an object stands: the middle of the lower edge of its box."""
    return (float(box.left) + float(box.right)) / 2, float(box.bottom) - 1


def _is_masked(box: Box, frame: Frame) -> bool:
    x, y = _foot(box)
    return any(zone.kind == "mask" and zone.contains(x, y) for zone in frame.zones.values())


def _zones_at(box: Box, zones: list[Zone]) -> set[str]:
    x, y = _foot(box)
    return {zone.name for zone in zones if zone.contains(x, y)}
