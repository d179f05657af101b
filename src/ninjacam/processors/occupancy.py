"""The ready-made processor `occupancy`: how many objects are in each zone, and which ones stay there for long."""

from pydantic import BaseModel, Field

from ninjacam import Frame, Polygon, Processor, Result, Zone, events, processor
from ninjacam.processors.saved_events import SavedEvents
from ninjacam.processors.value_names import to_value_names
from ninjacam.tracking import ZoneOccupancy, ZoneUpdate

MAX_ZONES = 16
"""Zones that are counted: each is a value of the frame."""


class OccupancyOptions(BaseModel):
    labels: list[str] = Field([], max_length=80, description="What to count. Empty: all objects.")
    min_frames: int = Field(
        3, ge=1, le=50, description="Frames in a row that must show an object inside or outside."
    )
    max_unseen_s: float = Field(3, ge=0.5, le=60, description="Seconds out of sight after which it has left.")


@processor("occupancy", after="objects", when="motion")
class Occupancy(Processor):
    """The number of objects in each zone, and events of those that stay longer than the loitering time of the zone."""

    Options = OccupancyOptions

    def setup(self, camera: str, options: OccupancyOptions) -> None:
        self.options = options
        self.counters: dict[
            str, tuple[tuple[float, float], ZoneOccupancy]
        ] = {}  # Its times, and the objects.
        self.events = SavedEvents(self)  # By zone and track.
        self.last_ns = 0

    def process(self, frame: Frame) -> Result:
        self.last_ns = frame.captured_ns
        labels = set(self.options.labels)
        boxes = [
            box
            for box in frame.results["objects"].boxes
            if box.track is not None and (not labels or box.label in labels)
        ]
        zones = [zone for zone in frame.zones.values() if zone.kind == "zone"][:MAX_ZONES]
        self._set_zones(zones, frame)
        values: dict[str, float] = {}
        value_names = to_value_names(zones)
        shapes = []
        for zone in zones:
            update = self.counters[zone.name][1].update(boxes, frame.captured_ns, zone.points)
            self._report(zone.name, update, frame)
            values[value_names[zone.name]] = update.occupancy
            shapes.append(Polygon(zone.points, f"{zone.name}: {update.occupancy}", color=zone.color))
        self.events.note(frame.captured_ns)
        return Result(annotations=shapes, values=values)

    def _set_zones(self, zones: list[Zone], frame: Frame) -> None:
        """Keep one counter for each zone. One whose times have changed begins again."""
        before, self.counters = self.counters, {}
        for zone in zones:
            times = zone.inertia_s, zone.loitering_s
            known = before.get(zone.name)
            if known is None or known[0] != times:
                known = times, self._new_counter(zone)
            self.counters[zone.name] = known
        for name, (times, _) in before.items():
            if name not in self.counters or self.counters[name][0] != times:
                self._end_all(name, frame.captured_ns)

    def _new_counter(self, zone: Zone) -> ZoneOccupancy:
        return ZoneOccupancy(
            inertia=self.options.min_frames,
            inertia_s=zone.inertia_s,
            loitering_s=zone.loitering_s or None,
            max_unseen_s=self.options.max_unseen_s,
        )

    def _report(self, zone: str, update: ZoneUpdate, frame: Frame) -> None:
        for stay in update.loitering:
            self.events.begin(
                (zone, stay.track),
                "loitering",
                start_ns=stay.entered_ns,
                now_ns=frame.captured_ns,
                label=stay.label,
                data={"zone": zone},
                sighting=events.Sighting.of(stay.box, frame, zones=(zone,)),
            )
        for stay in update.left:
            end_ns = stay.entered_ns + int(stay.dwell_s * 1e9)
            self.events.end((zone, stay.track), end_ns, data={"seconds": round(stay.dwell_s, 1)})

    def _end_all(self, zone: str, at_ns: int) -> None:
        """End the events of a zone, which has been removed or changed."""
        for name in self.events.names:
            if isinstance(name, tuple) and name[0] == zone:
                self.events.end(name, at_ns)

    def close(self) -> None:
        for name in self.events.names:
            self.events.end(name, self.last_ns)
