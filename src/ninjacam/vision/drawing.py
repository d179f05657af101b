"""Draws annotations into images, for clients without the player: `<img>`, snapshots, exports.

They look like the player draws them (static/ninjacam/player/overlay-drawing.js): same colors, same positions.
"""

import colorsys
from typing import Any

import cv2
import numpy as np

from ninjacam.core.annotations import AnnotationSet
from ninjacam.core.masks import decode_mask
from ninjacam.core.text import draw_text, text_size

SIZE_PX = 18
"""Size of labels in an image 1280 pixels wide."""
DARK = (24, 24, 24)
MASK_OPACITY = 0.4

_Color = tuple[int, int, int]
_Position = tuple[int, int]


def draw_annotations(image: Any, annotations: AnnotationSet, view: str) -> None:
    """Draw in place. `image`: uint8, (height, width, 3), BGR, contiguous. `view`: the view that made the
    annotations.
    """
    scale = max(0.4, image.shape[1] / 1280)
    thick = max(1, round(2 * scale))
    for each in annotations:
        color = _color(each, view)
        points = _positions(image, each["points"])
        if each["type"] == "mask":
            _fill(image, each, color)
        if "trail" in each:
            _draw_lines(
                image, [[*_positions(image, each["trail"]), _center(points)]], color, max(1, thick // 2)
            )
        # A dark outline keeps it visible on any background.
        for line, weight in ((DARK, thick * 2), (color, thick)):
            _draw_shape(image, each, points, line, weight, 2 * thick)
        if words := _words(each):
            left, top = (min(values) for values in zip(*filter(None, points), strict=True))
            at = (left + 4 * thick, top + round(9 * scale)) if each["type"] == "point" else (left, top)
            _label(image, words, at, color, scale)


def _positions(image: Any, points: list[Any]) -> list[Any]:
    """Return (x, y) in pixels; None stays None."""
    height, width = image.shape[:2]
    return [point and (round(point[0] * (width - 1)), round(point[1] * (height - 1))) for point in points]


def _center(points: list[_Position]) -> _Position:
    return (points[0][0] + points[-1][0]) // 2, (points[0][1] + points[-1][1]) // 2


def _draw_shape(
    image: Any, each: dict[str, Any], points: list[Any], color: _Color, weight: int, radius: int
) -> None:
    kind = each["type"]
    if kind == "box":
        cv2.rectangle(image, points[0], points[1], color, weight, cv2.LINE_AA)
    elif kind in ("line", "polygon"):
        _draw_lines(image, [points], color, weight, closed=kind == "polygon")
    elif kind == "keypoints":
        _draw_lines(image, [[points[start], points[end]] for start, end in each["edges"]], color, weight)
    if kind in ("point", "keypoints"):
        for point in filter(None, points):
            cv2.circle(image, point, radius, color, weight, cv2.LINE_AA)


def _draw_lines(
    image: Any, lines: list[list[_Position]], color: _Color, weight: int, *, closed: bool = False
) -> None:
    cv2.polylines(image, [np.array(line, np.int32) for line in lines], closed, color, weight, cv2.LINE_AA)


def _fill(image: Any, each: dict[str, Any], color: _Color) -> None:
    """Tint the pixels of a mask."""
    height, width = image.shape[:2]
    (left, top), (right, bottom) = ((round(x * width), round(y * height)) for x, y in each["points"])
    if left >= right or top >= bottom:
        return
    cells = decode_mask(each["runs"], *each["size"])
    inside = cv2.resize(cells, (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    region = image[top:bottom, left:right]
    tinted = cv2.addWeighted(region, 1 - MASK_OPACITY, np.full_like(region, color), MASK_OPACITY, 0)
    np.copyto(region, tinted, where=inside[..., None] != 0)


def _words(each: dict[str, Any]) -> str:
    """Return the label, track and score, such as "person #7 93%"."""
    words = [each.get("label", "")]
    if "track" in each:
        words.append(f"#{each['track']}")
    if "score" in each:
        words.append(f"{each['score']:.0%}")
    return " ".join(words).strip()


def _label(image: Any, text: str, at: _Position, color: _Color, scale: float) -> None:
    """Draw text on a strip whose lower left corner is `at`, inside of the image."""
    size_px, margin = SIZE_PX * scale, max(2, round(4 * scale))
    width, ascent, descent = text_size(text, size_px)
    left = max(0, min(at[0], image.shape[1] - width - 2 * margin))
    bottom = max(ascent + descent, min(at[1], image.shape[0] - 1))
    cv2.rectangle(image, (left, bottom - ascent - descent), (left + width + 2 * margin, bottom), color, -1)
    draw_text(image, text, (left + margin, bottom - descent), size_px=size_px, color=DARK, outline=None)


def _color(each: dict[str, Any], view: str) -> _Color:
    """Return BGR: the annotation's own color, else one derived from its track, else from its label."""
    if "color" in each:
        red, green, blue = (int(each["color"][at : at + 2], 16) for at in (1, 3, 5))
        return blue, green, red
    hue = 0
    if "track" in each:
        hue = (
            each["track"] % 360 * 137 % 360
        )  # Close to the golden angle: consecutive tracks have distant hues.
    else:
        for letter in each.get("label", view):
            hue = (hue * 31 + ord(letter)) % 360
    parts = colorsys.hls_to_rgb(hue / 360, 0.6, 0.9)
    return round(parts[2] * 255), round(parts[1] * 255), round(parts[0] * 255)
