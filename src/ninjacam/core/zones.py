"""Zones, lines and masks of a camera: the shapes that users draw on its image, and their pixels in a frame.

NumPy and OpenCV are imported only to draw a mask. Not here: where zones are stored (`ninjacam.models.zone`).
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from ninjacam.core.errors import InvalidError, UnknownZoneError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    BoolMask: TypeAlias = NDArray[np.bool_]
    """bool, shape (height, width)."""

ZoneKind: TypeAlias = Literal["zone", "line", "mask"]
"""An area to watch, an open line to cross, an area to ignore."""
MAX_ZONES = 32
"""Maximum number of zones, lines and masks of one camera."""
MAX_POINTS = 100
MIN_POINTS: Mapping[str, int] = {"zone": 3, "line": 2, "mask": 3}
MAX_INERTIA_S = 60.0
MAX_LOITERING_S = 86_400.0
MAX_NAME_CHARS = 30
MAX_PRESET_CHARS = 64
NAME = r"[a-z0-9][a-z0-9_-]{0,29}"
"""Pattern of a zone's name, without anchors."""
COLOR = r"#[0-9a-fA-F]{6}"
DEFAULT_COLOR = "#4aa8ff"
DIGITS = 5
"""Decimal places of a fraction: 0.04 pixels at a width of 3840."""

MAX_MASKS = 8
"""Maximum number of masks that are kept for one size of frames: 2 MB each for 1920 x 1080."""
MAX_SIZES = 4
"""Maximum number of sizes of frames that masks are kept for: processors receive frames of different streams."""
MAX_NAMED = 10
"""Maximum number of names in a message."""
_SHIFT = 4  # fractional bits of the corners that OpenCV receives

Points: TypeAlias = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Zone:
    """A named shape on the image of a camera.

    `fractions`: its points (x, y) as fractions of the frame's width and height: the corners of a zone or mask, or the
    points of a line in the order of its direction. `inertia_s`: seconds that an object must be inside before it counts.
    `loitering_s`: seconds inside after which it loiters; 0: never. `preset`: token of the PTZ preset that the shape was
    drawn for: it applies only while the camera is known to be there; "": it applies to every position. `color`:
    "#rrggbb". `width_px`, `height_px`: size of the frame in whose pixels `points` are.
    Raises: InvalidError: it cannot be used; names the field, which is `points` for `fractions`.
    """

    name: str
    kind: ZoneKind
    fractions: Sequence[tuple[float, float]]
    inertia_s: float = 0.0
    loitering_s: float = 0.0
    preset: str = ""
    color: str = DEFAULT_COLOR
    width_px: int = 1
    height_px: int = 1

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and re.fullmatch(NAME, self.name)):
            raise InvalidError.of(
                "name",
                "Use a-z, 0-9, - and _ for the name, starting with a letter or digit, at most 30 characters.",
            )
        if self.kind not in get_args(ZoneKind):
            raise InvalidError.of("kind", "Use zone, line or mask.")
        object.__setattr__(self, "fractions", _checked_points(self.kind, self.fractions))
        object.__setattr__(self, "inertia_s", _checked_seconds("inertia_s", self.inertia_s, MAX_INERTIA_S))
        object.__setattr__(
            self, "loitering_s", _checked_seconds("loitering_s", self.loitering_s, MAX_LOITERING_S)
        )
        if not (isinstance(self.preset, str) and re.fullmatch(r"[^\x00-\x1f\x7f]{0,64}", self.preset)):
            raise InvalidError.of("preset", "Use the token of a preset: at most 64 characters.")
        if not (isinstance(self.color, str) and re.fullmatch(COLOR, self.color)):
            raise InvalidError.of("color", "Write the color as #rrggbb, such as #4aa8ff.")

    @cached_property
    def points(self) -> Points:
        """The points in pixels, from (0, 0) at the top left corner of the frame to (width, height)."""
        return tuple((x * self.width_px, y * self.height_px) for x, y in self.fractions)

    def contains(self, x: float, y: float) -> bool:
        """Return whether the point (x, y), in pixels, is inside. A line contains nothing.

        Where a shape crosses itself, a point is inside if a ray from it crosses an odd number of edges.
        """
        if self.kind == "line":
            return False
        inside = False
        points = self.points
        ax, ay = points[-1]
        for bx, by in points:
            if (by > y) != (ay > y) and x < bx + (ax - bx) * (y - by) / (ay - by):
                inside = not inside
            ax, ay = bx, by
        return inside


