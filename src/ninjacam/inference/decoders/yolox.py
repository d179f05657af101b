"""YOLOX: one output (images, cells, 5 + classes), boxes relative to cells, exported without `decode_in_inference`."""

import numpy as np

from ninjacam.inference.candidates import (
    Candidates,
    Floats,
    Outputs,
    Size,
    best_classes,
    corners_of,
    mismatch,
)
from ninjacam.inference.decoders.grid import describe_counts, grid_of


def decode_yolox(outputs: Outputs, size: Size, class_count: int, min_score: float) -> list[Candidates]:
    """Each row: x and y relative to the cell, logarithm of width and height (all in strides), objectness, scores.

    Raises: MismatchError.
    """
    (images, *others) = outputs.values()
    cells = grid_of(size, images.shape[1]) if images.ndim == 3 else None
    if others or cells is None or images.shape[2] != 5 + class_count:
        raise mismatch(f"one output (images, {describe_counts(size)}, {5 + class_count})", outputs)
    return [_decode_image(rows, cells, min_score) for rows in images]


def _decode_image(rows: Floats, cells: Floats, min_score: float) -> Candidates:
    likely = np.flatnonzero(rows[:, 4] >= min_score)  # No score exceeds the objectness.
    rows, cells = rows[likely], cells[likely]
    kept, scores, classes = best_classes(rows[:, 5:] * rows[:, 4:5], min_score)
    rows, cells = rows[kept], cells[kept]
    stride = cells[:, 2:]
    with np.errstate(over="ignore"):
        centers = np.concatenate(
            [(rows[:, :2] + cells[:, :2]) * stride, np.exp(rows[:, 2:4]) * stride], axis=1
        )
    return Candidates(corners_of(centers), scores, classes)
