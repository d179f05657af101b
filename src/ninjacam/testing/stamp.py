"""A bar of black and white cells along the top edge that carries a number: exact frame identity, read from pixels.

40 cells span the full width: marker 1 0, 32 bits of value (most significant first), 4 bits of checksum, marker 0 1.
A cell is width/40 wide and as high, so the bar survives H.264, JPEG and scaling down to 320 pixels.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

CELLS = 40
_BLACK, _WHITE = 16, 235
_DARK_BELOW, _LIGHT_ABOVE = 96, 160  # between them a cell is not to be trusted


def _checksum(value: int) -> int:
    folded = 0
    for shift in range(0, 32, 4):
        folded ^= (value >> shift) & 0xF
    return folded


def _bits(value: int) -> "NDArray[np.bool_]":
    value &= 0xFFFFFFFF
    text = f"10{value:032b}{_checksum(value):04b}01"
    return np.array([bit == "1" for bit in text], np.bool_)


def bar_height_px(width_px: int) -> int:
    return width_px // CELLS


def draw(image: "NDArray[np.uint8]", value: int) -> None:
    """Write `value` (mod 2**32) over the top rows of `image`: uint8, (height, width) luma or (height, width, 3) BGR."""
    height = bar_height_px(image.shape[1])
    cell_of_column = np.arange(image.shape[1]) * CELLS // image.shape[1]
    row = np.where(_bits(value)[cell_of_column], _WHITE, _BLACK).astype(np.uint8)
    image[:height] = row if image.ndim == 2 else row[:, None]


def read(image: "NDArray[np.uint8]") -> int | None:
    """The number in the bar of `image` (uint8, luma or BGR, at any scale from 320 px of width), None if unreadable."""
    plane = image if image.ndim == 2 else image[:, :, 1]
    cell = plane.shape[1] / CELLS
    if cell < 8 or plane.shape[0] < cell:
        return None
    rows = plane[int(cell * 0.3) : max(int(cell * 0.7), int(cell * 0.3) + 1)]
    reach = int(cell * 0.2)
    columns = ((np.arange(CELLS) + 0.5) * cell).astype(np.intp)[:, None] + np.arange(-reach, reach + 1)
    level = rows.mean(axis=0)[columns].mean(axis=1)
    if bool(((level > _DARK_BELOW) & (level < _LIGHT_ABOVE)).any()):
        return None
    text = "".join("1" if bit else "0" for bit in level > 127)
    value = int(text[2:34], 2)
    if text[:2] != "10" or text[38:] != "01" or int(text[34:38], 2) != _checksum(value):
        return None
    return value