class Zones(Mapping[str, Zone]):
    """The zones, lines and masks of a camera by name, in pixels of frames of one size. Immutable.

    Masks are drawn once per size and kept, so threads should share an object, and get the size that they need with
    `of_size`.
    """

    def __init__(self, zones: Iterable[Zone] = (), width_px: int = 1, height_px: int = 1) -> None:
        found = tuple(zones)
        self._by_name = {zone.name: replace(zone, width_px=width_px, height_px=height_px) for zone in found}
        # Neither refers to this object: it and its masks are freed as soon as they are no longer used.
        self._of_size = lru_cache(MAX_SIZES)(partial(Zones, found))
        self._mask = lru_cache(MAX_MASKS)(partial(_draw, self._by_name, width_px, height_px))

    def __getitem__(self, name: str) -> Zone:
        """Raises: UnknownZoneError."""
        try:
            return self._by_name[name]
        except KeyError:
            known = ", ".join(f"“{each}”" for each in [*self._by_name][:MAX_NAMED]) or "none"
            raise UnknownZoneError(
                f"The camera has no zone “{name}”. Draw it on the page of the camera's zones, or use one of "
                f"these: {known}."
            ) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)

    def of_size(self, width_px: int, height_px: int) -> "Zones":
        """Return the same zones in pixels of another size."""
        return self._of_size(width_px, height_px)

    def mask(self, *names: str) -> "BoolMask":
        """Return which pixels are inside any of these zones and masks: bool, (height, width), READ-ONLY.

        Names that the camera does not have, and lines, have no pixels. For an argument of OpenCV that takes a mask, use
        `.view("uint8")`.
        """
        return self._mask(names)

    @property
    def masked(self) -> "BoolMask":
        """Which pixels are inside any shape of the kind `mask`, as in `mask`."""
        return self._mask(tuple(zone.name for zone in self._by_name.values() if zone.kind == "mask"))


def _draw(zones: Mapping[str, Zone], width_px: int, height_px: int, names: tuple[str, ...]) -> "BoolMask":
    import cv2
    import numpy as np

    drawn: Any = np.zeros((height_px, width_px), np.uint8)
    for zone in (zones[name] for name in names if name in zones):
        if zone.kind != "line":
            # The center of OpenCV's first pixel is at 0, ours is at 0.5.
            corners = np.rint((np.array(zone.points) - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(drawn, [corners], 1, shift=_SHIFT)
    drawn.flags.writeable = False
    return drawn.view(np.bool_)  # type: ignore[no-any-return]


def _checked_points(kind: str, points: Any) -> Points:
    """Return the points as tuples of rounded floats. Raises: InvalidError."""
    least = MIN_POINTS[kind]
    if not (isinstance(points, list | tuple) and least <= len(points) <= MAX_POINTS):
        raise InvalidError.of("points", f"A {kind} has {least} to {MAX_POINTS} points.")
    if not all(isinstance(each, list | tuple) and len(each) == 2 for each in points):
        raise InvalidError.of("points", "A point is a pair of numbers, x and y.")
    if not all(_is_between(number, 0, 1) for each in points for number in each):
        raise InvalidError.of("points", "Points are fractions of the width and height of the image: 0 to 1.")
    return tuple((_rounded(x), _rounded(y)) for x, y in points)


def _checked_seconds(field: str, value: Any, limit: float) -> float:
    """Raises: InvalidError."""
    if not _is_between(value, 0, limit):
        raise InvalidError.of(field, f"Use a number of seconds from 0 to {limit:g}.")
    return float(value)


def _is_between(value: Any, low: float, high: float) -> bool:
    """Return whether it is a number in this range, which not-a-number is not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _rounded(value: float) -> float:
    return round(float(value), DIGITS) + 0.0  # never -0.0
