"""Counts the objects that cross a line."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple

from ninjacam.core.annotations import Box
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_datetime
from ninjacam.tracking.boxes import TrackedBox, to_tracked
from ninjacam.tracking.capture_clock import NS_PER_S, CaptureClock, CaptureTime
from ninjacam.tracking.geometry import (
    Anchor,
    PixelPoint,
    check_anchor,
    find_anchor,
    passes_through,
    side_of,
    to_points,
)
from ninjacam.tracking.memory import TrackMemory

MAX_UNSEEN_NS = 30 * NS_PER_S
"""After this time, the side of a track that was not seen again is forgotten. Trackers forget it earlier."""


class Crossing(NamedTuple):
    """An object has crossed the line. `captured_ns`: time of the first frame that shows it on the other side."""

    track: int
    label: str
    direction: Literal["forward", "backward"]
    captured_ns: int

    @property
    def captured_at(self) -> datetime:
        return to_datetime(self.captured_ns)


class LineUpdate(NamedTuple):
    """The crossings of one update, and how many of them were forward and backward."""

    forward: int
    backward: int
    crossings: list[Crossing]


@dataclass(slots=True)
class _Side:
    """The side of the line on which an object certainly was, and where. `sign`: 0 is unknown."""

    sign: int = 0
    position: PixelPoint = (0.0, 0.0)


class LineCounter:
    """Counts the objects that cross a line, in both directions.

    `line`: two points (x, y) in pixels of the frame. *Forward* is from the left to the right side as seen when you look
    from the first point to the second. An object crosses when its anchor passes through the line, not beside its ends.
    `anchor`: "bottom", the middle of the lower edge, or "center". `margin`: the distance from the line, as a share of
    the box's height, up to which an object stays on its side. An object that stands on the line and whose box trembles
    is counted once. An object that appears within this distance has no side until it leaves it.

    `forward`, `backward`: counts since the start. Not thread-safe. Raises: InvalidError: a parameter is out of range.
    """

    def __init__(self, line: Any = None, *, anchor: Anchor = "bottom", margin: float = 0.1) -> None:
        check_anchor(anchor)
        if not 0 <= margin <= 10:
            raise InvalidError.of("margin", "Use a `margin` from 0 to 10.")
        self.forward = 0
        self.backward = 0
        self._line = None if line is None else _to_line(line)
        self._anchor = anchor
        self._margin = margin
        self._clock = CaptureClock()
        self._sides = TrackMemory(_Side)

    def update(self, boxes: Sequence[Box], captured_at: CaptureTime, line: Any = None) -> LineUpdate:
        """Return the crossings since the previous update.

        `boxes`: the result of `Tracker.update`. `captured_at`: as there. `line`: replaces the line, for example
        because the size of frames has changed. If it differs, the sides of all objects are forgotten.

        Raises: InvalidError: there is no line, or a box, the time or the line cannot be used.
        """
        tracked = to_tracked(boxes)
        new_line = self._line if line is None else _to_line(line)
        if new_line is None:
            raise InvalidError.of("line", "The counter has no line. Pass two points (x, y).")
        captured_ns = self._clock.advance(captured_at)
        if new_line != self._line:
            self._line = new_line
            self._sides.clear()
        crossings = [
            Crossing(each.track, each.box.label, direction, captured_ns)
            for each in tracked
            if (direction := self._direction(each, new_line))
        ]
        self._sides.forget(self._clock.watched_ns - MAX_UNSEEN_NS)
        forward = sum(crossing.direction == "forward" for crossing in crossings)
        backward = len(crossings) - forward
        self.forward += forward
        self.backward += backward
        return LineUpdate(forward, backward, crossings)

    def _direction(
        self, each: TrackedBox, line: tuple[PixelPoint, PixelPoint]
    ) -> Literal["forward", "backward"] | None:
        """Return in which direction an object has crossed the line, or None."""
        side = self._sides.see(each.track, self._clock.watched_ns)
        position = find_anchor(each.corners, self._anchor)
        distance_px = side_of(position, *line)
        if abs(distance_px) <= self._margin * (each.corners[3] - each.corners[1]):
            return None
        previous, path = side.sign, (side.position, position)
        side.sign, side.position = (1 if distance_px > 0 else -1), position
        if previous in (0, side.sign) or not passes_through(path, *line):
            return None
        return "forward" if side.sign > 0 else "backward"


def _to_line(line: Any) -> tuple[PixelPoint, PixelPoint]:
    start, end = to_points(line, 2, 2, "line")
    if start == end:
        raise InvalidError.of("line", "The line's points are equal. Use two different points.")
    return start, end
