"""The ready-made processor `privacy`: the camera's image in which persons or faces cannot be recognized."""

from collections import deque
from typing import Any, Literal

import cv2
import numpy as np
from pydantic import BaseModel, Field, model_validator

from ninjacam import Box, Frame, Processor, load_model, processor

MAX_BLOCKS = 40
"""Number of blocks that the width of the image has at most."""
BLOCKS_OF_OBJECT = 6
"""Number of blocks that the shorter side of the largest object has at most."""
MAX_KEPT = 600
"""Maximum number of boxes that are kept; of more, the oldest ones are forgotten."""


class PrivacyOptions(BaseModel):
    persons: bool = Field(True, description="Hide persons.")
    faces: bool = Field(False, description="Hide faces.")
    masks: bool = Field(True, description="Hide what is inside the camera's masks.")
    style: Literal["pixels", "blur", "black"] = Field(
        "pixels", description="How to hide it. Only black leaves nothing."
    )
    margin: float = Field(
        20, ge=0, le=200, description="What is hidden around an object, in percent of its size."
    )
    keep_s: float = Field(
        1.5, ge=0.2, le=10, description="Seconds that a place stays hidden after the last detection."
    )
    score: float = Field(0.25, ge=0.05, le=1, description="Score from which an object is hidden.")
    detections_per_s: float = Field(
        5, ge=1, le=30, description="Detections per second. Frames in between hide the same places."
    )
    model: str = Field("yolox-nano", max_length=100, description="The model for persons.")
    face_model: str = Field("yunet", max_length=100, description="The model for faces.")

    @model_validator(mode="after")
    def _hides_something(self) -> "PrivacyOptions":
        if not (self.persons or self.faces or self.masks):
            raise ValueError("Choose at least one of persons, faces and masks.")
        return self


@processor("privacy", width_px=640)
class Privacy(Processor):
    """The camera's image in which persons, faces or masks cannot be recognized. While a model fails, there is none."""

    Options = PrivacyOptions

    def setup(self, camera: str, options: PrivacyOptions) -> None:
        self.options = options
        self.models: list[tuple[Any, dict[str, Any]]] = []
        if options.persons:
            self.models.append((load_model(options.model), {"labels": ["person"]}))
        if options.faces:
            self.models.append((load_model(options.face_model), {}))
        self.boxes: deque[tuple[int, Box]] = deque(maxlen=MAX_KEPT)
        self.detected_ns: int | None = None
        self.size = (0, 0)

    def process(self, frame: Frame) -> Any:
        if self.size != (frame.width, frame.height):
            self.size, self.detected_ns = (frame.width, frame.height), None
            self.boxes.clear()
        if self._is_due(frame.captured_ns):
            self._detect(frame)
        return hide(frame.image, self._hidden(frame), self.options.style, self._block_px(frame))

    def _is_due(self, now_ns: int) -> bool:
        """Return whether to detect. Times go back after the clock was corrected."""
        if self.detected_ns is None:
            return True
        # Intervals of frames vary by a millisecond or two.
        return not 0 <= now_ns - self.detected_ns < 0.95e9 / self.options.detections_per_s

    def _detect(self, frame: Frame) -> None:
        for model, parameters in self.models:
            found = model(frame.image, score=self.options.score, **parameters)
            self.boxes.extend((frame.captured_ns, box) for box in found)
        self.detected_ns = frame.captured_ns
        keep_ns = self.options.keep_s * 1e9
        kept = [each for each in self.boxes if abs(frame.captured_ns - each[0]) <= keep_ns]
        self.boxes = deque(kept, maxlen=MAX_KEPT)

    def _hidden(self, frame: Frame) -> Any:
        """Return the pixels to hide: uint8, (height, width), not 0 inside."""
        hidden = np.zeros((frame.height, frame.width), np.uint8)
        for _, box in self.boxes:
            wide, high = _size(box)
            dx, dy = wide * self.options.margin / 100, high * self.options.margin / 100
            columns = slice(max(0, int(float(box.left) - dx)), max(0, int(float(box.right) + dx) + 1))
            rows = slice(max(0, int(float(box.top) - dy)), max(0, int(float(box.bottom) + dy) + 1))
            hidden[rows, columns] = 255
        if self.options.masks:
            hidden |= frame.zones.masked.view(np.uint8)
        return hidden

    def _block_px(self, frame: Frame) -> int:
        """Return the size of blocks that are large enough for the largest object."""
        shorter = max((min(_size(box)) for _, box in self.boxes), default=0.0)
        return int(max(frame.width / MAX_BLOCKS, shorter / BLOCKS_OF_OBJECT, 2))


def hide(image: Any, hidden: Any, style: str, block_px: int) -> Any:
    """Hide these pixels of an image (uint8, BGR), in place, and return it. `block_px`: size of blocks."""
    if not hidden.any():
        return image
    if style == "black":
        return cv2.copyTo(np.zeros_like(image), hidden, image)
    height, width = image.shape[:2]
    few = cv2.resize(image, (-(-width // block_px), -(-height // block_px)), interpolation=cv2.INTER_AREA)
    way = cv2.INTER_LINEAR if style == "blur" else cv2.INTER_NEAREST
    return cv2.copyTo(cv2.resize(few, (width, height), interpolation=way), hidden, image)


def _size(box: Box) -> tuple[float, float]:
    return float(box.right) - float(box.left), float(box.bottom) - float(box.top)
