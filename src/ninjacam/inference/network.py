"""A loaded network: images in, candidates in pixels of these images out. Shared by all cameras of a process."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ninjacam.inference.candidates import Candidates, Outputs, Size
from ninjacam.inference.decoders.registry import Decode
from ninjacam.inference.engines import InferenceEngine
from ninjacam.inference.model_inputs import DTYPES, SIZES_INPUT, MismatchError, image_input, is_channels_last
from ninjacam.inference.onnx_header import ModelHeader
from ninjacam.inference.preparation import STEP_PX, BgrImage, place, smallest_size, to_blob
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
    """A network whose outputs one of our decoders understands.

    `any_size`: it takes images of any size, so most of the padding is left out: 40 % of the work for a 16:9 image.
    """

    def __init__(
        self,
        spec: ModelSpec,
        class_count: int,
        header: ModelHeader,
        engine: InferenceEngine,
        decode: Decode,
        *,
        any_size: bool = False,
    ) -> None:
        self.engine_name = engine.name
        self.device = engine.device
        self._spec = spec
        self._class_count = class_count
        self._engine = engine
        self._decode = decode
        self._any_size = any_size
        self._image = image_input(header)
        self._takes_sizes = len(header.inputs) > 1
        self.max_images = MAX_IMAGES if self._image.shape[:1] == (None,) else 1

    def detect(self, images: Sequence[BgrImage], min_score: float) -> list[Candidates]:
        size = smallest_size(images, self._spec.input_size) if self._any_size else self._spec.input_size
        placed = [place(image, size, self._spec) for image in images]
        outputs = self._run([image for image, _ in placed], size)
        found = self._decode(outputs, size, self._class_count, min_score)
        if len(found) != len(images):
            raise MismatchError(f"it returns the boxes of {len(found)} images for {len(images)}")
        return [
            placement.to_image(self._checked(each))
            for (_, placement), each in zip(placed, found, strict=True)
        ]

    def try_sizes(self) -> None:
        """Run the network with its own size and with half of its height. Raises: MismatchError, RuntimeError: it works
        with one size only.
        """
        width_px, height_px = self._spec.input_size
        counts = []
        for size in ((width_px, height_px), (width_px, height_px // 2 // STEP_PX * STEP_PX)):
            black = np.zeros((size[1], size[0], 3), np.uint8)
            outputs = self._run([black], size)
            self._decode(outputs, size, self._class_count, 1.0)
            counts.append([output.size for output in outputs.values()])
        if any(half >= whole for whole, half in zip(*counts, strict=True)):
            raise MismatchError("its outputs do not depend on the size of the image")

    def _run(self, placed: Sequence[BgrImage], size: Size) -> Outputs:
        """`placed`: of this size. Raises: RuntimeError, TimeoutError."""
        blob: npt.NDArray[Any] = to_blob(placed, self._spec)
        if is_channels_last(self._image):
            blob = np.ascontiguousarray(blob.transpose(0, 2, 3, 1))
        inputs = {self._image.name: blob.astype(DTYPES[self._image.dtype], copy=False)}
        if self._takes_sizes:
            inputs[SIZES_INPUT] = np.array([size] * len(placed), np.int64)
        return self._engine.run(inputs)

    def _checked(self, found: Candidates) -> Candidates:
        """Raises: MismatchError: a class has no label."""
        highest = int(found.classes.max(initial=0))
        if not 0 <= highest < self._class_count or found.classes.min(initial=0) < 0:
            raise MismatchError(f"it returns class {highest}, and there are {self._class_count} labels")
        return found
