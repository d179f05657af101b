"""The wall clock that is drawn into exported pictures."""

import math
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import cv2

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK, _NO_COLOUR = 235, 16, 128
_HEIGHT_SHARE = 1 / 28
"""Of the picture's shorter side: 26 pixels of 720."""


class ClockFace:
    """`zone`: of the IANA database; UTC where it is not known here."""

    def __init__(self, zone: str) -> None:
        self._zone: tzinfo = UTC
        if zone != "UTC":
            try:
                self._zone = ZoneInfo(zone)
            except (KeyError, ValueError, OSError):  # no such zone; a name that is no path; a directory
                self._zone = UTC

    def text(self, captured_ns: int) -> str:
        """ "2026-11-22 08:00:00 UTC"."""
        return f"{datetime.fromtimestamp(captured_ns // 1_000_000_000, self._zone):%Y-%m-%d %H:%M:%S %Z}"

    def draw(self, planes: "NDArray[np.uint8]", width_px: int, height_px: int, captured_ns: int) -> None:
        """At the bottom left, white with a black rim. `planes`: I420, (height * 3 / 2, width), contiguous."""
        text = self.text(captured_ns)
        cap_px = max(8.0, min(width_px, height_px) * _HEIGHT_SHARE)
        scale = cap_px / 22  # the font's capitals are 22 pixels high at 1
        (text_px, _), _ = cv2.getTextSize(text, FONT, scale, 1)
        margin = math.ceil(cap_px / 2)
        if text_px + 2 * margin > width_px:  # a small or upright picture
            scale *= (width_px - 2 * margin) / text_px
            text_px = width_px - 2 * margin
        line = max(1, round(scale * 2))
        flat: Any = planes.reshape(-1)
        size = width_px * height_px
        luma = flat[:size].reshape(height_px, width_px)
        at = (margin, height_px - margin)
        cv2.putText(luma, text, at, FONT, scale, _BLACK, 3 * line, cv2.LINE_AA)
        cv2.putText(luma, text, at, FONT, scale, _WHITE, line, cv2.LINE_AA)
        top, right = (at[1] - math.ceil(cap_px) - margin // 2) // 2, min(width_px, text_px + 2 * margin) // 2
        for start in (size, size + size // 4):
            chroma = flat[start : start + size // 4].reshape(height_px // 2, width_px // 2)
            chroma[max(0, top) :, :right] = _NO_COLOUR
