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
    boxes, scores = _split(list(outputs.values()), class_count)
    if boxes is None or scores is None or boxes.shape[:2] != scores.shape[:2]:
        raise mismatch(_EXPECTED.format(classes=class_count, both=4 + class_count), outputs)
    return [_decode_image(*each, size, min_score) for each in zip(boxes, scores, strict=True)]


def _split(arrays: list[Floats], class_count: int) -> tuple[Floats | None, Floats | None]:
    """Return boxes and scores of all images; None: there are none."""
    if any(array.ndim != 3 for array in arrays):
        return None, None
    widths = [array.shape[2] for array in arrays]
    if widths == [4 + class_count]:
        return arrays[0][..., :4], arrays[0][..., 4:]
    if sorted(widths) != sorted([4, class_count]):
        return None, None
    # With four classes, the logits come first, as in all exports.
    logits, boxes = arrays if widths[1] == 4 else arrays[::-1]
    with np.errstate(over="ignore"):
        return boxes, (1 / (1 + np.exp(-logits))).astype(np.float32)


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
