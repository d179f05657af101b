"""Candidates: the boxes that a network proposes for one image, before the best of them are selected."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ninjacam.inference.model_inputs import MismatchError

Floats: TypeAlias = npt.NDArray[np.float32]
Integers: TypeAlias = npt.NDArray[np.int64]
Outputs: TypeAlias = Mapping[str, npt.NDArray[Any]]
"""Name of an output -> the array, in the order of the model."""
Size: TypeAlias = tuple[int, int]
"""Width and height in pixels."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Boxes of one image.

    `boxes`: (n, 4), left, top, right and bottom in pixels. `scores`: (n,), 0 to 1. `classes`: (n,), indices of labels.
    `points`: (n, k, 2), x and y of landmarks in pixels; None: the network has none. `is_final`: the network itself has
    removed boxes that overlap a better one.
    """

    boxes: Floats
    scores: Floats
    classes: Integers
    points: Floats | None = None
    is_final: bool = False

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, indices: npt.NDArray[Any]) -> "Candidates":
        """Return the candidates with these indices, in their order."""
        return replace(
            self,
            boxes=self.boxes[indices],
            scores=self.scores[indices],
            classes=self.classes[indices],
            points=None if self.points is None else self.points[indices],
        )


def shapes_of(outputs: Outputs) -> str:
    """Return the shapes of the outputs as text: “(1, 3549, 85)”."""
    return ", ".join(str(tuple(array.shape)) for array in outputs.values())


def mismatch(expected: str, outputs: Outputs) -> MismatchError:
    """Return the error for outputs of other shapes. `expected`: the shapes that the decoder accepts."""
    return MismatchError(f"it expects {expected}, and the outputs are {shapes_of(outputs)}")


def best_classes(scores: Floats, min_score: float) -> tuple[Integers, Floats, Integers]:
    """Return the rows of `scores`, shape (n, classes), whose best score is at least `min_score`.

    Returns: their indices, best scores and classes. Rows with NaN are left out.
    """
    best = scores.max(axis=1, initial=0)
    rows = np.flatnonzero(best >= min_score)
    return rows, best[rows], scores[rows].argmax(axis=1)


def corners_of(centers: Floats) -> Floats:
    """Convert center x, center y, width, height, shape (n, 4), to left, top, right, bottom."""
    middle, half = centers[:, :2], centers[:, 2:] / 2
    return np.concatenate([middle - half, middle + half], axis=1)
