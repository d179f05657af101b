"""Annotations drawn into a picture, for those who see it without a player: `<img>`, snapshots, exports."""

import zlib
from typing import Any

import cv2
import numpy as np

from ninjacam.core.annotations import Seen

FONT = cv2.FONT_HERSHEY_SIMPLEX
DARK = (24, 24, 24)
COLORS = ("#ffb000", "#4cc9f0", "#80ed99", "#ff6b6b", "#c77dff", "#ffd6a5", "#48bfe3", "#f15bb5")
"""A label always has the same."""


def draw_seen(image: Any, seen: Seen) -> None:
    """`image`: uint8, (height, width, 3), BGR, contiguous; drawn on in place."""
    height, width = image.shape[:2]
    scale = max(0.4, width / 1280)
    thick = max(1, round(2 * scale))
    for each in seen:
        points = [(round(x * (width - 1)), round(y * (height - 1))) for x, y in each["points"]]
        label = str(each.get("label", ""))
        color = _bgr(each.get("color") or COLORS[zlib.crc32(label.encode()) % len(COLORS)])
        kind = each["type"]
        for line, weight in ((DARK, thick * 2), (color, thick)):  # dark around it: seen on every ground
            if kind == "box":
                cv2.rectangle(image, points[0], points[1], line, weight, cv2.LINE_AA)
            elif kind == "polygon":
                cv2.polylines(image, [np.array(points, np.int32)], True, line, weight, cv2.LINE_AA)
            elif kind == "point":
                cv2.circle(image, points[0], 3 * thick, line, weight, cv2.LINE_AA)
        if "score" in each:
            label = f"{label} {each['score']:.0%}".strip()
        if label:
            above = min(points, key=lambda point: point[1])
            _label(image, label, points[0] if kind in ("box", "text") else above, color, scale)


def _label(image: Any, text: str, at: tuple[int, int], color: tuple[int, int, int], scale: float) -> None:
    """On a strip of its own above `at`, within the picture."""
    plain = text.encode("ascii", "replace").decode()  # OpenCV's Hershey fonts have no other letters
    size, weight, margin = 0.6 * scale, max(1, round(1.5 * scale)), max(2, round(4 * scale))
    (width, height), below = cv2.getTextSize(plain, FONT, size, weight)
    left = max(0, min(at[0], image.shape[1] - width - 2 * margin))
    bottom = max(height + below + 2 * margin, min(at[1], image.shape[0] - 1))
    cv2.rectangle(
        image, (left, bottom - height - below - 2 * margin), (left + width + 2 * margin, bottom), color, -1
    )
    cv2.putText(image, plain, (left + margin, bottom - below - margin), FONT, size, DARK, weight, cv2.LINE_AA)


def _bgr(color: str) -> tuple[int, int, int]:
    return int(color[5:7], 16), int(color[3:5], 16), int(color[1:3], 16)
