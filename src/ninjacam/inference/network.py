"""A loaded network: images in, candidates in pixels of these images out. Shared by all cameras of a process."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ninjacam.inference.candidates import Candidates
from ninjacam.inference.decoders.registry import Decode
from ninjacam.inference.engines import InferenceEngine
from ninjacam.inference.model_inputs import DTYPES, SIZES_INPUT, MismatchError, image_input, is_channels_last
from ninjacam.inference.onnx_header import ModelHeader
from ninjacam.inference.preparation import BgrImage, place, to_blob
from ninjacam.inference.spec import ModelSpec

MAX_IMAGES = 16
"""Maximum number of images in one run."""


class Network(Protocol):
    """Any number of threads may call `detect` at the same time."""

    @property
    def engine_name(self) -> str: ...

    @property
    def device(self) -> str: ...

    @property
    def max_images(self) -> int:
        """Return the number of images that one run can take."""

    def detect(self, images: Sequence[BgrImage], min_score: float) -> list[Candidates]:
        """Return the candidates of each image whose score is at least `min_score`, in pixels of the image.

        `images`: at most `max_images`. Raises: MismatchError; RuntimeError: of the engine; TimeoutError.
        """


class DecodedNetwork:
    """A network whose outputs one of our decoders understands."""

    def __init__(
        self, spec: ModelSpec, class_count: int, header: ModelHeader, engine: InferenceEngine, decode: Decode
    ) -> None:
        self.engine_name = engine.name
        self.device = engine.device
        self._spec = spec
        self._class_count = class_count
        self._engine = engine
        self._decode = decode
        self._image = image_input(header)
        self._takes_sizes = len(header.inputs) > 1
        self.max_images = MAX_IMAGES if self._image.shape[:1] == (None,) else 1

    def detect(self, images: Sequence[BgrImage], min_score: float) -> list[Candidates]:
        size = self._spec.input_size
        placed = [place(image, size, self._spec) for image in images]
        blob: npt.NDArray[Any] = to_blob([image for image, _ in placed], self._spec)
        if is_channels_last(self._image):
            blob = np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
        inputs = {self._image.name: blob.astype(DTYPES[self._image.dtype], copy=False)}
        if self._takes_sizes:
            inputs[SIZES_INPUT] = np.array([size] * len(images), np.int64)
        outputs = self._engine.run(inputs)
        found = self._decode(outputs, size, self._class_count, min_score)
        if len(found) != len(images):
            raise MismatchError(f"it returns the boxes of {len(found)} images for {len(images)}")
        return [
            placement.to_image(self._checked(each))
            for (_, placement), each in zip(placed, found, strict=True)
        ]

    def _checked(self, found: Candidates) -> Candidates:
        """Raises: MismatchError: a class has no label."""
        highest = int(found.classes.max(initial=0))
        if not 0 <= highest < self._class_count or found.classes.min(initial=0) < 0:
            raise MismatchError(f"it returns class {highest}, and there are {self._class_count} labels")
        return found
