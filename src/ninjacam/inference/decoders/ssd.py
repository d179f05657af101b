"""SSD: boxes in fractions of the input, in the forms of Caffe, TensorFlow and PyTorch."""

import numpy as np

from ninjacam.inference.candidates import Candidates, Floats, Outputs, Size, best_classes, mismatch

_TENSORFLOW = ("detection_boxes", "detection_scores", "detection_classes")
_EXPECTED = (
    "one output (1, 1, boxes, 7), `detection_boxes` with `detection_scores` and `detection_classes`, "
    "or scores (images, boxes, {classes}) with boxes (images, boxes, 4)"
)


def decode_ssd(outputs: Outputs, size: Size, class_count: int, min_score: float) -> list[Candidates]:
    """Accept the forms in use. In all of them, class 0 is the background, which has no label.

    - Caffe: one output (1, 1, boxes, 7): image, class, score, left, top, right, bottom;
    - TensorFlow: `detection_boxes` (top, left, bottom, right), `detection_scores` and `detection_classes`;
    - PyTorch: scores (images, boxes, classes + 1) after softmax, and decoded boxes (images, boxes, 4).

    Raises: MismatchError.
    """
    arrays = list(outputs.values())
    scale = np.array([*size, *size], np.float32)
    if len(arrays) == 1 and arrays[0].ndim == 4 and arrays[0].shape[3] == 7:
        return [_decode_rows(arrays[0].reshape(-1, 7), scale, min_score)]
    if all(name in outputs for name in _TENSORFLOW):
        return _decode_tensorflow(outputs, scale, min_score)
    if len(arrays) == 2 and all(array.ndim == 3 for array in arrays):
        scores, boxes = sorted(arrays, key=lambda array: array.shape[2] == 4 and class_count != 3)
        if scores.shape[2] == 1 + class_count and boxes.shape == (*scores.shape[:2], 4):
            return [_decode_raw(s, b, scale, min_score) for s, b in zip(scores, boxes, strict=True)]
    raise mismatch(_EXPECTED.format(classes=1 + class_count), outputs)


def _decode_rows(rows: Floats, scale: Floats, min_score: float) -> Candidates:
    rows = rows[(rows[:, 2] >= min_score) & (rows[:, 1] >= 1)]
    return Candidates(rows[:, 3:] * scale, rows[:, 2], rows[:, 1].astype(np.int64) - 1, is_final=True)


def _decode_tensorflow(outputs: Outputs, scale: Floats, min_score: float) -> list[Candidates]:
    boxes, scores, classes = (outputs[name] for name in _TENSORFLOW)
    if scores.ndim != 2 or classes.shape != scores.shape or boxes.shape != (*scores.shape, 4):
        raise mismatch("scores and classes (images, boxes), and boxes (images, boxes, 4)", outputs)
    found = []
    for box, score, number in zip(boxes, scores, classes, strict=True):
        kept = np.flatnonzero((score >= min_score) & (number >= 1))
        swapped = box[kept][:, [1, 0, 3, 2]] * scale
        found.append(Candidates(swapped, score[kept], number[kept].astype(np.int64) - 1, is_final=True))
    return found


def _decode_raw(scores: Floats, boxes: Floats, scale: Floats, min_score: float) -> Candidates:
    kept, best, classes = best_classes(scores[:, 1:], min_score)
    return Candidates(boxes[kept] * scale, best, classes)
