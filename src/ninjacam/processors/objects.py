"""The ready-made processor `objects`: one event for each visit of a person, a vehicle or an animal."""

from pydantic import BaseModel, Field

from ninjacam import Box, Frame, Processor, Result, events, load_model, processor
from ninjacam.core.errors import ModelError
from ninjacam.processors.value_names import to_value_names
from ninjacam.processors.visit_events import VisitEvents
from ninjacam.tracking import LineCounter

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
        self.visits = VisitEvents(
            self,
            score=options.score,
            continue_score=options.continue_score,
            end_after_s=options.end_after_s,
        )
        self.counters: dict[str, LineCounter] = {}

    def process(self, frame: Frame) -> Result:
        found = self.model(frame.image, score=self.visits.min_score, labels=self.labels or None)
        is_new = not self.visits.has_seen(frame)
        tracked, update = self.visits.update(found, frame)
        values = self._count(tracked, frame, is_new=is_new)
        values["visits"] = self.visits.ongoing
        return Result(annotations=tracked, values=values, data=update)

    def _count(self, tracked: list[Box], frame: Frame, *, is_new: bool) -> dict[str, float]:
        """Count crossings of the camera's lines, and create an event for each in a new frame."""
        values: dict[str, float] = {}
        lines = [zone for zone in frame.zones.values() if zone.kind == "line"][:MAX_LINES]
        self.counters = {line.name: self.counters.get(line.name) or LineCounter() for line in lines}
        forward, backward = to_value_names(lines, "_forward"), to_value_names(lines, "_backward")
        for line in lines:
            ends = [line.points[0], line.points[-1]]
            crossed = self.counters[line.name].update(tracked, frame.captured_ns, ends)
            values[forward[line.name]] = crossed.forward
            values[backward[line.name]] = crossed.backward
            if is_new and crossed.crossings:
                self.visits.save(
                    frame
                )  # After a restart, frames that are shown again count no crossing again.
            for crossing in crossed.crossings if is_new else ():
                events.create(
                    self.camera,
                    "line_crossed",
                    label=f"{crossing.label} {crossing.direction}",
                    start=crossing.captured_at,
                    data={"line": line.name, "direction": crossing.direction, "track": crossing.track},
                )
        return values


MAX_LINES = 7
"""Lines that are counted: each takes two of the sixteen values of a frame."""
