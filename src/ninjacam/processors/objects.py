"""The ready-made processor `objects`: one event for each visit of a person, a vehicle or an animal."""

from typing import Any

from pydantic import BaseModel, Field

from ninjacam import Box, Frame, Processor, Result, Zone, events, load_model, processor
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import LineCounter, Tracker, Visit, Visits, VisitUpdate

SAVE_EVERY_NS = 2_000_000_000
LABELS = ["person", "bicycle", "car", "motorcycle", "bus", "truck", "dog", "cat"]


class ObjectOptions(BaseModel):
    model: str = Field("yolox-nano", max_length=100, description="A model of `ninjacam models list`.")
    labels: list[str] = Field(
        LABELS, max_length=80, description="What to look for. Empty: all labels of the model."
    )
    score: float = Field(0.5, ge=0.05, le=1, description="Score that a visit needs to begin.")
    continue_score: float = Field(0.2, ge=0.05, le=1, description="Score that continues a visit.")
    end_after_s: float = Field(3, ge=1, le=60, description="Seconds out of sight after which a visit ends.")


@processor("objects", when="motion", fps=5, width_px=640)
class Objects(Processor):
    """Visits of people, vehicles and animals. In zones, if the camera has any; never in masks; lines are counted."""

    Options = ObjectOptions

    def setup(self, camera: str, options: ObjectOptions) -> None:
        self.options = options
        self.model = load_model(options.model)
        self.tracker = Tracker(
            start_score=options.score, continue_score=min(options.continue_score, options.score), max_trail=24
        )
        self.visits = Visits(
            start_score=options.score,
            continue_score=min(options.continue_score, options.score),
            end_after_s=options.end_after_s,
        )
        self.counters: dict[str, LineCounter] = {}
        self.events: dict[int, events.OngoingEvent] = {}
        self.zones: dict[int, set[str]] = {}
        self.saved_ns = 0
        self._restore(self.load_state())

    def process(self, frame: Frame) -> Result:
        found = self.model(
            frame.image,
            score=min(self.options.continue_score, self.options.score),
            labels=self.options.labels or None,
        )
        found = [box for box in found if not self._is_masked(box, frame)]
        tracked = self.tracker.update(found, frame.captured_at)
        update = self.visits.update(tracked, frame.captured_at)
        values = self._count(tracked, frame)
        self._see_zones(frame, update)
        for visit in update.ended:
            self._end(visit)
        if update.started or update.ended or frame.captured_ns - self.saved_ns > SAVE_EVERY_NS:
            self._save(frame)
        values["visits"] = len(self.visits.ongoing)
        return Result(annotations=tracked, values=values, data=update)

    @staticmethod
    def _is_masked(box: Box, frame: Frame) -> bool:
        x, y = _foot(box)
        return any(zone.kind == "mask" and zone.contains(x, y) for zone in frame.zones.values())

    def _see_zones(self, frame: Frame, update: VisitUpdate) -> None:
        """Begin the events of visits, those of a camera with zones when an object is in one, and keep them current."""
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"]
        changed = {visit.id for visit in update.updated}
        for visit in self.visits.ongoing:
            seen = self.zones.setdefault(visit.id, set())
            inside = _zones_at(visit.box, zones) if visit.end_ns == frame.captured_ns else set()
            is_new = not inside <= seen
            seen |= inside
            if visit.id not in self.events and (seen or not zones):
                self._begin(visit, frame)
            elif visit.id in self.events and (is_new or visit.id in changed):
                self.events[visit.id].update(sighting=self._sighting(visit, frame))

    def _begin(self, visit: Visit, frame: Frame) -> None:
        self.events[visit.id] = events.begin(
            self.camera,
            _kind_of(visit.label),
            label=visit.label,
            start=visit.start,
            sighting=self._sighting(visit, frame),
            key=f"objects-{self.camera}-{visit.start_ns}-{visit.id}",
        )

    def _sighting(self, visit: Visit, frame: Frame) -> events.Sighting:
        zones = tuple(sorted(self.zones.get(visit.id, ())))
        return events.Sighting.of(visit.best.box, frame, at_ns=visit.best.captured_ns, zones=zones)

    def _end(self, visit: Visit) -> None:
        event = self.events.pop(visit.id, None)
        self.zones.pop(visit.id, None)
        if event is not None:
            event.end(visit.end, data={"detections": visit.detections, "seconds": round(visit.seconds, 1)})

    def _count(self, tracked: list[Box], frame: Frame) -> dict[str, float]:
        """Count crossings of the camera's lines, and create an event for each."""
        values: dict[str, float] = {}
        lines = [zone for zone in frame.zones.values() if zone.kind == "line"]
        self.counters = {
            line.name: self.counters.get(line.name) or LineCounter() for line in lines[:MAX_LINES]
        }
        for line in lines[:MAX_LINES]:
            ends = [line.points[0], line.points[-1]]
            crossed = self.counters[line.name].update(tracked, frame.captured_at, ends)
            name = line.name.replace("-", "_")[:20]
            values |= {f"{_word(name)}_forward": crossed.forward, f"{_word(name)}_backward": crossed.backward}
            for crossing in crossed.crossings:
                events.create(
                    self.camera,
                    "line_crossed",
                    label=f"{crossing.label} {crossing.direction}",
                    start=crossing.captured_at,
                    data={"line": line.name, "direction": crossing.direction, "track": crossing.track},
                )
        return values

    def _save(self, frame: Frame) -> None:
        self.saved_ns = frame.captured_ns
        self.save_state(
            {
                "visits": self.visits.state(),
                "keys": {str(visit): event.key for visit, event in self.events.items()},
                "zones": {str(visit): sorted(zones) for visit, zones in self.zones.items()},
            }
        )

    def _restore(self, state: Any) -> None:
        """Continue the visits of the previous instance. Its events end if the state cannot be used."""
        if not state:
            return
        open_events = {int(visit): events.resume(self.camera, key) for visit, key in state["keys"].items()}
        try:
            self.visits.restore(state["visits"])
        except InvalidError:
            for event in open_events.values():
                event.end()
            return
        self.events = open_events
        self.zones = {int(visit): set(zones) for visit, zones in state["zones"].items()}


MAX_LINES = 7
"""Lines that are counted: each takes two of the sixteen values of a frame."""


def _foot(box: Box) -> tuple[float, float]:
    """Return where an object stands: the middle of the lower edge of its box."""
    return (float(box.left) + float(box.right)) / 2, float(box.bottom) - 1


def _zones_at(box: Box, zones: list[Zone]) -> set[str]:
    x, y = _foot(box)
    return {zone.name for zone in zones if zone.contains(x, y)}


def _kind_of(label: str) -> str:
    """Return a label as the kind of an event."""
    return (
        "".join(each if each.isascii() and each.isalnum() else "_" for each in label.lower())[:32] or "object"
    )


def _word(name: str) -> str:
    return name if name[:1].isalpha() else f"line_{name}"
