"""Draws text into images with a bundled font: Latin, Greek, Cyrillic, Korean, kana.

`cv2.putText` is not used: it has only ASCII letters, and OpenCV 5 draws them with another font and weight than
OpenCV 4. OpenCV fills the outlines from font.npz, with the same result in every version.
"""

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

MAX_CHARS = 200
"""Maximum number of characters of one text. Longer texts are truncated."""
MIN_SIZE_PX, MAX_SIZE_PX = 4, 400
MAX_WIDTH_PX = 8192
MAX_KEPT_AREA_PX = 1 << 15
"""Maximum area of a cached text. A label takes 15 KB, the largest cached text 0.3 MB."""
MAX_KEPT = 256
ASCENT, DESCENT = 0.95, 0.27
"""Fractions of the size above and below the baseline that contain all letters of the font, except stacked accents."""
CAP_HEIGHT = 0.714
_UNITS = 500
_FINER = 4
"""Letters are drawn larger by this factor and scaled down, which looks smoother than OpenCV's anti-aliasing.
"""
_FONT = Path(__file__).with_name("font.npz")

WHITE = (255, 255, 255)
BLACK = (0, 0, 0)


class TextSize(NamedTuple):
    """Size of a text in pixels. `ascent`, `descent`: above and below the baseline."""

    width: int
    ascent: int
    descent: int


def text_size(text: str, size_px: float = 24) -> TextSize:
    """Return the space that `draw_text` needs for `text`, without its outline."""
    glyphs, size_px = _glyphs(text), _size(size_px)
    width = min(MAX_WIDTH_PX, round(sum(_font().advance(glyph) for glyph in glyphs) * size_px / _UNITS))
    return TextSize(width, round(ASCENT * size_px), round(DESCENT * size_px))


def draw_text(
    image: Any,
    text: str,
    at: tuple[float, float],
    *,
    size_px: float = 24,
    color: Sequence[int] = WHITE,
    outline: Sequence[int] | None = BLACK,
) -> None:
    """Draw one line of `text` into `image`, in place.

    `image`: uint8, (height, width, 3) BGR or (height, width) gray, writable. `at`: left end of the baseline, as in
    `cv2.putText`; parts outside of the image are not drawn. `size_px`: font size; capitals are 0.71 of it. `color`,
    `outline`: BGR; None: no outline. Control characters and line breaks are drawn as spaces, letters that the font
    lacks as a replacement character. At most 200 characters.
    """
    if image.ndim == 2:
        color, outline = (_gray(color),), None if outline is None else (_gray(outline),)
    size, text = _size(size_px), text[:MAX_CHARS]
    make = _kept_layer if len(text) * size * size <= MAX_KEPT_AREA_PX else _layer
    keep, layer, left, top = make(text, size, tuple(color), None if outline is None else tuple(outline))
    _paint(image, keep, layer, round(at[0]) - left, round(at[1]) - top)


def _paint(image: Any, keep: Any, layer: Any, x: int, y: int) -> None:
    import cv2  # Importing this package must not import OpenCV.

    height, width = image.shape[:2]
    left, top = max(0, x), max(0, y)
    right, bottom = min(width, x + layer.shape[1]), min(height, y + layer.shape[0])
    if left >= right or top >= bottom:
        return
    part = (slice(top - y, bottom - y), slice(left - x, right - x))
    place = image[top:bottom, left:right]
    place[:] = cv2.add(cv2.multiply(place, keep[part], scale=1 / 255), layer[part]).reshape(place.shape)


def _size(size_px: float) -> int:
    return round(min(MAX_SIZE_PX, max(MIN_SIZE_PX, size_px)))


def _gray(color: Sequence[int]) -> int:
    return round(0.114 * color[0] + 0.587 * color[1] + 0.299 * color[2])


def _layer(
    text: str, size: int, color: Sequence[int], outline: Sequence[int] | None
) -> tuple[Any, Any, int, int]:
    """Return (factor of each pixel below, value added to it, x, y), with one channel per color component.

    uint8; x, y: position of the left end of the baseline.
    """
    import numpy as np

    letters, rim, left, top = text_masks(text, size)
    shown = letters[:, :, None].astype(np.float32) / 255
    cover = shown if outline is None else rim[:, :, None].astype(np.float32) / 255
    layer = shown * color if outline is None else (cover - shown) * outline + shown * color
    keep = np.repeat(255 - np.rint(cover * 255).astype(np.uint8), len(color), axis=2)
    return np.squeeze(keep), np.squeeze(np.rint(layer).astype(np.uint8)), left, top


_kept_layer = lru_cache(maxsize=MAX_KEPT)(_layer)


def text_masks(text: str, size_px: float) -> tuple[Any, Any, int, int]:
    """Return (letters, letters with outline, x, y): the coverage of each pixel, uint8, and the position of the left
    end of the baseline.
    """
    import cv2
    import numpy as np

    size = _size(size_px)
    radius = max(1, round(size / 14))
    width, ascent, descent = text_size(text, size)
    columns, rows = width + 2 * radius + size // 4, ascent + descent + 2 * radius
    fine = np.zeros((rows * _FINER, columns * _FINER), np.uint8)
    x, base = float(radius * _FINER), (ascent + radius) * _FINER
    for glyph in _glyphs(text):
        if x >= fine.shape[1]:
            break
        polygons = _polygons(glyph, size)
        if polygons:
            cv2.fillPoly(fine, polygons, 255, offset=(round(x), base))
        x += _font().advance(glyph) * size * _FINER / _UNITS
    letters = cv2.resize(fine, (columns, rows), interpolation=cv2.INTER_AREA)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    return letters, cv2.dilate(letters, kernel), radius, ascent + radius


@lru_cache(maxsize=1024)
def _polygons(glyph: int, size: int) -> list[Any]:
    """Return the polygons at this size, multiplied by `_FINER`, y downwards, int32."""
    import numpy as np

    scale = size * _FINER / _UNITS
    return [np.rint(each * (scale, -scale)).astype(np.int32) for each in _font().outline(glyph)]


def _glyphs(text: str) -> list[int]:
    plain = unicodedata.normalize("NFC", text[:MAX_CHARS])  # macOS decomposes Korean.
    return [_font().find(letter) for letter in plain]


class _Font:
    """The outlines of font.npz: 1 MB on disk, 6 MB in memory, loaded with the first text."""

    def __init__(self) -> None:
        import numpy as np

        with np.load(_FONT) as data:
            codes, advances, counts, sizes, steps = (
                data[name] for name in ("codes", "advances", "counts", "sizes", "steps")
            )
        self._advances = advances.tolist()
        self._numbers = {code: number for number, code in enumerate(codes.tolist())}
        self._polygons = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        self._points = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        self._steps = steps
        self._missing = self._numbers[0xFFFD]

    def find(self, letter: str) -> int:
        """Return the glyph's number."""
        if unicodedata.category(letter) in ("Cc", "Zl", "Zp"):
            letter = " "
        return self._numbers.get(ord(letter), self._missing)

    def advance(self, glyph: int) -> int:
        return int(self._advances[glyph])

    def outline(self, glyph: int) -> list[Any]:
        """Return polygons: (n, 2), y upwards."""
        import numpy as np

        first, last = self._polygons[glyph], self._polygons[glyph + 1]
        return [
            np.cumsum(self._steps[:, self._points[each] : self._points[each + 1]], axis=1, dtype=np.int32).T
            for each in range(first, last)
        ]


@lru_cache(maxsize=1)
def _font() -> _Font:
    return _Font()
