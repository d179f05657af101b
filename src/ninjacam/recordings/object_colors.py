"""Names the colors of the object in a box of an image."""

from typing import Any, NamedTuple

import cv2
import numpy as np

from ninjacam.core.colors import COLORS, Color

MAX_COLORS = 3
SIZE_PX = 96
"""Width and height to which the box with its surroundings is scaled, so that each takes the same time."""
FRAME_PX = 160
"""Width and height of the frame from which its light is measured."""
MARGIN = 0.2
"""Width of the surroundings, as a part of the width and height of the box."""
SPREAD = 0.22
"""Standard deviation of a pixel's weight around the middle of the box, as a part of its width and height."""
MIN_SHARE = 0.15
"""A color with less of the weight is a detail: a lamp, a face, a shadow."""
BACKGROUND_SHARE = 0.2
"""A color with more of the surroundings belongs to the background, unless it has MIN_SHARE_OF_BACKGROUND of the box."""
MIN_SHARE_OF_BACKGROUND = 0.5
BRIGHT = 0.95
"""Value, 0 to 1, to which the brightest surfaces of a dark frame are raised."""
MAX_GAIN = 3.0
"""Maximum factor for that. Objects in a darker frame are black."""
MIN_CHROMA = 5.0
"""A frame whose most colorful pixels have a lower chroma was taken in infrared light."""


class _Pixels(NamedTuple):
    """Float32 of the same shape: hue in degrees, saturation and value of HSV, 0 to 1; lightness of CIE L*a*b*, 0 to
    100, and its chroma.
    """

    hue: Any
    saturation: Any
    value: Any
    lightness: Any
    chroma: Any


def find_colors(image: Any, box: tuple[float, float, float, float]) -> list[Color]:
    """Return one to three colors of the object in the box, the most frequent first; none if the box is empty or the
    image has no colors.

    `image`: uint8, (height, width, 3) BGR. `box`: left, top, right, bottom in fractions of the image; the part outside
    of the image is ignored.
    """
    height_px, width_px = image.shape[:2]
    left, right = _to_pixels(box[0], box[2], width_px)
    top, bottom = _to_pixels(box[1], box[3], height_px)
    light = _measure(_scale(image, FRAME_PX), 1.0)
    if left >= right or top >= bottom or np.percentile(light.chroma, 99.5) < MIN_CHROMA:
        return []
    gain = np.clip(BRIGHT / max(np.percentile(light.value, 98), 0.01), 1.0, MAX_GAIN)
    x0, x1, columns = _widen(left, right, width_px)
    y0, y1, rows = _widen(top, bottom, height_px)
    numbers = _classify(_measure(_scale(image[y0:y1, x0:x1], SIZE_PX), float(gain)))
    dx, dy = columns[None, :], rows[:, None]
    is_inside = (abs(dx) <= 0.5) & (abs(dy) <= 0.5)
    inner = _shares(numbers, is_inside * np.exp(-(dx**2 + dy**2) / (2 * SPREAD**2)))
    outer = _shares(numbers, ~is_inside)
    least = np.where(outer > BACKGROUND_SHARE, MIN_SHARE_OF_BACKGROUND, MIN_SHARE)
    order = np.argsort(-inner, kind="stable")
    found = [number for number in order if inner[number] >= least[number]] or order[:1]
    return [COLORS[number] for number in found[:MAX_COLORS]]


def _to_pixels(start: float, end: float, size_px: int) -> tuple[int, int]:
    """Return the range of pixels that [start, end) touches, both fractions of `size_px`; empty if it is none."""
    if not start < end:  # Also if one of them is not a number.
        return 0, 0
    start, end = np.clip((start, end), 0, 1)
    return int(np.floor(start * size_px)), int(np.ceil(end * size_px))


def _widen(start: int, end: int, size_px: int) -> tuple[int, int, Any]:
    """Return the range of pixels with its surroundings, and the distances of SIZE_PX places in it from the middle of
    [start, end), in lengths of that: float64, -0.5 to 0.5 within it.
    """
    margin = int(np.ceil((end - start) * MARGIN))
    first, last = max(start - margin, 0), min(end + margin, size_px)
    places = first + (np.arange(SIZE_PX) + 0.5) * (last - first) / SIZE_PX
    return first, last, (places - (start + end) / 2) / (end - start)


def _scale(image: Any, size_px: int) -> Any:
    return cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)


def _shares(numbers: Any, weights: Any) -> Any:
    """Return how much of the total weight each color has: float64, (len(COLORS),), 0 to 1; all 0 without weights."""
    sums = np.bincount(numbers.ravel(), weights.ravel(), len(COLORS))
    return sums / max(float(sums.sum()), 1e-9)


def _measure(image: Any, gain: float) -> _Pixels:
    bgr = np.minimum(image.astype(np.float32) * np.float32(gain / 255), 1)
    lightness, a, b = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2LAB))
    hue, saturation, value = cv2.split(cv2.cvtColor(bgr, cv2.COLOR_BGR2HSV))
    return _Pixels(hue, saturation, value, lightness, np.hypot(a, b))


def _classify(pixels: _Pixels) -> Any:
    """Return the index in `COLORS` of each pixel: the first condition that it meets."""
    hue, saturation, value, lightness, chroma = pixels
    is_gray = (chroma < 12) | (saturation < 0.13)
    is_reddish = (hue < 14) | (hue >= 345)
    is_light = (lightness > 60) & (saturation < 0.6)
    conditions = (
        (is_gray & (lightness < 27) | (lightness < 10) | (value < 0.18), Color.BLACK),
        (is_gray & (lightness > 76), Color.WHITE),
        (is_gray, Color.GRAY),
        (is_reddish & is_light, Color.PINK),
        (is_reddish, Color.RED),
        ((hue < 45) & ((value < 0.68) | (saturation < 0.5)), Color.BROWN),
        (hue < 44, Color.ORANGE),
        ((hue < 68) & (lightness > 45), Color.YELLOW),
        (hue < 168, Color.GREEN),
        (hue < 255, Color.BLUE),
        ((hue >= 295) & (lightness > 55), Color.PINK),
        (hue < 335, Color.PURPLE),
    )
    indexes = [COLORS.index(color) for _, color in conditions]
    return np.select([each for each, _ in conditions], indexes, COLORS.index(Color.RED))
