"""Where and when to search for motion, and what was found. Imports no decoder, so that web workers may use it."""

from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from ninjacam.core.errors import InvalidError

NS = 1_000_000_000
WARM_UP_NS = 20 * NS
"""Time before the span that is examined to learn the background."""
MERGE_NS = 3 * NS
"""A shorter pause does not end a movement."""
MIN_SIDE = 0.01
"""Minimum width and height of a region."""


class Region(NamedTuple):
    """A rectangle in fractions of the image."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def parse(cls, text: str) -> "Region":
        """Return the region of “x1,y1,x2,y2”. Raises: InvalidError."""
        try:
            left, top, right, bottom = (float(each) for each in text.split(","))
        except ValueError:
            left = top = right = bottom = -1.0
        is_inside = 0 <= left < right <= 1 and 0 <= top < bottom <= 1
        if not is_inside or right - left < MIN_SIDE or bottom - top < MIN_SIDE:
            raise InvalidError.of(
                "region",
                "Specify the region as x1,y1,x2,y2: its left, top, right and bottom edges as fractions of the image, "
                "such as 0.1,0.5,0.4,1.",
            )
        return cls(left, top, right, bottom)


WHOLE = Region(0.0, 0.0, 1.0, 1.0)


class MotionSpan(NamedTuple):
    """The times of the first and the last key frame that differ. It may have begun at the key frame before."""

    start_ns: int
    end_ns: int


@dataclass(slots=True)
class MotionSearch:
    """`searched_until_ns`: up to where; less than the end of the span: the time or the number of hits was not enough.
    `key_frames`: examined.
    """

    movements: list[MotionSpan] = field(default_factory=list)
    searched_until_ns: int = 0
    key_frames: int = 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MotionSearch":
        return cls(
            [MotionSpan(*each) for each in values["movements"]],
            values["searched_until_ns"],
            values["key_frames"],
        )
