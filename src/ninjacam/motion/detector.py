"""Finds moving areas in luma planes.

The image is reduced to cells, and each cell to its contrast with its surroundings, relative to their brightness. A
cloud, a lamp that is switched on or an exposure that is adjusted changes the brightness of large areas, but not this
contrast. Each cell has a background: its mean, and its usual deviation, which noise, leaves and rain make large. A cell
has changed if it differs by more than that. What has changed counts as motion if neighbouring cells had changed in the
previous frame, too, which raindrops and noise rarely do.

Source: docs/design/0017-motion.md, with what was measured.
"""

from typing import TYPE_CHECKING, Any, NamedTuple, cast

import cv2
import numpy as np

from ninjacam.core.frames import Area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ninjacam.core.frames import GrayImage

    Cells = NDArray[np.float32]
    """float32, shape (rows, columns)."""
    CellMask = NDArray[np.uint8]
    """uint8, shape (rows, columns): 0 or 255."""

MAX_COLUMNS = 240
"""Maximum number of cells side by side, and one above the other."""
SURROUNDINGS = 15
"""Width and height of a cell's surroundings, in cells."""
DARK = 12.0
"""Is added to the brightness of the surroundings: in the dark, noise would count as contrast."""
BRIGHTER_BY = 0.4
"""Change of brightness, as a part of the minimum contrast, without which no change of contrast counts."""
NOISE_FACTOR = 4.0
"""Multiple of a cell's usual deviation by which it must differ."""
LEARN_S, LEARN_STOPPED_S, LEARN_CHANGED_S = 4.0, 10.0, 60.0
"""Time constants of the background: for cells like the background, for cells that differ from it and have not changed
since the previous frame (an object that has stopped, or the place that it has left), and for others.
"""
FIRST_LEARN_S = 0.5
"""Time without motion at the start, and after the whole image has changed."""
MAX_GAP_S = 30.0
"""A longer pause, for example of the camera, begins with a new background."""
MAX_CHANGED = 0.6
"""Share of the cells of which more have never changed by motion: the camera was moved, or its lamp was switched."""
MAX_AREAS = 50
SPARSE, DENSE = np.uint8(3 * 255 // 9 - 1), np.uint8(7 * 255 // 9 - 1)
"""Changed cells among a cell and its neighbours, times 255 / 9: the minimum usually, and where cells flicker."""
FLICKER_PER_S, FLICKER_S = 0.8, 5.0
"""Changes per second from which on a cell flickers, and the time constant of this rate."""
TEXTURE = 5
"""Width and height of the cells whose texture is compared."""
SAME_TEXTURE = 0.75
"""Correlation with the background from which on only the light has changed: headlights, shadows."""
FLAT = 4e-4
"""Variance of contrast without texture."""
_TEXTURE_WEIGHTS = np.full(TEXTURE, 1 / TEXTURE, np.float32)


class _Reduced(NamedTuple):
    """An image, reduced to cells: their brightness, and their contrast with their surroundings."""

    brightness: "Cells"
    contrast: "Cells"


class _Background:
    """The mean of each cell, and its usual deviation from it: float32, the shape of the cells."""

    def __init__(self, now: _Reduced, min_contrast: float) -> None:
        self._brightness, self._contrast = now.brightness.copy(), now.contrast.copy()
        self._previous = now.contrast
        self._min_contrast = np.float32(min_contrast)
        self._deviation: Cells = np.full_like(now.contrast, min_contrast / NOISE_FACTOR)

    def is_for(self, now: _Reduced) -> bool:
        return self._contrast.shape == now.contrast.shape

    def changed(self, now: _Reduced) -> "CellMask":
        """Return 255 where a cell differs from the background: its contrast, its texture, and its brightness, because
        an object also changes the contrast of the cells beside it.
        """
        least: Cells = np.maximum(self._deviation * np.float32(NOISE_FACTOR), self._min_contrast)
        differs = np.abs(now.contrast - self._contrast) > least
        by = (self._brightness + np.float32(DARK)) * (self._min_contrast * np.float32(BRIGHTER_BY))
        differs &= np.abs(now.brightness - self._brightness) > by
        left, top, width, height = cv2.boundingRect(differs.view(np.uint8))
        if width:
            # The texture is compared last, and only there, because that takes the longest.
            rows = slice(max(0, top - TEXTURE // 2), top + height + TEXTURE // 2)
            columns = slice(max(0, left - TEXTURE // 2), left + width + TEXTURE // 2)
            similarity = _similarity(now.contrast[rows, columns], self._contrast[rows, columns])
            differs[rows, columns] &= similarity < SAME_TEXTURE
        changed: CellMask = differs.view(np.uint8) * np.uint8(255)
        return changed

    def learn(self, now: _Reduced, changed: "CellMask", elapsed_s: float) -> None:
        usual, stopped, rare = (
            np.float32(min(1.0, elapsed_s / each)) for each in (LEARN_S, LEARN_STOPPED_S, LEARN_CHANGED_S)
        )
        is_still = np.abs(now.contrast - self._previous) < self._min_contrast / 2
        rate = np.where(changed, np.where(is_still, stopped, rare), usual)
        self._previous = now.contrast
        difference = now.contrast - self._contrast
        self._deviation += rate * (np.abs(difference) - self._deviation)
        self._contrast += rate * difference
        self._brightness += rate * (now.brightness - self._brightness)


class _Flicker:
    """How often each cell begins or ceases to differ: objects that pass do it twice, rain and leaves all the time."""

    def __init__(self) -> None:
        self._changed: CellMask | None = None
        self._per_s: Cells | None = None

    def update(self, changed: "CellMask", elapsed_s: float) -> "NDArray[np.bool_]":
        """Return which cells flicker."""
        before, self._changed = self._changed, changed
        if before is None or self._per_s is None or before.shape != changed.shape:
            self._per_s = np.zeros(changed.shape, np.float32)
        elif elapsed_s > 0:
            weight = min(1.0, elapsed_s / FLICKER_S)
            self._per_s *= np.float32(1 - weight)
            self._per_s += (before != changed) * np.float32(weight / max(elapsed_s, weight))
        return self._per_s > np.float32(FLICKER_PER_S)


class MotionDetector:
    """Moving areas of one camera. Deterministic: time is that of the frames. Thread: one at a time.

    `sensitivity`: 0 to 1; 0.5 sees a person in a coat of the street's color, and not the leaves behind. `min_area`: the
    smallest moving area, as a part of the image.
    """

    def __init__(self, *, sensitivity: float = 0.5, min_area: float = 0.001) -> None:
        self._min_contrast = 0.24 * (0.04 / 0.24) ** max(0.0, min(1.0, sensitivity))
        self._min_area = min_area
        self._background: _Background | None = None
        self._dense_before: CellMask | None = None
        self._flicker = _Flicker()
        self._learns_until_ns = 0
        self._last_ns = 0
        self.has_changed = False
        """Whether the last frame differs from the background, by motion or not. One frame is enough to see that."""

    def update(
        self, luma: "GrayImage", captured_ns: int, ignored: "NDArray[np.bool_] | None" = None
    ) -> list[Area]:
        """Return the areas that move, the largest first.

        `luma`: uint8, (height, width). `captured_ns`: its time; the clock does not matter. `ignored`: bool, the same
        shape: where motion does not count.
        """
        now = _reduce(luma)
        elapsed_s = (captured_ns - self._last_ns) / 1e9
        self._last_ns = captured_ns
        background = self._background
        if background is None or not background.is_for(now) or not 0 <= elapsed_s <= MAX_GAP_S:
            return self._begin(now, captured_ns)
        changed = background.changed(now)
        if ignored is not None:
            rows, columns = changed.shape
            changed[
                cv2.resize(ignored.view(np.uint8), (columns, rows), interpolation=cv2.INTER_NEAREST) > 0
            ] = 0
        if cv2.countNonZero(changed) > MAX_CHANGED * changed.size:
            self._begin(now, captured_ns)
            self.has_changed = True
            return []
        moving = self._find_moving(changed, elapsed_s)
        background.learn(now, changed, elapsed_s)
        if captured_ns < self._learns_until_ns:
            return []
        return self._areas(moving, luma.shape[1], luma.shape[0])

    def _begin(self, now: _Reduced, captured_ns: int) -> list[Area]:
        self._background = _Background(now, self._min_contrast)
        self._dense_before = None
        self._learns_until_ns = captured_ns + int(FIRST_LEARN_S * 1e9)
        self.has_changed = False
        return []

    def _find_moving(self, changed: "CellMask", elapsed_s: float) -> "CellMask":
        """Return the changed cells, without those that have few changed neighbours now or had none before."""
        density = cv2.blur(changed, (3, 3))
        flickers = self._flicker.update(changed, elapsed_s)
        dense = changed * (density > np.where(flickers, DENSE, SPARSE))
        before, self._dense_before = self._dense_before, dense
        self.has_changed = cv2.countNonZero(dense) >= max(1.0, self._min_area * dense.size)
        if before is None:
            return np.zeros_like(changed)
        return dense * (cv2.dilate(before, _NEAR) > 0)

    def _areas(self, moving: "CellMask", width: int, height: int) -> list[Area]:
        """Return a rectangle around the moving cells of each group of neighbours."""
        if not moving.any():
            return []
        rows, columns = moving.shape
        _, labels, stats, _ = cv2.connectedComponentsWithStats(cv2.dilate(moving, _NEAR), connectivity=8)
        counts = np.bincount(labels[moving > 0], minlength=len(stats))
        areas = []
        for (left, top, wide, high, _), count in zip(stats[1:].tolist(), counts[1:].tolist(), strict=True):
            share = count / moving.size
            if share >= self._min_area:
                x, to_x = _undilate(left, left + wide, columns)
                y, to_y = _undilate(top, top + high, rows)
                across, down = width / columns, height / rows
                areas.append(
                    Area(int(x * across), int(y * down), int(to_x * across), int(to_y * down), share)
                )
        return sorted(areas, key=lambda area: -area.share)[:MAX_AREAS]


_NEAR = np.ones((5, 5), np.uint8)
_REACH = 2
"""Cells by which `_NEAR` extends a group in each direction."""


def _undilate(first: int, last: int, count: int) -> tuple[int, int]:
    """Return the range of cells before it was extended. At the border of the image, it may not have been."""
    return first + _REACH * (first > 0), last - _REACH * (last < count)


def _similarity(one: "Cells", other: "Cells") -> "Cells":
    """Return the correlation of the texture around each cell, -1 to 1; 0 where there is none."""
    mean_one, mean_other = _texture_mean(one), _texture_mean(other)
    both = _texture_mean(one * other) - mean_one * mean_other
    var_one = np.maximum(_texture_mean(one * one) - mean_one * mean_one, 0)
    var_other = np.maximum(_texture_mean(other * other) - mean_other * mean_other, 0)
    flat = np.float32(FLAT)
    return cast("Cells", both / np.sqrt((var_one + flat) * (var_other + flat)))


def _texture_mean(cells: "Cells") -> "Cells":
    """Return what cv2.blur does, which takes longer because it adds in float64."""
    return cast("Cells", cv2.sepFilter2D(cells, -1, _TEXTURE_WEIGHTS, _TEXTURE_WEIGHTS))


def shrink(luma: "GrayImage") -> "GrayImage":
    """Return the image that the detector works with. Shrinking it again, as the detector does, changes nothing.

    It is halved until it has few enough cells: OpenCV does this ten times as fast as scaling to another size.
    """
    small: NDArray[Any] = luma
    while max(small.shape) > MAX_COLUMNS:
        height, width = max(2, small.shape[0] // 2 * 2), max(2, small.shape[1] // 2 * 2)
        small = cv2.resize(small[:height, :width], (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    return small


def _reduce(luma: "GrayImage") -> _Reduced:
    cells = shrink(luma).astype(np.float32)
    around = cv2.blur(cells, (SURROUNDINGS, SURROUNDINGS))
    return _Reduced(cells, (cells - around) / (around + np.float32(DARK)))
