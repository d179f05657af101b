"""NanoDet and NanoDet-Plus: scores, and distances to the sides of a box as distributions (generalized focal loss)."""

import numpy as np

from ninjacam.inference.candidates import (
    Candidates,
    Floats,
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
    scores, distances = _split(arrays, class_count)
    counts = {tuple(array.shape[:2] for array in levels) for levels in (scores, distances)}
    widths = {array.shape[2] for array in distances}
    cell_count = sum(array.shape[1] for array in scores)
    cells = grid_of(size, cell_count) if len(counts) == len(widths) == 1 else None
    if cells is None or scores[0].shape[2] != class_count or not _is_distribution(*widths):
        expected = f"(images, cells, {class_count}) and (images, cells, 4 * bins), in one output or in levels"
        raise mismatch(f"{describe_counts(size)} cells, {expected}", outputs)
    # NanoDet-Plus measures from the corner of a cell; NanoDet from the middle, between its pixels.
    offset = 0.0 if len(arrays) == 1 else 0.5
    centers = (cells[:, :2] + offset) * cells[:, 2:] - offset
    images = zip(np.concatenate(scores, axis=1), np.concatenate(distances, axis=1), strict=True)
    return [
        _decode_image(score, distance.reshape(len(cells), 4, -1), centers, cells[:, 2], min_score)
        for score, distance in images
    ]


def _is_distribution(width: int) -> bool:
    return width >= 8 and width % 4 == 0


def _split(arrays: list[Floats], class_count: int) -> tuple[list[Floats], list[Floats]]:
    """Return the scores and the distances of each level, the finest first; none if an array has other dimensions."""
    if any(array.ndim != 3 for array in arrays):
        return [], []
    if len(arrays) == 1:
        return [arrays[0][..., :class_count]], [arrays[0][..., class_count:]]
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
