"""The names of colors by which events are found, and their form in the database.

Not here: finding them in an image (`ninjacam.recordings.object_colors`).
"""

from collections.abc import Iterable
from enum import StrEnum


class Color(StrEnum):
    """The basic color terms of English. The order is that of their bits in the database: append only."""

    BLACK = "black"
    GRAY = "gray"
    WHITE = "white"
    RED = "red"
    ORANGE = "orange"
    YELLOW = "yellow"
    GREEN = "green"
    BLUE = "blue"
    PURPLE = "purple"
    BROWN = "brown"
    PINK = "pink"


COLORS = tuple(Color)


def to_color_bits(colors: Iterable[str]) -> int:
    """Return a bit for each of the colors; names that are not colors have none."""
    names = set(colors)
    return sum(1 << number for number, color in enumerate(COLORS) if color in names)


def to_colors(bits: int | None) -> list[Color]:
    """Return the colors of these bits, in the order of `COLORS`. None: none."""
    return [color for number, color in enumerate(COLORS) if (bits or 0) >> number & 1]
