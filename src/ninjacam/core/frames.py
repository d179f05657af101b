"""The decoded frame that a processor receives."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from ninjacam.core.times import to_datetime
from ninjacam.core.zones import Zones

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    BgrImage: TypeAlias = NDArray[np.uint8]
    """uint8, shape (height, width, 3), channels B, G, R, C-contiguous."""
    GrayImage: TypeAlias = NDArray[np.uint8]
    """uint8, shape (height, width)."""

    from ninjacam.core.results import Result


class Area(NamedTuple):
    """A moving area: its edges in pixels of the frame. `share`: the moving fraction of the image, 0 to 1."""

    left: int
    top: int
    right: int
    bottom: int
    share: float


class Frame:
    """One frame of a camera, decoded on demand.

    `camera`: its slug. `number`: index of the decoded frame, from 0. `pts_s`: seconds on the camera's clock.
    `captured_at`: aware UTC time of capture. `received_ns`: monotonic clock of this host. `width`, `height`:
    pixels. `motion`: the moving areas, in pixels of the frame, for processors with `when="motion"`.
    `results`: the latest results of the processors that run before this one in its chain, by name. The frame
    is valid only during the call. Copy the image to keep it.
    """

    __slots__ = ("_bgr", "_load_bgr", "_load_gray", "_zones", "camera", "captured_ns", "height", "motion", "number",
                 "pts_s", "received_ns", "results", "width")  # fmt: skip

    def __init__(
        self,
        *,
        camera: str,
        number: int,
        pts_s: float,
        captured_ns: int,
        received_ns: int,
        width: int,
        height: int,
        load_bgr: "Callable[[], BgrImage]",
        load_gray: "Callable[[], GrayImage]",
        results: "Mapping[str, Result] | None" = None,
        motion: tuple[Area, ...] = (),
        zones: Zones | None = None,
    ) -> None:
        self.camera = camera
        self.number = number
        self.pts_s = pts_s
        self.captured_ns = captured_ns
        self.received_ns = received_ns
        self.width = width
        self.height = height
        self.motion = motion
        self.results: Mapping[str, Result] = {} if results is None else results
        self._load_bgr = load_bgr
        self._load_gray = load_gray
        self._bgr: Any = None
        self._zones = zones

    @property
    def image(self) -> "BgrImage":
        """The image in color: uint8, (height, width, 3), BGR, C-contiguous, writable.

        Converted at the first access. Later accesses return the same array, including anything drawn on it.
        Raises: DecodeError: the decoder produced no image.
        """
        if self._bgr is None:
            self._bgr = self._load_bgr()
        return self._bgr  # type: ignore[no-any-return]

    @property
    def gray(self) -> "GrayImage":
        """The luma plane as decoded: uint8, (height, width), READ-ONLY, rows may be padded. No conversion, no copy."""
        return self._load_gray()

    @property
    def zones(self) -> Zones:
        """The zones, lines and masks of the camera by name, in pixels of this frame."""
        zones = Zones() if self._zones is None else self._zones
        return zones.of_size(self.width, self.height)

    @property
    def captured_at(self) -> datetime:
        return to_datetime(self.captured_ns)

    @property
    def drawn(self) -> bool:
        """Return whether `image` was accessed, so that it may have been modified."""
        return self._bgr is not None
