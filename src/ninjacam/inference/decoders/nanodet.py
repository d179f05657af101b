"""NanoDet and NanoDet-Plus: scores, and distances to the sides of a box as distributions (generalized focal loss)."""

import numpy as np

from ninjacam.inference.candidates import (
    Candidates,
    Floats,
    MismatchError,
    Outputs,
    Size,
    best_classes,
    mismatch,
)
from ninjacam.inference.decoders.grid import describe_counts, grid_of


def decode_nanodet(outputs: Outputs, size: Size, class_count: int, min_score: float) -> list[Candidates]:
    """Accept the outputs of NanoDet, scores (images, cells, classes) and distances (images, cells, 4 * bins) for each
    level, and the single output of NanoDet-Plus (images, cells, classes + 4 * bins).

    Raises: MismatchError.
    """
    arrays = [array[None] if array.ndim == 2 else array for array in outputs.values()]
    if any(array.ndim != 3 for array in arrays):
        raise _mismatch(outputs, size, class_count)
    if len(arrays) == 1:
        levels = [arrays[0][..., :class_count]], [arrays[0][..., class_count:]]
        offset = 0.0  # NanoDet-Plus measures from the corner of a cell.
    else:
        levels = _split_levels(arrays, class_count)
        offset = 0.5  # NanoDet measures from the middle of a cell, between its pixels.
    counts = [[array.shape[:2] for array in each] for each in levels]
    widths = {array.shape[2] for array in levels[1]}
    if counts[0] != counts[1] or len(widths) != 1:
        raise _mismatch(outputs, size, class_count)
    scores, distances = (np.concatenate(each, axis=1) for each in levels)
    cells = grid_of(size, scores.shape[1])
    bins, rest = divmod(distances.shape[2], 4)
    if cells is None or scores.shape[2] != class_count or rest or bins < 2:
        raise _mismatch(outputs, size, class_count)
    centers = (cells[:, :2] + offset) * cells[:, 2:] - offset
    return [
        _decode_image(score, distance.reshape(-1, 4, bins), centers, cells[:, 2], min_score)
        for score, distance in zip(scores, distances, strict=True)
    ]


def _mismatch(outputs: Outputs, size: Size, class_count: int) -> MismatchError:
    counts = describe_counts(size)
    return mismatch(
        f"{counts} cells (images, cells, {class_count}) and (images, cells, 4 * bins), in one output or in levels",
        outputs,
    )


def _split_levels(arrays: list[Floats], class_count: int) -> tuple[list[Floats], list[Floats]]:
    """Return the scores and the distances of each level, the finest first."""
    scores = [array for array in arrays if array.shape[2] == class_count]
    distances = [array for array in arrays if array.shape[2] != class_count]
    if not distances:  # The number of classes is that of the distances.
        scores, distances = arrays[: len(arrays) // 2], arrays[len(arrays) // 2 :]
    scores.sort(key=_cell_count, reverse=True)
    distances.sort(key=_cell_count, reverse=True)
    return scores, distances


def _cell_count(level: Floats) -> int:
    return int(level.shape[1])


def _decode_image(
    scores: Floats, distances: Floats, centers: Floats, strides: Floats, min_score: float
) -> Candidates:
    """`distances`: (cells, 4, bins), logits of the distances in strides."""
    kept, best, classes = best_classes(scores, min_score)
    weights = distances[kept]
    weights = np.exp(weights - weights.max(axis=2, keepdims=True, initial=-np.inf))
    weights /= weights.sum(axis=2, keepdims=True)
    bins = np.arange(weights.shape[2], dtype=np.float32)
    sides = (weights @ bins) * strides[kept, None]
    boxes = np.concatenate([centers[kept] - sides[:, :2], centers[kept] + sides[:, 2:]], axis=1)
    return Candidates(boxes, best, classes)
