"""RT-DETR and relatives (D-FINE, DEIM, RF-DETR): a fixed number of boxes, each found once."""

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

_EXPECTED = (
    "logits (images, boxes, {classes}) and boxes (images, boxes, 4), "
    "one output (images, boxes, {both}), or `labels`, `boxes` and `scores`"
)


def decode_rtdetr(outputs: Outputs, size: Size, class_count: int, min_score: float) -> list[Candidates]:
    """Accept the three forms in use:

    - two outputs, logits and boxes: center x, center y, width, height in fractions of the input;
    - one output: such boxes, then a score for each class;
    - `labels`, `boxes` in pixels of the input, and `scores`, of models with the input `orig_target_sizes`.

    Raises: MismatchError.
    """
    if {"labels", "boxes", "scores"} <= outputs.keys():
        return _decode_labelled(outputs, min_score)
    arrays = list(outputs.values())
    if any(array.ndim != 3 for array in arrays):
        arrays = []
    if len(arrays) == 1 and arrays[0].shape[2] == 4 + class_count:
        return [_decode_image(rows[:, :4], rows[:, 4:], size, min_score) for rows in arrays[0]]
    boxes = [array for array in arrays if array.shape[2] == 4]
    logits = [array for array in arrays if array.shape[2] == class_count]
    if class_count == 4 and len(arrays) == 2:
        logits, boxes = arrays[:1], arrays[1:]
    if len(boxes) == len(logits) == 1 and boxes[0].shape[:2] == logits[0].shape[:2]:
        with np.errstate(over="ignore"):
            scores = 1 / (1 + np.exp(-logits[0]))
        return [
            _decode_image(box, score, size, min_score) for box, score in zip(boxes[0], scores, strict=True)
        ]
    raise mismatch(_EXPECTED.format(classes=class_count, both=4 + class_count), outputs)


def _decode_image(boxes: Floats, scores: Floats, size: Size, min_score: float) -> Candidates:
    kept, best, classes = best_classes(scores, min_score)
    scale = np.array([*size, *size], np.float32)
    return Candidates(corners_of(boxes[kept]) * scale, best, classes, is_final=True)


def _decode_labelled(outputs: Outputs, min_score: float) -> list[Candidates]:
    boxes, scores, labels = outputs["boxes"], outputs["scores"], outputs["labels"]
    if boxes.shape != (*scores.shape, 4) or scores.shape != labels.shape or scores.ndim != 2:
        raise mismatch("`labels` and `scores` (images, boxes), and `boxes` (images, boxes, 4)", outputs)
    found = []
    for box, score, label in zip(boxes, scores, labels, strict=True):
        kept = np.flatnonzero(score >= min_score)
        found.append(Candidates(box[kept], score[kept], label[kept].astype(np.int64), is_final=True))
    return found
