"""Decoders on synthetic outputs: the numbers are worked out by hand."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ninjacam.inference.candidates import Candidates
from ninjacam.inference.decoders.nanodet import decode_nanodet
from ninjacam.inference.decoders.registry import DECODERS
from ninjacam.inference.decoders.rtdetr import decode_rtdetr
from ninjacam.inference.decoders.ssd import decode_ssd
from ninjacam.inference.decoders.yolov8 import decode_yolov8
from ninjacam.inference.decoders.yolox import decode_yolox
from ninjacam.inference.model_inputs import MismatchError
from tests.unit.inference.networks import ONE_OBJECT, SIZE, yolox_rows


def arrays(**outputs: Any) -> dict[str, Any]:
    return {name: np.asarray(value, np.float32) for name, value in outputs.items()}


def check(found: Candidates, boxes: Any, scores: Any, classes: Any) -> None:
    np.testing.assert_allclose(found.boxes, boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, scores, atol=1e-4)
    assert found.classes.tolist() == classes


def test_yolox_multiplies_by_the_stride_and_the_objectness() -> None:
    (found,) = decode_yolox(arrays(output=ONE_OBJECT), SIZE, 2, 0.4)
    check(found, [(4, 0, 20, 24)], [0.9], [1])
    assert not found.is_final


def test_yolox_finds_objects_of_each_level() -> None:
    rows = yolox_rows(
        (63, (0, 0, 0, 0, 1, 1, 0)),  # The last cell of stride 8.
        (64, (0, 0, 0, 0, 1, 0.8, 0)),  # The first one of stride 16.
        (83, (0, 0, 0, 0, 1, 0, 0.6)),  # The last one of stride 32.
    )
    (found,) = decode_yolox(arrays(output=rows), SIZE, 2, 0.5)
    check(found, [(52, 52, 60, 60), (-8, -8, 8, 8), (16, 16, 48, 48)], [1, 0.8, 0.6], [0, 0, 1])


def test_a_score_below_the_limit_is_left_out() -> None:
    rows = yolox_rows((0, (0, 0, 0, 0, 0.5, 0.7, 0)))
    (found,) = decode_yolox(arrays(output=rows), SIZE, 2, 0.36)
    assert len(found) == 0 and found.boxes.shape == (0, 4)
    assert len(decode_yolox(arrays(output=rows), SIZE, 2, 0.34)[0]) == 1


def test_values_that_are_not_numbers_are_left_out() -> None:
    rows = yolox_rows((0, (0, 0, 0, 0, np.nan, 1, 0)), (1, (0, 0, 0, 0, 1, np.nan, 0)))
    assert len(decode_yolox(arrays(output=rows), SIZE, 2, 0.1)[0]) == 0


@pytest.mark.parametrize("transposed", [False, True])
def test_yolov8_has_centers_in_pixels(transposed: bool) -> None:
    rows = np.zeros((1, 84, 6), np.float32)
    rows[0, 5] = (32, 24, 20, 10, 0.2, 0.7)
    rows[0, 6] = (32, 24, 20, 10, 0.3, 0.1)
    rows = np.concatenate([rows, np.zeros((1, 2000, 6), np.float32)], axis=1)
    (found,) = decode_yolov8(arrays(output0=rows if transposed else rows.transpose(0, 2, 1)), SIZE, 2, 0.4)
    check(found, [(22, 19, 42, 29)], [0.7], [1])


def test_yolov10_has_final_boxes() -> None:
    rows = [[(1, 2, 30, 40, 0.9, 1), (1, 2, 30, 41, 0.8, 1), (0, 0, 9, 9, 0.1, 0)]]
    (found,) = decode_yolov8(arrays(output0=rows), SIZE, 2, 0.4)
    check(found, [(1, 2, 30, 40), (1, 2, 30, 41)], [0.9, 0.8], [1, 1])
    assert found.is_final


def test_rtdetr_has_logits_and_boxes_in_fractions() -> None:
    outputs = arrays(logits=[[(-9, 2), (-9, -9)]], pred_boxes=[[(0.5, 0.5, 0.25, 0.5), (0.5, 0.5, 1, 1)]])
    (found,) = decode_rtdetr(outputs, (64, 32), 2, 0.4)
    check(found, [(24, 8, 40, 24)], [1 / (1 + np.exp(-2))], [1])
    assert found.is_final


def test_rtdetr_has_one_output_in_other_exports() -> None:
    (found,) = decode_rtdetr(arrays(output0=[[(0.5, 0.5, 0.25, 0.5, 0.1, 0.7)]]), (64, 32), 2, 0.4)
    check(found, [(24, 8, 40, 24)], [0.7], [1])


def test_rtdetr_may_scale_boxes_itself() -> None:
    outputs = arrays(labels=[(1, 0)], boxes=[[(1, 2, 3, 4), (5, 6, 7, 8)]], scores=[(0.9, 0.2)])
    (found,) = decode_rtdetr(outputs, SIZE, 2, 0.4)
    check(found, [(1, 2, 3, 4)], [0.9], [1])


def distances(*sides: float, bins: int = 8) -> Any:
    """Return logits whose distributions have their mean at a whole number of strides: a peak at that bin."""
    peaks = np.full((4, bins), -50, np.float32)
    for side, bin_number in enumerate(sides):
        peaks[side, int(bin_number)] = 50
    return peaks.ravel()


@pytest.mark.parametrize("order", ["scores first", "in pairs", "coarsest first"])
def test_nanodet_joins_its_levels(order: str) -> None:
    counts = (64, 16, 4)
    scores = [np.zeros((1, count, 2), np.float32) for count in counts]
    sides = [np.tile(distances(1, 1, 1, 1), (1, count, 1)) for count in counts]
    scores[0][0, 9, 1] = 0.9
    sides[0][0, 9] = distances(1, 0, 2, 3)
    scores[2][0, 3, 0] = 0.6
    levels = [0, 1, 2] if order != "coarsest first" else [2, 1, 0]
    pairs = (
        [(f"cls{level}", scores[level]) for level in levels],
        [(f"box{level}", sides[level]) for level in levels],
    )
    joined = (
        [*pairs[0], *pairs[1]]
        if order != "in pairs"
        else [x for pair in zip(*pairs, strict=True) for x in pair]
    )
    (found,) = decode_nanodet(arrays(**dict(joined)), SIZE, 2, 0.4)
    check(found, [(3.5, 11.5, 27.5, 35.5), (15.5, 15.5, 79.5, 79.5)], [0.9, 0.6], [1, 0])


def test_nanodet_plus_has_one_output_and_measures_from_the_corner() -> None:
    rows = np.zeros((1, 84, 2 + 32), np.float32)
    rows[0, 9, 0] = 0.9
    rows[0, 9, 2:] = distances(1, 0, 2, 3)
    (found,) = decode_nanodet(arrays(output=rows), SIZE, 2, 0.4)
    check(found, [(0, 8, 24, 32)], [0.9], [0])


def test_nanodet_weighs_all_bins() -> None:
    rows = np.zeros((1, 84, 2 + 32), np.float32)  # Equal logits: the mean of 0 to 7 is 3.5 strides.
    rows[0, 0, 0] = 1
    (found,) = decode_nanodet(arrays(output=rows), SIZE, 2, 0.4)
    check(found, [(-28, -28, 28, 28)], [1], [0])


def test_ssd_of_caffe_leaves_out_the_background() -> None:
    rows = [[[(0, 2, 0.9, 0.25, 0.5, 0.5, 1), (0, 0, 0.9, 0, 0, 1, 1), (0, 1, 0.1, 0, 0, 1, 1)]]]
    (found,) = decode_ssd(arrays(detection_out=rows), (64, 32), 2, 0.4)
    check(found, [(16, 16, 32, 32)], [0.9], [1])


def test_ssd_of_tensorflow_has_the_top_first() -> None:
    outputs = arrays(
        detection_boxes=[[(0.5, 0.25, 1, 0.5), (0, 0, 1, 1)]],
        detection_classes=[(2, 1)],
        detection_scores=[(0.9, 0.2)],
        num_detections=[2],
    )
    (found,) = decode_ssd(outputs, (64, 32), 2, 0.4)
    check(found, [(16, 16, 32, 32)], [0.9], [1])
    assert found.is_final


@pytest.mark.parametrize("classes", [2, 3])
def test_ssd_of_pytorch_has_scores_and_boxes(classes: int) -> None:
    scores = np.zeros((1, 3, 1 + classes), np.float32)
    scores[0, 0, 0], scores[0, 1, 2] = 0.99, 0.8
    boxes = np.array([[(0, 0, 1, 1), (0.25, 0.5, 0.5, 1), (0, 0, 1, 1)]], np.float32)
    (found,) = decode_ssd(arrays(scores=scores, boxes=boxes), (64, 32), classes, 0.4)
    check(found, [(16, 16, 32, 32)], [0.8], [1])
    assert not found.is_final


def test_each_image_of_a_batch_is_decoded() -> None:
    nothing = np.zeros_like(ONE_OBJECT)
    found = decode_yolox(arrays(output=np.concatenate([nothing, ONE_OBJECT])), SIZE, 2, 0.4)
    assert [len(each) for each in found] == [0, 1]


@pytest.mark.parametrize("name", [name for name, decode in DECODERS.items() if decode])
@pytest.mark.parametrize(
    "outputs",
    [
        arrays(output=np.zeros((1, 84, 8))),
        arrays(output=np.zeros((84, 7))),
        arrays(output=5.0),
        arrays(first=np.zeros((1, 85, 2)), second=np.zeros((1, 84, 32))),
        arrays(output=np.zeros((0, 0, 0))),
        arrays(a=np.zeros(3), b=np.zeros((2, 2)), c=np.zeros((1, 1, 1, 1))),
        arrays(labels=np.zeros((1, 3)), boxes=np.zeros((1, 2, 4)), scores=np.zeros((1, 3))),
        arrays(
            detection_boxes=np.zeros((1, 2, 4)),
            detection_scores=np.zeros((1, 3)),
            detection_classes=np.zeros((1, 3)),
        ),
    ],
)
def test_other_shapes_are_a_mismatch_that_names_them(name: str, outputs: dict[str, Any]) -> None:
    decode: Callable[..., Any] | None = DECODERS[name]
    assert decode is not None
    with pytest.raises(MismatchError, match=r"expects .*, and the outputs are \("):
        decode(outputs, SIZE, 2, 0.4)
