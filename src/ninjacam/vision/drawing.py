"""Draws annotations into images, for clients without the player: `<img>`, snapshots, exports.

They look like the player draws them (static/ninjacam/player/overlay-drawing.js): same colors, same positions.
"""

import colorsys
from typing import Any

import cv2
import numpy as np

from ninjacam.core.annotations import AnnotationSet
from ninjacam.core.text import draw_text, text_size

SIZE_PX = 18
"""Size of labels in an image 1280 pixels wide."""
DARK = (24, 24, 24)


def draw_annotations(image: Any, annotations: AnnotationSet, view: str) -> None:
    """Draw in place. `image`: uint8, (height, width, 3), BGR, contiguous. `view`: the view that made the
    annotations.
    """
    height, width = image.shape[:2]
    scale = max(0.4, width / 1280)
    thick = max(1, round(2 * scale))
    for each in annotations:
        points = [(round(x * (width - 1)), round(y * (height - 1))) for x, y in each["points"]]
        color = _color(each, view)
        kind = each["type"]
        # A dark outline keeps it visible on any background.
        for line, weight in (
            (DARK, thick * 2),
            (color, thick),
        ):
            if kind == "box":
                cv2.rectangle(image, points[0], points[1], line, weight, cv2.LINE_AA)
            elif kind == "polygon":
                cv2.polylines(image, [np.array(points, np.int32)], True, line, weight, cv2.LINE_AA)
            elif kind == "point":
                cv2.circle(image, points[0], 2 * thick, line, weight, cv2.LINE_AA)
        words = f"{each.get('label', '')} {each['score']:.0%}" if "score" in each else each.get("label", "")
        if words:
            left, top = (min(values) for values in zip(*points, strict=True))
            at = (left + 4 * thick, top + round(9 * scale)) if kind == "point" else (left, top)
            _label(image, words.strip(), at, color, scale)


def _label(image: Any, text: str, at: tuple[int, int], color: tuple[int, int, int], scale: float) -> None:
    """Draw text on a strip whose lower left corner is `at`, inside of the image."""
    size_px, margin = SIZE_PX * scale, max(2, round(4 * scale))
    width, ascent, descent = text_size(text, size_px)
    left = max(0, min(at[0], image.shape[1] - width - 2 * margin))
    bottom = max(ascent + descent, min(at[1], image.shape[0] - 1))
    cv2.rectangle(image, (left, bottom - ascent - descent), (left + width + 2 * margin, bottom), color, -1)
    draw_text(image, text, (left + margin, bottom - descent), size_px=size_px, color=DARK, outline=None)


def _color(each: dict[str, Any], view: str) -> tuple[int, int, int]:
    """Return BGR: the annotation's own color, else one derived from the label."""
    if "color" in each:
        red, green, blue = (int(each["color"][at : at + 2], 16) for at in (1, 3, 5))
        return blue, green, red
    hue = 0
    for letter in each.get("label", view):
        hue = (hue * 31 + ord(letter)) % 360
    parts = colorsys.hls_to_rgb(hue / 360, 0.6, 0.9)
    return round(parts[2] * 255), round(parts[1] * 255), round(parts[0] * 255)
