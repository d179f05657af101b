"""A minimal decoder of YOLOX-Nano, for tests of tracking on real video."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ninjacam import Box

SHARED = Path(__file__).parents[4] / "shared"
MODEL = SHARED / "models" / "yolox_nano.onnx"
MEDIA = SHARED / "media"

SIDE_PX = 416
MIN_SCORE, MAX_OVERLAP = 0.1, 0.45
PERSON = 0
"""Number of the class in COCO."""


class Yolox:
    """Finds persons. Its input is BGR, 0 to 255, scaled to fit into 416 x 416 pixels; the rest has the value 114."""

    def __init__(self, path: Path = MODEL) -> None:
        self._network = cv2.dnn.readNetFromONNX(str(path))
        cells, strides = [], []
        for stride in (8, 16, 32):
            count = SIDE_PX // stride
            y, x = np.mgrid[:count, :count]
            cells.append(np.stack([x, y], axis=-1).reshape(-1, 2))
            strides.append(np.full((count * count, 1), stride))
        self._cells, self._strides = np.concatenate(cells), np.concatenate(strides)

    def __call__(self, image: Any) -> list[Box]:
        height_px, width_px = image.shape[:2]
        scale = SIDE_PX / max(height_px, width_px)
        reduced = cv2.resize(image, (round(width_px * scale), round(height_px * scale)))
        square = np.full((SIDE_PX, SIDE_PX, 3), 114, np.uint8)
        square[: reduced.shape[0], : reduced.shape[1]] = reduced
        self._network.setInput(cv2.dnn.blobFromImage(square))
        found = self._network.forward()[0]
        scores = found[:, 4] * found[:, 5 + PERSON]
        usable = scores >= MIN_SCORE
        centers = (found[usable, :2] + self._cells[usable]) * self._strides[usable] / scale
        sizes = np.exp(found[usable, 2:4]) * self._strides[usable] / scale
        rectangles = np.hstack([centers - sizes / 2, sizes])
        kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores[usable].tolist(), MIN_SCORE, MAX_OVERLAP)
        corners = np.hstack([centers - sizes / 2, centers + sizes / 2])[kept]
        corners = np.clip(corners, 0, [width_px, height_px, width_px, height_px])
        return [
            Box(left, top, right, bottom, "person", min(1.0, score))
            for (left, top, right, bottom), score in zip(
                corners.tolist(), scores[usable][kept].tolist(), strict=True
            )
        ]


def read_frames(name: str, every: int) -> Iterator[tuple[int, Any]]:
    """Yield (number, BGR image) of each `every`-th frame of a video."""
    video = cv2.VideoCapture(str(MEDIA / name))
    number = 0
    while video.grab():
        if number % every == 0:
            yield number, video.retrieve()[1]
        number += 1
    video.release()
