"""One event for each visit: what the ready-made processors that detect objects have in common. Not a processor."""

from collections.abc import Sequence
from typing import Any

from ninjacam import Box, Frame, Processor, Zone, events
from ninjacam.core.errors import InvalidError
from ninjacam.processors.saved_events import SaveTimer, end_saved
from ninjacam.tracking import Tracker, Visit, Visits, VisitUpdate

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
        self._with_event: set[int] = set()
        """Visits whose event has begun. Of others, the object has not been in a zone yet."""
        self._is_restored = False
        self._zones: dict[int, set[str]] = {}
        self._changed: set[int] = set()
        self._timer = SaveTimer()
        self._restore(processor.load_state())

    @property
    def ongoing(self) -> int:
        """The number of ongoing visits."""
        return len(self._visits.ongoing)

    def has_seen(self, frame: Frame) -> bool:
        """Return whether the previous instance has seen the frame. Call it before `update`."""
        return self._visits.has_seen(frame.captured_ns)

    def update(self, found: list[Box], frame: Frame) -> tuple[list[Box], VisitUpdate]:
        """Return the boxes that are not in masks, with their tracks, and the changes of visits.

        Call it for each frame, also without boxes.
        """
        tracked = self._tracker.update(
            [box for box in found if not _is_masked(box, frame)], frame.captured_ns
        )
        update = self._visits.update(tracked, frame.captured_ns)
        self._note_zones(tracked, frame)
        begun = [visit for visit in self._visits.ongoing if self._should_begin(visit, frame)]
        self._with_event |= {visit.id for visit in begun}
        ended = [visit for visit in update.ended if visit.id in self._with_event]
        for visit in update.ended:
            self._with_event.discard(visit.id)
        if begun or update.ended or self._timer.is_due(frame.captured_ns):
            # First: after a restart, it must contain each event that begins now, and each one that ends.
            self.save(frame, ended)
        # After a restart, it may be that an event which ends now has not been written.
        for visit in [*begun, *(ended if self._is_restored else ())]:
            self._begin(visit, frame)
        self._send_changes(frame, update)
        self._send_ends(ended)
        for visit in update.ended:
            self._zones.pop(visit.id, None)
        return tracked, update

    def _note_zones(self, tracked: list[Box], frame: Frame) -> None:
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"]
        for visit in self._visits.ongoing:
            seen = self._zones.setdefault(visit.id, set())
            is_seen = any(visit.box is box for box in tracked)
            inside = _zones_at(visit.box, zones) if is_seen else set()
            if not inside <= seen:
                self._changed.add(visit.id)
                seen |= inside

    def _should_begin(self, visit: Visit, frame: Frame) -> bool:
        """Return whether the event of a visit begins now: at once, or when its object is in one of the zones."""
        has_zones = any(zone.kind == "zone" for zone in frame.zones.values())
        return visit.id not in self._with_event and (bool(self._zones.get(visit.id)) or not has_zones)

    def _begin(self, visit: Visit, frame: Frame) -> None:
        events.begin(
            self._processor.camera,
            to_kind(visit.label),
            label=visit.label,
            start=min(visit.start, frame.captured_at),  # The clock may have been set back meanwhile.
            sighting=self._sighting(visit, frame),
            key=self._key_of(visit),
        )

    def _send_changes(self, frame: Frame, update: VisitUpdate) -> None:
        changed = self._changed | {visit.id for visit in update.updated}
        self._changed = set()
        for visit in self._visits.ongoing:
            if visit.id not in self._with_event:
                continue
            if self._is_restored:
                self._begin(visit, frame)  # It may not have been written before the restart.
            elif visit.id in changed:
                self._event_of(visit).update(sighting=self._sighting(visit, frame))
        self._is_restored = False

    def _send_ends(self, ended: list[Visit]) -> None:
        for visit in ended:
            data = {"detections": visit.detections, "seconds": round(visit.seconds, 1)}
            self._event_of(visit).end(visit.end, data=data)

    def _key_of(self, visit: Visit) -> str:
        return f"{self._processor.name}-{self._processor.camera}-{visit.start_ns}-{visit.id}"

    def _event_of(self, visit: Visit) -> events.OngoingEvent:
        return events.resume(self._processor.camera, self._key_of(visit))

    def _sighting(self, visit: Visit, frame: Frame) -> events.Sighting:
        zones = tuple(sorted(self._zones.get(visit.id, ())))
        return events.Sighting.of(visit.best.box, frame, at_ns=visit.best.captured_ns, zones=zones)

    def save(self, frame: Frame, ended: Sequence[Visit] = ()) -> None:
        """Save the visits as of this frame. `ended`: those whose events end now, in case their ends are not written."""
        self._timer.restart(frame.captured_ns)
        self._processor.save_state(
            {
                "visits": self._visits.state(),
                "ended": [{"keys": [self._key_of(visit)], "last_ns": visit.end_ns} for visit in ended],
                "with_event": {
                    str(visit.id): self._key_of(visit)
                    for visit in self._visits.ongoing
                    if visit.id in self._with_event
                },
                "zones": {str(visit): sorted(zones) for visit, zones in self._zones.items()},
            }
        )

    def _restore(self, state: Any) -> None:
        """Continue the visits of the previous instance. Its events end if the state cannot be used."""
        if not isinstance(state, dict):
            return
        ended = state.get("ended")
        for each in ended if isinstance(ended, list) else []:
            end_saved(self._processor.camera, each)
        try:
            with_event = {int(visit) for visit in state["with_event"]}
            zones = {int(visit): set(map(str, names)) for visit, names in state["zones"].items()}
            self._visits.restore(state["visits"])
        except (InvalidError, LookupError, TypeError, ValueError, AttributeError):
            saved = state.get("with_event")
            end_saved(
                self._processor.camera, {"keys": list(saved.values()) if isinstance(saved, dict) else []}
            )
            return
        self._with_event, self._zones = with_event, zones
        self._is_restored = True


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
