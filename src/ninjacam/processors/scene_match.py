"""Compares two frames of a fixed camera: does it still show the same place, and as sharply? Not a processor.

The comparison uses contrasts relative to their surroundings, so neither brightness nor exposure matters, and the phases
of a Fourier transform, so few edges that are at the same place are enough.
"""

from typing import Any, NamedTuple

import cv2
import numpy as np

SIZE_PX = (320, 180)
"""Width and height that frames are scaled to: this averages noise."""
SURROUNDINGS_PX, EVEN_OUT_PX, FINE_PX, PLACE_PX = 4, 12, 1, 2
"""Standard deviations of Gaussian filters."""
MIN_CONTRAST = 2.0
"""Contrast (8 bits of luma) that is as likely noise as an edge."""
MIN_DETAIL = 1.0
"""Variance of the coarse detail below which sharpness is unknown: the image is dark, or the lens is covered."""
MIN_HERE = 5.5
"""Match without a shift, in standard deviations, from which frames show the same place."""
_WINDOW: Any = cv2.createHanningWindow(SIZE_PX, cv2.CV_32F)


class Look(NamedTuple):
    """What is compared of a frame: (180, 320) float32 each. `edges`: relative contrast. `fine`, `coarse`: detail."""

    edges: Any
    fine: Any
    coarse: Any


class Match(NamedTuple):
    """How clearly two frames match, in standard deviations. `best`: with any shift. `here`: without one.

    Unrelated frames reach 5, and frames of the same place 10 or more, also at night and out of focus.
    """

    best: float
    here: float

    @property
    def is_here(self) -> bool:
        """Whether both frames show the same place without a shift."""
        return self.here >= max(MIN_HERE, self.best / 2)


def look_at(gray: Any) -> Look:
    """`gray`: uint8, (height, width)."""
    small = cv2.resize(gray, SIZE_PX, interpolation=cv2.INTER_AREA).astype(np.float32)
    smooth = cv2.GaussianBlur(small, (0, 0), FINE_PX)
    surroundings = cv2.GaussianBlur(small, (0, 0), SURROUNDINGS_PX)
    contrast = small - surroundings
    usual = cv2.GaussianBlur(np.abs(contrast), (0, 0), EVEN_OUT_PX)
    return Look(contrast / (usual + MIN_CONTRAST), small - smooth, smooth - surroundings)


def match(reference_edges: Any, edges: Any, tolerance: float) -> Match:
    """Compare edges. `tolerance`: shifts that count as none, as a fraction of the width."""
    spectrums = [cv2.dft(each * _WINDOW, flags=cv2.DFT_COMPLEX_OUTPUT) for each in (reference_edges, edges)]
    cross = cv2.mulSpectrums(spectrums[0], spectrums[1], 0, conjB=True)
    cross /= np.hypot(cross[..., 0], cross[..., 1])[..., None] + 1e-6
    response = np.fft.fftshift(cv2.idft(cross, flags=cv2.DFT_REAL_OUTPUT | cv2.DFT_SCALE))
    response = cv2.GaussianBlur(response, (0, 0), PLACE_PX)
    deviation = float(response.std()) + 1e-9
    x, y, reach = SIZE_PX[0] // 2, SIZE_PX[1] // 2, max(1, round(tolerance * SIZE_PX[0]))
    here = response[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    return Match(float(response.max()) / deviation, float(here.max()) / deviation)


def sharpness(one: Look, other: Look) -> float | None:
    """Return the fine detail of two frames of the same scene relative to the coarse detail; None: there is too little.

    Noise does not count, because it differs between the frames.
    """
    coarse = float((one.coarse * other.coarse).mean())
    if coarse < MIN_DETAIL:
        return None
    fine = float((one.fine * other.fine).mean())
    return float(np.sqrt(max(0.0, fine) / coarse))
