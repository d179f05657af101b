"""The wall clock that is drawn into exported pictures."""

import math
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FONT = cv2.FONT_HERSHEY_SIMPLEX
_WHITE, _BLACK, _NO_COLOUR = 235, 16, 128
_HEIGHT_SHARE = 1 / 28
"""Of the capitals in the picture's shorter side: 26 pixels of 720."""


class ClockFace:
    """`zone`: of the IANA database; UTC where it is not known here."""

    def __init__(self, zone: str) -> None:
        self._zone: tzinfo = UTC
        self._drawn: tuple[str, int, int] = ("", 0, 0)
        self._letters: Any = None
        self._rim: Any = None
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
        wanted = (self.text(captured_ns), width_px, height_px)
        if wanted != self._drawn:
            self._drawn = wanted
            self._letters, self._rim = _write(*wanted)
        rows, columns = self._letters.shape
        flat: Any = planes.reshape(-1)
        size = width_px * height_px
        luma = flat[:size].reshape(height_px, width_px)[height_px - rows :, :columns]
        luma[:] = (luma * (1 - self._rim) + _BLACK * self._rim) * (1 - self._letters) + _WHITE * self._letters
        for start in (size, size + size // 4):
            chroma = flat[start : start + size // 4].reshape(height_px // 2, width_px // 2)
            chroma[height_px // 2 - rows // 2 :, : columns // 2] = _NO_COLOUR


def _write(text: str, width_px: int, height_px: int) -> tuple[Any, Any]:
    """(the letters, and all that is not to be seen through) as shares, float32, with a margin to two sides."""
    cap_px = max(8.0, min(width_px, height_px) * _HEIGHT_SHARE)
    margin = math.ceil(cap_px / 2) & ~1
    scale = cap_px / 22  # the font's capitals are 22 pixels high at 1
    line = max(1, round(scale * 2))
    text_px = cv2.getTextSize(text, FONT, scale, line)[0][0]
    most_px = width_px - 2 * margin
    if text_px > most_px:  # a small or upright picture
        scale *= 0.95 * most_px / text_px
        line = 1
        text_px = most_px
    letters: Any = np.zeros(((math.ceil(cap_px) + 2 * margin) & ~1, (text_px + 2 * margin) & ~1), np.uint8)
    # The thickness decides how wide the letters are (OpenCV 5), so the rim is not made by writing thicker ones.
    cv2.putText(letters, text, (margin, letters.shape[0] - margin), FONT, scale, 255, line, cv2.LINE_AA)
    rim = cv2.dilate(letters, np.ones((2 * line + 1, 2 * line + 1), np.uint8))
    return letters.astype(np.float32) / 255, rim.astype(np.float32) / 255
