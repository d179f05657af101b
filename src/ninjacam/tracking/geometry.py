"""Geometry of boxes, lines and polygons, in pixels of the frame: x to the right, y down."""

import math
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ninjacam.core.annotations import MAX_POINTS, Box
from ninjacam.core.errors import InvalidError

Array: TypeAlias = NDArray[np.float64]
PixelPoint: TypeAlias = tuple[float, float]
Corners: TypeAlias = tuple[float, float, float, float]
"""A box: left, top, right, bottom."""
Anchor: TypeAlias = Literal["bottom", "center"]
"""The point of a box that stands for the object: the middle of its lower edge (its feet), or its center."""

MAX_COORDINATE_PX = 1e6
"""Largest coordinate. Larger ones are errors of a detector, and their areas would overflow."""


def to_points(points: Any, min_count: int, max_count: int, name: str) -> tuple[PixelPoint, ...]:
    """Return the points of a line or a polygon. Raises: InvalidError: too few, too many, or not finite."""
    try:
        pairs = tuple((float(x), float(y)) for x, y in points)
    except (TypeError, ValueError) as exc:
        raise InvalidError.of(name, f"`{name}` is not a sequence of (x, y) in pixels.") from exc
    if not min_count <= len(pairs) <= max_count:
        wanted = f"{min_count}" if min_count == max_count else f"{min_count} to {max_count}"
        raise InvalidError.of(name, f"`{name}` has {len(pairs)} points. Use {wanted}.")
    if not all(abs(value) <= MAX_COORDINATE_PX for pair in pairs for value in pair):
        raise InvalidError.of(name, f"`{name}` has a point that is not finite, or far outside of the frame.")
    return pairs


def to_polygon(points: Any) -> tuple[PixelPoint, ...]:
    """Return the 3 to 256 corners of a polygon. Raises: InvalidError: see `to_points`."""
    return to_points(points, 3, MAX_POINTS, "polygon")


def corners_of(box: Box) -> Corners:
    """Return the corners of a box whose coordinates have been checked."""
    return float(box.left), float(box.top), float(box.right), float(box.bottom)


def find_anchor(corners: Corners, anchor: Anchor) -> PixelPoint:
    """Return the anchor of a box.

    "bottom" is half a pixel above the lower edge, in the lowest row of pixels. So a box that ends at the lower edge of
    the frame is inside a zone that ends there.
    """
    left, top, right, bottom = corners
    return (left + right) / 2, bottom - 0.5 if anchor == "bottom" else (top + bottom) / 2


def check_anchor(anchor: str) -> None:
    """Raises: InvalidError: it is not an `Anchor`."""
    if anchor not in ("bottom", "center"):
        raise InvalidError.of("anchor", f'`anchor` is {anchor!r:.20}. Use "bottom" or "center".')


def overlap(first: Array, second: Array) -> Array:
    """Return the IoU (intersection over union) of each pair of boxes, shape (n, m), 0 to 1.

    `first`, `second`: shapes (n, 4) and (m, 4): left, top, right, bottom. Boxes have an area.
    """
    width = np.minimum(first[:, None, 2], second[:, 2]) - np.maximum(first[:, None, 0], second[:, 0])
    height = np.minimum(first[:, None, 3], second[:, 3]) - np.maximum(first[:, None, 1], second[:, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    return shared / (_areas(first)[:, None] + _areas(second) - shared)  # type: ignore[no-any-return]


def grow(corners: Array, share: float) -> Array:
    """Return boxes that are larger by `share` of their width and height on each side. Shapes (n, 4)."""
    margin = (corners[:, 2:] - corners[:, :2]) * share
    return np.hstack([corners[:, :2] - margin, corners[:, 2:] + margin])


def overlap_of(first: Corners, second: Corners) -> float:
    """Return the IoU of two boxes with an area. For one pair, this is much faster than `overlap`."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = sum((right - left) * (bottom - top) for left, top, right, bottom in (first, second))
    return width * height / (areas - width * height)


def side_of(point: PixelPoint, start: PixelPoint, end: PixelPoint) -> float:
    """Return the distance of a point from the infinite line from `start` to `end`, in pixels.

    It is positive on the right side as seen when you look from `start` to `end`, and negative on the left side. The two
    points differ.
    """
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    across = along_x * (point[1] - start[1]) - along_y * (point[0] - start[0])
    return across / math.hypot(along_x, along_y)


def passes_through(path: Sequence[PixelPoint], start: PixelPoint, end: PixelPoint) -> bool:
    """Return whether a straight path, whose ends are on different sides of a line, meets its segment."""
    (from_x, from_y), to = path
    before, after = side_of((from_x, from_y), start, end), side_of(to, start, end)
    if before == after:
        return False
    part = before / (before - after)
    x, y = from_x + part * (to[0] - from_x), from_y + part * (to[1] - from_y)
    along_x, along_y = end[0] - start[0], end[1] - start[1]
    position = (x - start[0]) * along_x + (y - start[1]) * along_y
    return 0 <= position <= along_x**2 + along_y**2


def are_inside(points: Array, polygon: Array) -> NDArray[np.bool_]:
    """Return which points are inside a polygon, by the even-odd rule. Shapes: (n, 2), (k, 2) -> (n,).

    Of two polygons with a common edge, a point on that edge is inside of exactly one.
    """
    x, y = points[:, 0, None], points[:, 1, None]
    x1, y1 = polygon[:, 0], polygon[:, 1]
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    spans = (y1 <= y) != (y2 <= y)
    height = np.where(y1 == y2, 1, y2 - y1)  # Horizontal edges span nothing.
    is_right = x < x1 + (y - y1) * (x2 - x1) / height
    inside: NDArray[np.bool_] = np.count_nonzero(spans & is_right, axis=1) % 2 == 1
    return inside


def _areas(corners: Array) -> Array:
    return (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
