"""The ready-made processor `objects`: one event for each visit of a person, a vehicle or an animal."""

from typing import Any

from pydantic import BaseModel, Field

from ninjacam import Box, Frame, Processor, Result, Zone, events, load_model, processor
from ninjacam.core.errors import InvalidError, ModelError
from ninjacam.tracking import LineCounter, Tracker, Visit, Visits, VisitUpdate

SAVE_EVERY_NS = 2_000_000_000
LABELS = ["person", "bicycle", "car", "motorcycle", "motorbike", "bus", "truck", "dog", "cat"]
"""With both names that models of the COCO data set use."""


class ObjectOptions(BaseModel):
    model: str = Field("yolox-nano", max_length=100, description="A model of `ninjacam models list`.")
    labels: list[str] = Field(
        LABELS,
        max_length=80,
        description="What to look for. Empty: all. Labels that the model lacks are ignored.",
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
        self.labels = [label for label in options.labels if label in self.model.labels]
        if options.labels and not self.labels:
            raise ModelError(
                f"The model “{options.model}” finds none of these: {', '.join(options.labels[:10])}. "
                f"Change the option “labels”; the model's are {', '.join(self.model.labels[:10])}, …."
            )
        self.tracker = Tracker(
            start_score=options.score, continue_score=min(options.continue_score, options.score), max_trail=24
        )
        self.visits = Visits(
            start_score=options.score,
            continue_score=min(options.continue_score, options.score),
            end_after_s=options.end_after_s,
        )
        self.counters: dict[str, LineCounter] = {}
        self.with_event: set[int] = set()
        """Visits whose event has begun. Of others, the object has not been in a zone yet."""
        self.is_restored = False
        self.zones: dict[int, set[str]] = {}
        self.changed: set[int] = set()
        self.saved_ns = 0
        self._restore(self.load_state())

    def process(self, frame: Frame) -> Result:
        found = self.model(
            frame.image,
            score=min(self.options.continue_score, self.options.score),
            labels=self.labels or None,
        )
        found = [box for box in found if not self._is_masked(box, frame)]
        tracked = self.tracker.update(found, frame.captured_ns)
        update = self.visits.update(tracked, frame.captured_ns)
        values = self._count(tracked, frame)
        self._note_zones(frame)
        begun = [visit for visit in self.visits.ongoing if self._should_begin(visit, frame)]
        self.with_event |= {visit.id for visit in begun}
        ended = [visit for visit in update.ended if visit.id in self.with_event]
        for visit in update.ended:
            self.with_event.discard(visit.id)
        if begun or update.ended or frame.captured_ns - self.saved_ns > SAVE_EVERY_NS:
            self._save(frame)  # First: after a restart, it must contain each event that was begun.
        for visit in begun:
            self._begin(visit, frame)
        self._send_changes(frame, update)
        for visit in ended:
            seconds = {"detections": visit.detections, "seconds": round(visit.seconds, 1)}
            self._event_of(visit).end(visit.end, data=seconds)
        for visit in update.ended:
            self.zones.pop(visit.id, None)
        values["visits"] = len(self.visits.ongoing)
        return Result(annotations=tracked, values=values, data=update)

    @staticmethod
    def _is_masked(box: Box, frame: Frame) -> bool:
        x, y = _foot(box)
        return any(zone.kind == "mask" and zone.contains(x, y) for zone in frame.zones.values())

    def _note_zones(self, frame: Frame) -> None:
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"]
        for visit in self.visits.ongoing:
            seen = self.zones.setdefault(visit.id, set())
            inside = _zones_at(visit.box, zones) if visit.end_ns == frame.captured_ns else set()
            if not inside <= seen:
                self.changed.add(visit.id)
                seen |= inside

    def _should_begin(self, visit: Visit, frame: Frame) -> bool:
        """Return whether the event of a visit begins now: at once, or when its object is in one of the zones."""
        has_zones = any(zone.kind == "zone" for zone in frame.zones.values())
        return visit.id not in self.with_event and (bool(self.zones.get(visit.id)) or not has_zones)

    def _begin(self, visit: Visit, frame: Frame) -> None:
        events.begin(
            self.camera,
            _kind_of(visit.label),
            label=visit.label,
            start=visit.start,
            sighting=self._sighting(visit, frame),
            key=self._key_of(visit),
        )

    def _send_changes(self, frame: Frame, update: VisitUpdate) -> None:
        changed = self.changed | {visit.id for visit in update.updated}
        self.changed = set()
        for visit in self.visits.ongoing:
            if visit.id not in self.with_event:
                continue
            if self.is_restored:
                self._begin(visit, frame)  # It may not have been written before the restart.
            elif visit.id in changed:
                self._event_of(visit).update(sighting=self._sighting(visit, frame))
        self.is_restored = False

    def _key_of(self, visit: Visit) -> str:
        return f"objects-{self.camera}-{visit.start_ns}-{visit.id}"

    def _event_of(self, visit: Visit) -> events.OngoingEvent:
        return events.resume(self.camera, self._key_of(visit))

    def _sighting(self, visit: Visit, frame: Frame) -> events.Sighting:
        zones = tuple(sorted(self.zones.get(visit.id, ())))
        return events.Sighting.of(visit.best.box, frame, at_ns=visit.best.captured_ns, zones=zones)

    def _count(self, tracked: list[Box], frame: Frame) -> dict[str, float]:
        """Count crossings of the camera's lines, and create an event for each."""
        values: dict[str, float] = {}
        lines = [zone for zone in frame.zones.values() if zone.kind == "line"]
        self.counters = {
            line.name: self.counters.get(line.name) or LineCounter() for line in lines[:MAX_LINES]
        }
        for line in lines[:MAX_LINES]:
            ends = [line.points[0], line.points[-1]]
            crossed = self.counters[line.name].update(tracked, frame.captured_ns, ends)
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
                "with_event": {
                    str(visit.id): self._key_of(visit)
                    for visit in self.visits.ongoing
                    if visit.id in self.with_event
                },
                "zones": {str(visit): sorted(zones) for visit, zones in self.zones.items()},
            }
        )

    def _restore(self, state: Any) -> None:
        """Continue the visits of the previous instance. Its events end if the state cannot be used."""
        if not state:
            return
        try:
            self.visits.restore(state["visits"])
        except InvalidError:
            for key in state["with_event"].values():
                events.resume(self.camera, key).end()
            return
        self.with_event = {int(visit) for visit in state["with_event"]}
        self.zones = {int(visit): set(zones) for visit, zones in state["zones"].items()}
        self.is_restored = True


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
