"""The ready-made processor `motion`: one event for each movement."""

from pydantic import BaseModel, Field

from ninjacam import Box, Frame, Processor, Result, events, processor
from ninjacam.core.frames import Area
from ninjacam.processors.saved_events import SavedEvents

SET_BACK_NS = 1_000_000_000
"""Capture times that go back by more than this are those of a clock that was set back."""


class MotionOptions(BaseModel):
    min_area: float = Field(
        0.2, ge=0.01, le=100, description="Smallest area that moves, in percent of the image."
    )
    end_after_s: float = Field(
        3, ge=1, le=60, description="Seconds without motion after which the event ends."
    )


@processor("motion", when="motion", fps=10, width_px=640)
class Motion(Processor):
    """Something moves. In zones, if the camera has any; never in masks."""

    Options = MotionOptions

    def setup(self, camera: str, options: MotionOptions) -> None:
        self.options = options
        self.events = SavedEvents(self)
        self.best_share, self.last_ns = 0.0, 0
        self.zones: set[str] = set()

    def process(self, frame: Frame) -> Result:
        if self.last_ns - frame.captured_ns > SET_BACK_NS:
            self._end()  # Another event begins, with the new time.
            self.last_ns = 0
        found = [(area, zones) for area in frame.motion if (zones := self._zones_of(area, frame)) is not None]
        if found:
            self._moves(frame, found[0][0], {name for _, zones in found for name in zones})
        elif frame.captured_ns - self.last_ns > self.options.end_after_s * 1e9:
            self._end()
        boxes = [Box(area.left, area.top, area.right, area.bottom, "motion") for area, _ in found]
        return Result(annotations=boxes, values={"area": 100 * sum(area.share for area, _ in found)})

    def _zones_of(self, area: Area, frame: Frame) -> set[str] | None:
        """Return the zones that the middle of the area is in; None: it does not count."""
        if area.share * 100 < self.options.min_area:
            return None
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"]
        x, y = (area.left + area.right) / 2, (area.top + area.bottom) / 2
        inside = {zone.name for zone in zones if zone.contains(x, y)}
        return inside if inside or not zones else None

    def _moves(self, frame: Frame, area: Area, zones: set[str]) -> None:
        self.last_ns = max(self.last_ns, frame.captured_ns)
        is_better = area.share > 1.2 * self.best_share or not zones <= self.zones
        self.zones |= zones
        box = Box(area.left, area.top, area.right, area.bottom)
        sighting = events.Sighting.of(box, frame, zones=tuple(sorted(self.zones)))
        if "motion" not in self.events:
            now_ns = frame.captured_ns
            self.events.begin("motion", "motion", start_ns=now_ns, now_ns=now_ns, sighting=sighting)
        elif is_better:
            self.events.update("motion", sighting=sighting)
        self.best_share = max(self.best_share, area.share)
        self.events.note(frame.captured_ns)

    def _end(self) -> None:
        self.events.end("motion", self.last_ns)
        self.best_share, self.zones = 0.0, set()

    def close(self) -> None:
        self._end()
