"""Draws the wall clock into exported frames."""

import math
from datetime import UTC, datetime, tzinfo
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from ninjacam.core.text import CAP_HEIGHT, text_masks, text_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WHITE, _BLACK, _NO_COLOUR = 235, 16, 128
_HEIGHT_SHARE = 1 / 28
"""Height of capitals as a fraction of the frame's shorter side: 26 pixels of 720."""


class ClockFace:
    """Draws the time of one zone. `zone`: an IANA name; UTC if this host does not support it."""

    def __init__(self, zone: str) -> None:
        self._zone: tzinfo = UTC
        self._drawn: tuple[str, int, int] = ("", 0, 0)
        self._letters: Any = None
        self._rim: Any = None
        if zone != "UTC":
            try:
                self._zone = ZoneInfo(zone)
            except (
                KeyError,
                ValueError,
                OSError,
            ):
                # An unknown zone; a name that is not a path; a directory.
                self._zone = UTC

    def text(self, captured_ns: int) -> str:
        """Return the text, such as "2026-11-22 08:00:00 UTC"."""
        return f"{datetime.fromtimestamp(captured_ns // 1_000_000_000, self._zone):%Y-%m-%d %H:%M:%S %Z}"

    def draw(self, planes: "NDArray[np.uint8]", width_px: int, height_px: int, captured_ns: int) -> None:
        """Draw at the bottom left, white with a black outline. `planes`: I420, (height * 3 / 2, width), contiguous."""
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
    """Return (the letters, the opaque part) as coverage from 0 to 1, float32, with a margin on two sides."""
    cap_px = max(8.0, min(width_px, height_px) * _HEIGHT_SHARE)
    margin = math.ceil(cap_px / 2) & ~1
    size_px = cap_px / CAP_HEIGHT
    room_px = width_px - 2 * margin
    text_px = text_size(text, size_px).width
    if text_px > room_px:  # A small or portrait frame.
        size_px = math.floor(size_px * 0.95 * room_px / text_px)
    letters, rim, left, base = text_masks(text, size_px)
    below = max(margin, letters.shape[0] - base)
    # Even, as the chroma planes require.
    shape = ((base + below + 1) & ~1, min((margin - left + letters.shape[1] + 1) & ~1, width_px & ~1))
    return _placed(letters, shape, margin - left, base + below), _placed(
        rim, shape, margin - left, base + below
    )


def _placed(mask: Any, shape: tuple[int, int], x: int, height_px: int) -> Any:
    """Return `mask` at the column `x`, `height_px` above the bottom, on a canvas of `shape`; coverage, float32."""
    canvas = np.zeros(shape, np.float32)
    y = shape[0] - height_px
    part = mask[: shape[0] - y, : shape[1] - x]
    canvas[y : y + part.shape[0], x : x + part.shape[1]] = part / np.float32(255)
    return canvas
