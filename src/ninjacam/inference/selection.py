"""Selects the boxes that a model returns from the candidates of a network."""

import numpy as np

from ninjacam.inference.candidates import Candidates, Floats, Integers

MAX_CANDIDATES = 1000
"""Candidates with the best scores that are compared with each other."""


def select(
    found: Candidates, *, iou: float, max_boxes: int, wanted: frozenset[int] | None = None
) -> Candidates:
    """Return the best candidates, best first: of those of one class that overlap, only the best.

    `iou`: intersection over union from which two boxes are of the same object. `wanted`: classes; None: all.
    """
    if wanted is not None:
        found = found.take(np.flatnonzero(np.isin(found.classes, list(wanted))))
    found = found.take(np.argsort(-found.scores, kind="stable")[:MAX_CANDIDATES])
    if found.is_final:
        return found.take(np.arange(min(len(found), max_boxes)))
    return found.take(_suppress(found.boxes, found.classes, iou, max_boxes))


def _suppress(boxes: Floats, classes: Integers, iou: float, max_boxes: int) -> Integers:
    """Return indices of the boxes to keep (greedy non-maximum suppression). `boxes`: best first."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept: list[int] = []
    while left.size and len(kept) < max_boxes:
        best, left = left[0], left[1:]
        kept.append(int(best))
        top_left = np.maximum(boxes[best, :2], boxes[left, :2])
        bottom_right = np.minimum(boxes[best, 2:], boxes[left, 2:])
        shared = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
        is_same = (shared > iou * (areas[best] + areas[left] - shared)) & (classes[left] == classes[best])
        left = left[~is_same]
    return np.array(kept, np.int64)
