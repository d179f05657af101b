"""How the object of a visit moves: for how long it has been at its place, and where it is heading."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ninjacam.tracking.capture_clock import NS_PER_S
from ninjacam.tracking.geometry import Array, Corners, overlap_of
from ninjacam.tracking.json_values import to_corners, to_integer, to_number

SAME_PLACE_OVERLAP = 0.5
"""Two boxes are at the same place if their IoU is at least this."""
MARK_NS = NS_PER_S // 2
"""Interval of the positions from which the speed is computed: it covers the last one or two intervals."""

_Mark: TypeAlias = tuple[int, float, float]
"""Elapsed time, and the center of the box."""


@dataclass(slots=True)
class Course:
    """The movement of one object. Times are elapsed ones.

    `corners`: its last box. `place`, `still_since_ns`: where it has been, and since when. `speed`: of its center, in
    pixels per second.
    """

    corners: Corners
    place: Corners
    still_since_ns: int
    speed: tuple[float, float]
    marks: tuple[_Mark, _Mark]

    @classmethod
    def begin(cls, corners: Corners, elapsed_ns: int) -> "Course":
        mark = elapsed_ns, *_center(corners)
        return cls(corners, corners, elapsed_ns, (0.0, 0.0), (mark, mark))

    def see(self, corners: Corners, elapsed_ns: int) -> None:
        """Use the next detection."""
        self.corners = corners
        if overlap_of(self.place, corners) < SAME_PLACE_OVERLAP:
            self.place, self.still_since_ns = corners, elapsed_ns
        x, y = _center(corners)
        (since_ns, since_x, since_y), latest = self.marks
        if elapsed_ns > since_ns:
            passed_s = (elapsed_ns - since_ns) / NS_PER_S
            self.speed = (x - since_x) / passed_s, (y - since_y) / passed_s
        if elapsed_ns - latest[0] >= MARK_NS:
            self.marks = latest, (elapsed_ns, x, y)

    def state(self) -> dict[str, Any]:
        """Return the movement as plain JSON."""
        return {
            "corners": list(self.corners),
            "place": list(self.place),
            "still_since_ns": self.still_since_ns,
            "speed": list(self.speed),
        }

    @classmethod
    def from_state(cls, state: Any, elapsed_ns: int) -> "Course":
        """Raises: InvalidError, LookupError, TypeError or ValueError: it is not the result of `state`."""
        made = cls.begin(to_corners(state["corners"]), elapsed_ns)
        made.place, made.still_since_ns = to_corners(state["place"]), to_integer(state["still_since_ns"])
        x, y = state["speed"]
        made.speed = to_number(x), to_number(y)
        return made


def distances_from_paths(courses: Sequence[Course], corners: Array, gaps_s: Array) -> Array:
    """Return how far each box is from where each object may be, in units of the longest side of the two boxes.

    An object may have stopped at once, or moved ahead with its last speed for the whole time, or anything in between.
    `corners`: shape (m, 4). `gaps_s`: shape (n, m), seconds between an object's last detection and a box, at least 0.
    Returns: shape (n, m).
    """
    last = np.array([course.corners for course in courses])
    speeds = np.array([course.speed for course in courses])
    offsets = (corners[:, :2] + corners[:, 2:] - (last[:, None, :2] + last[:, None, 2:])) / 2
    paths = speeds[:, None] * gaps_s[..., None]
    lengths = (paths**2).sum(axis=2)
    shares = (offsets * paths).sum(axis=2) / np.where(lengths > 0, lengths, 1)
    missed = offsets - paths * np.clip(shares, 0, 1)[..., None]
    longest = np.maximum(_longest_sides(last)[:, None], _longest_sides(corners))
    return np.hypot(missed[..., 0], missed[..., 1]) / longest  # type: ignore[no-any-return]


def _center(corners: Corners) -> tuple[float, float]:
    left, top, right, bottom = corners
    return (left + right) / 2, (top + bottom) / 2


def _longest_sides(corners: Array) -> Array:
    return (corners[:, 2:] - corners[:, :2]).max(axis=1)  # type: ignore[no-any-return]
