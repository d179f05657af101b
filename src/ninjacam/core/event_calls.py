"""What a processor with `when="events"` receives: an event and its snapshot."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ninjacam.core.times import to_datetime

if TYPE_CHECKING:
    from ninjacam.core.frames import BgrImage

CROP_MARGIN = 0.1
"""Default margin around an object, as a fraction of the longer side of its box."""
FractionBox = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the image."""


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as processors receive it. `camera`: its slug. `start`, `end`: aware, in UTC; `end`: None while it is
    ongoing. `box`: left, top, right, bottom of the object in fractions of the snapshot; None: the event has no object.
    `zones`, `colors`: names. `data`: of its creator, and of processors that were called before.
    """

    id: int
    camera: str
    kind: str
    label: str
    start: datetime
    end: datetime | None = None
    score: float | None = None
    track: int | None = None
    box: FractionBox | None = None
    zones: tuple[str, ...] = ()
    colors: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)


class EventSnapshot:
    """The stored image of an event. `width`, `height`: pixels. `captured_at`: aware UTC time of capture.

    `box`: left, top, right, bottom of the object in pixels; None: the event has no object.
    """

    def __init__(self, image: "BgrImage", *, captured_ns: int = 0, box: FractionBox | None = None) -> None:
        self.image = image
        """The whole image: uint8, (height, width, 3), BGR, yours to draw on."""
        self.height, self.width = image.shape[:2]
        self.captured_ns = captured_ns
        self._fractions = box

    @property
    def captured_at(self) -> datetime:
        return to_datetime(self.captured_ns)

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        return None if self._fractions is None else box_in_pixels(self._fractions, self.width, self.height, 0)

    def crop(self, margin: float = CROP_MARGIN) -> "BgrImage":
        """Return a copy of the part with the object, or of the whole image if the event has no object.

        `margin`: around the box, as a fraction of its longer side.
        """
        if self._fractions is None:
            return self.image.copy()
        left, top, right, bottom = box_in_pixels(self._fractions, self.width, self.height, margin)
        return self.image[top:bottom, left:right].copy()


def box_in_pixels(box: FractionBox, width: int, height: int, margin: float) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of a box with a margin, inside of the image, at least a pixel wide and high.

    `margin`: as a fraction of the longer side of the box.
    """
    left, right = sorted((box[0] * width, box[2] * width))
    top, bottom = sorted((box[1] * height, box[3] * height))
    around = max(0.0, margin) * max(right - left, bottom - top)
    x = _span(left - around, right + around, width)
    y = _span(top - around, bottom + around, height)
    return x[0], y[0], x[1], y[1]


def _span(start: float, end: float, size: int) -> tuple[int, int]:
    first = min(max(0, int(start)), size - 1)
    return first, max(first + 1, min(size, round(end)))
