"""Prepares images for a network, and converts the boxes that it finds back to pixels of the image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import cv2
import numpy as np
import numpy.typing as npt

from ninjacam.core.errors import ConfigError
from ninjacam.inference.candidates import Candidates, Floats, Size
from ninjacam.inference.spec import InputSpec

BgrImage: TypeAlias = npt.NDArray[np.uint8]
"""Shape (height, width, 3), channels BGR."""


def check_image(image: Any) -> BgrImage:
    """Return the image. Raises: ConfigError: with a message for the processor's author."""
    if isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            return image
        given = f"an array of {image.dtype}, shape {image.shape}"
    else:
        given = type(image).__name__
    raise ConfigError(
        f"A model needs an image of uint8, (height, width, 3), such as `frame.image`, not {given}."
    )


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image is in the input of a network: each of its pixels has `scale_x` by `scale_y` pixels there, and the
    image starts at `left`, `top`. `width_px`, `height_px`: of the image.
    """

    scale_x: float
    scale_y: float
    left: int
    top: int
    width_px: int
    height_px: int

    def to_image(self, found: Candidates) -> Candidates:
        """Convert positions from pixels of the input to pixels of the image. Boxes are clipped to the image; boxes of
        which nothing remains, and those that are not finite, are left out.
        """
        offset = np.array([self.left, self.top], np.float32)
        scale = np.array([self.scale_x, self.scale_y], np.float32)
        edge = np.array([self.width_px, self.height_px], np.float32)
        with np.errstate(invalid="ignore", over="ignore"):
            corners = (found.boxes.reshape(-1, 2, 2) - offset) / scale
            boxes = np.clip(corners, 0, edge).reshape(-1, 4)
            points = None if found.points is None else (found.points - offset) / scale
            visible = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        visible &= np.isfinite(corners).all(axis=(1, 2)) & np.isfinite(found.scores)
        return replace(found, boxes=boxes, points=points).take(np.flatnonzero(visible))


STEP_PX = 32
"""Networks halve their input up to five times, so its width and height must be multiples of this."""


def smallest_size(images: Sequence[BgrImage], size: Size) -> Size:
    """Return width and height of the smallest input in which the images are as large as in one of `size`: without most
    of the padding.
    """
    widths, heights = [], []
    for image in images:
        width_px, height_px = _scaled_size(image, size)
        widths.append(-(-width_px // STEP_PX) * STEP_PX)
        heights.append(-(-height_px // STEP_PX) * STEP_PX)
    return min(size[0], max(widths)), min(size[1], max(heights))


def place(image: BgrImage, size: Size, spec: InputSpec) -> tuple[BgrImage, Placement]:
    """Return the image as uint8 of `size`, scaled and padded as the network expects, and where it is.

    The result may be the image itself, so it must not be changed.
    """
    height_px, width_px = image.shape[:2]
    if spec.letterbox == "none":
        placement = Placement(size[0] / width_px, size[1] / height_px, 0, 0, width_px, height_px)
        return _resize(image, size), placement
    scaled = _scaled_size(image, size)
    free_x, free_y = size[0] - scaled[0], size[1] - scaled[1]
    left, top = (free_x // 2, free_y // 2) if spec.letterbox == "center" else (0, 0)
    placed = _resize(image, scaled)
    if free_x or free_y:
        gray = (spec.padding,) * 3
        bordered = cv2.copyMakeBorder(
            placed, top, free_y - top, left, free_x - left, cv2.BORDER_CONSTANT, value=gray
        )
        placed = np.asarray(bordered, np.uint8)
    return placed, Placement(scaled[0] / width_px, scaled[1] / height_px, left, top, width_px, height_px)


def to_blob(placed: Sequence[BgrImage], spec: InputSpec) -> Floats:
    """Return the input of a network: float32, (images, 3, height, width), in its order of colors, normalized."""
    is_uniform = len(set(spec.scale)) == 1
    made = cv2.dnn.blobFromImages(
        list(placed),
        scalefactor=spec.scale[0] if is_uniform else 1.0,
        mean=spec.mean,
        swapRB=spec.colors == "rgb",
    )
    blob = np.asarray(made, np.float32)
    if not is_uniform:
        blob *= np.array(spec.scale, np.float32).reshape(1, 3, 1, 1)
    return blob


def _scaled_size(image: BgrImage, size: Size) -> Size:
    """Return width and height of the image in an input of `size`, with its own aspect ratio."""
    height_px, width_px = image.shape[:2]
    scale = min(size[0] / width_px, size[1] / height_px)
    return max(1, round(width_px * scale)), max(1, round(height_px * scale))


def _resize(image: BgrImage, size: Size) -> BgrImage:
    if (image.shape[1], image.shape[0]) == size:
        return image
    # Linear, as the authors of the networks do it.
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
