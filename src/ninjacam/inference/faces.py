"""YuNet through OpenCV's face detector, which prepares images and decodes the outputs itself."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ninjacam.core.processors import FairLock
from ninjacam.inference.candidates import Candidates
from ninjacam.inference.opencv_dnn import WAIT_S, reason, version
from ninjacam.inference.preparation import BgrImage, place
from ninjacam.inference.spec import ModelSpec

MIN_SCORE = 0.01
OVERLAP = 0.3
MAX_FACES = 1000


class FaceNetwork:
    """Finds faces with five landmarks: eyes, tip of the nose, corners of the mouth. Threads take turns.

    It runs on the CPU, at the size of the description, whatever size the file declares.
    """

    device = "cpu"
    max_images = 1

    def __init__(self, spec: ModelSpec, content: bytes) -> None:
        """Raises: RuntimeError: OpenCV refuses the model."""
        self.engine_name = f"OpenCV {version()}"
        self._spec = spec
        self._turns = FairLock()
        try:
            self._detector = cv2.FaceDetectorYN.create(
                "onnx", np.frombuffer(content, np.uint8), np.empty(0, np.uint8), spec.input_size,
                MIN_SCORE, OVERLAP, MAX_FACES,
            )  # fmt: skip
        except (cv2.error, SystemError) as exc:
            raise RuntimeError(reason(exc)) from exc

    def detect(self, images: Sequence[BgrImage], min_score: float) -> list[Candidates]:
        """Return candidates in pixels of each image. Raises: RuntimeError; TimeoutError: no turn in time."""
        found = []
        for image in images:
            placed, placement = place(image, self._spec.input_size, self._spec)
            with self._turns.turn(WAIT_S):
                rows = self._run(placed, min_score)
            corners = rows[:, :4].copy()
            corners[:, 2:] += corners[:, :2]
            points = rows[:, 4:14].reshape(-1, 5, 2)
            classes = np.zeros(len(rows), np.int64)
            faces = Candidates(corners, rows[:, 14], classes, points, is_final=True)
            found.append(placement.to_image(faces))
        return found

    def _run(self, placed: BgrImage, min_score: float) -> npt.NDArray[Any]:
        """Return rows of left, top, width, height, 5 x (x, y), score. Raises: RuntimeError."""
        try:
            self._detector.setScoreThreshold(max(MIN_SCORE, min_score))
            _, rows = self._detector.detect(placed)
        except (cv2.error, SystemError) as exc:
            raise RuntimeError(reason(exc)) from exc
        return np.empty((0, 15), np.float32) if rows is None else rows
