"""YOLOv8, YOLO11 and other exports of the same form, and YOLOv10's final boxes."""

import numpy as np

from ninjacam.inference.candidates import Candidates, Floats, Outputs, Size, corners_of, mismatch

MAX_FINAL_BOXES = 1000
"""An output (images, n, 6) with more boxes than this has raw rows of two classes instead of final boxes."""


def decode_yolov8(outputs: Outputs, size: Size, class_count: int, min_score: float) -> list[Candidates]:
    """One output (images, 4 + classes, boxes), or with the last two axes exchanged: center x, center y, width and
    height in pixels, then a score for each class. Or (images, boxes, 6): final left, top, right, bottom, score, class.

    Raises: MismatchError.
    """
    (images, *others) = outputs.values()
    width = 4 + class_count
    if not others and images.ndim == 3:
        if images.shape[2] == 6 and images.shape[1] <= MAX_FINAL_BOXES:
            return [_final(rows, min_score) for rows in images]
        if images.shape[1] == width:
            return [_decode_image(columns, min_score) for columns in images]
        if images.shape[2] == width:
            return [_decode_image(rows.T, min_score) for rows in images]
    raise mismatch(f"one output (images, {width}, boxes) or (images, boxes, 6)", outputs)


def _decode_image(columns: Floats, min_score: float) -> Candidates:
    """`columns`: (4 + classes, boxes). Along the longer axis, NumPy finds the maxima fastest."""
    best = columns[4:].max(axis=0)
    kept = np.flatnonzero(best >= min_score)
    return Candidates(corners_of(columns[:4, kept].T), best[kept], columns[4:, kept].argmax(axis=0))


def _final(rows: Floats, min_score: float) -> Candidates:
    rows = rows[rows[:, 4] >= min_score]
    return Candidates(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64), is_final=True)
