"""The best view of an event's object."""

from dataclasses import dataclass

from ninjacam.core.annotations import Box
from ninjacam.core.frames import Frame


@dataclass(frozen=True, slots=True)
class Sighting:
    """The best view of an object so far.

    `at_ns`: capture time, wall clock. `score`: 0 to 1. `track`: number of the object. `box`: left, top,
    right, bottom in fractions of the image. `zones`: names of the zones that the object has entered.
    """

    at_ns: int
    score: float | None = None
    track: int | None = None
    box: tuple[float, float, float, float] | None = None
    zones: tuple[str, ...] = ()

    @classmethod
    def of(cls, box: Box, frame: Frame, *, at_ns: int = 0, zones: tuple[str, ...] = ()) -> "Sighting":
        """Return the sighting for a box in pixels of the frame. `at_ns`: capture time; 0: that of the frame."""
        edges = (
            float(box.left) / frame.width,
            float(box.top) / frame.height,
            float(box.right) / frame.width,
            float(box.bottom) / frame.height,
        )
        return cls(
            at_ns or frame.captured_ns,
            None if box.score is None else float(box.score),
            None if box.track is None else int(box.track),
            edges,
            zones,
        )
