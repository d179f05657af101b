"""Figures of what a camera shows, from a few of the frames that are decoded anyway: brightness, detail, stillness.

Imports OpenCV and NumPy when there is a frame. Not here: which figures are unusual (`engine.findings`).
"""

from typing import TYPE_CHECKING, Any

from ninjacam.core.errors import DecodeError

if TYPE_CHECKING:
    from ninjacam.core.frames import GrayImage
    from ninjacam.vision.images import DecodedFrame

LOOK_EVERY_NS = 2_000_000_000
VALID_NS = 30_000_000_000
"""Time after which the figures are outdated, because no frames are decoded any more."""
COLUMNS, ROWS = 256, 144
"""Number of pixels to look at, spread over the frame."""
CELL = 8
"""Pixels in each direction of which the mean is taken, against the noise of the sensor."""
BLACK = 16
"""Luma of black (ITU-R BT.601 and BT.709)."""
DARKEST, LIGHTEST = 20, 230
"""Pixels beyond are clipped, so noise does not change them."""
MIN_JUDGED = 0.05
"""Share of pixels that must not be clipped, for a judgement of whether the image has changed."""
MAX_CHANGED = 0.05
"""Share of pixels that may differ in an image that has not changed: a key frame encodes the same image again, and
cameras draw their clock over an image that is frozen. Noise changes more, even what little is left at a low bitrate.
"""


class SceneWatch:
    """`look` is called in the decoding thread, `report` in the loop. Times are monotonic."""

    def __init__(self) -> None:
        self._looked_ns = -VALID_NS
        self._figures: dict[str, float] = {}
        self._reference: GrayImage | None = None
        self._unchanged_since_ns = 0

    def look(self, frame: "DecodedFrame", received_ns: int) -> None:
        """Measure the frame, if the last measurement is long enough ago."""
        if 0 <= received_ns - self._looked_ns < LOOK_EVERY_NS:
            return
        try:
            pixels = _spread_pixels(frame.gray())
        except DecodeError:
            return
        if received_ns - self._looked_ns > VALID_NS or self._has_changed(pixels):
            self._reference, self._unchanged_since_ns = pixels, received_ns
        self._looked_ns = received_ns
        self._figures = {
            **measure(pixels),
            "still_s": round((received_ns - self._unchanged_since_ns) / 1e9, 1),
        }

    def _has_changed(self, pixels: "GrayImage") -> bool:
        reference = self._reference
        if reference is None or reference.shape != pixels.shape:
            return True
        import numpy as np

        judged = (reference >= DARKEST) & (reference <= LIGHTEST)
        count = int(np.count_nonzero(judged))
        changed = int(np.count_nonzero((reference != pixels) & judged))
        return count < MIN_JUDGED * pixels.size or changed > MAX_CHANGED * count

    def report(self, now_ns: int) -> dict[str, Any]:
        """Return {"brightness", "brightest", "detail", "still_s"}; empty if no frames have been decoded recently."""
        return self._figures if now_ns - self._looked_ns < VALID_NS else {}


def _spread_pixels(gray: "GrayImage") -> "GrayImage":
    height, width = gray.shape
    return gray[:: max(1, height // ROWS), :: max(1, width // COLUMNS)].copy()


def measure(pixels: "GrayImage") -> dict[str, float]:
    """Return "brightness": the mean luma; "brightest": that of the brightest cell; "detail": the mean difference
    between neighbouring cells, in % of the brightness.
    """
    import cv2
    import numpy as np

    height, width = pixels.shape
    size = (max(2, width // CELL), max(2, height // CELL))
    cells = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    across, down = np.abs(np.diff(cells, axis=1)).mean(), np.abs(np.diff(cells, axis=0)).mean()
    brightness = float(cells.mean())
    return {
        "brightness": round(brightness, 1),
        "brightest": round(float(cells.max()), 1),
        "detail": round(50 * float(across + down) / max(BLACK / 2, brightness - BLACK), 2),
    }
