"""What a visit is, and its form as JSON."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ninjacam.core.annotations import Box
from ninjacam.core.times import to_datetime
from ninjacam.tracking.capture_clock import NS_PER_S
from ninjacam.tracking.json_values import (
    box_from_json,
    box_to_json,
    to_integer,
    to_label,
    to_number,
)


@dataclass(frozen=True, slots=True)
class BestDetection:
    """The detection that shows the object best. `quality`: its score times the square root of the box's area."""

    captured_ns: int
    box: Box
    score: float
    quality: float

    @property
    def captured_at(self) -> datetime:
        return to_datetime(self.captured_ns)


@dataclass(slots=True, eq=False)
class Visit:
    """One object from its first to its last detection. Read-only for callers: `Visits` changes it.

    `id`: a number that no other visit of the same `Visits` has, also after `restore`. `start_ns`, `end_ns`: capture
    times of the first and, so far, last detection; the end is never before the start. `detections`: how many. `box`:
    the last one, in pixels, with its track. `best`: see `BestDetection`. `is_stationary`: whether the object has not
    moved for some time.
    """

    id: int
    label: str
    start_ns: int
    end_ns: int
    detections: int
    box: Box
    best: BestDetection
    is_stationary: bool = False

    @property
    def start(self) -> datetime:
        return to_datetime(self.start_ns)

    @property
    def end(self) -> datetime:
        return to_datetime(self.end_ns)

    @property
    def seconds(self) -> float:
        return max(0, self.end_ns - self.start_ns) / NS_PER_S


def visit_to_json(visit: Visit) -> dict[str, Any]:
    """Return a visit as plain JSON, without its track."""
    best = visit.best
    return {
        "id": visit.id,
        "label": visit.label,
        "start_ns": visit.start_ns,
        "end_ns": visit.end_ns,
        "detections": visit.detections,
        "box": box_to_json(visit.box),
        "best": {
            "captured_ns": best.captured_ns,
            "box": box_to_json(best.box),
            "score": best.score,
            "quality": best.quality,
        },
        "is_stationary": visit.is_stationary,
    }


def visit_from_json(value: Any) -> Visit:
    """Return the visit. Raises: InvalidError, LookupError or TypeError: it is not the result of `visit_to_json`."""
    best = value["best"]
    return Visit(
        id=to_integer(value["id"]),
        label=to_label(value["label"]),
        start_ns=to_integer(value["start_ns"]),
        end_ns=to_integer(value["end_ns"]),
        detections=to_integer(value["detections"]),
        box=box_from_json(value["box"]),
        best=BestDetection(
            captured_ns=to_integer(best["captured_ns"]),
            box=box_from_json(best["box"]),
            score=to_number(best["score"]),
            quality=to_number(best["quality"]),
        ),
        is_stationary=value["is_stationary"] is True,
    )
