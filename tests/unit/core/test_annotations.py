"""Annotations of processors, converted from pixels to fractions, and the messages for invalid ones."""

import array
import json
from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Point, Polygon, Text
from ninjacam.core.annotations import MAX_BYTES, are_annotations, encode_annotation_set, to_annotation_set
from ninjacam.core.errors import EncodeError

CONTOUR = np.array([[[0, 0]], [[100, 0]], [[100, 50]]], np.int32)
"""As cv2.findContours gives it."""


def test_coordinates_become_fractions_of_the_frame() -> None:
    annotations: list[Any] = [
        Box(20, 10, np.float32(60), 30, "cat", score=np.float32(0.75)),
        Point(100, 50, color="#FF8800"),
        Polygon(CONTOUR, "zone"),
        Polygon([(0, 0), (200, 100)]),
        Text(50, 25, "Gate"),
    ]
    assert to_annotation_set(annotations, 200, 100) == [
        {"type": "box", "points": [[0.1, 0.1], [0.3, 0.3]], "label": "cat", "score": 0.75},
        {"type": "point", "points": [[0.5, 0.5]], "color": "#ff8800"},
        {"type": "polygon", "points": [[0, 0], [0.5, 0], [0.5, 0.5]], "label": "zone"},
        {"type": "polygon", "points": [[0, 0], [1, 1]]},
        {"type": "text", "points": [[0.25, 0.25]], "label": "Gate"},
    ]


def test_a_subclass_counts_as_the_kind_it_is_derived_from() -> None:
    class Face(Box):
        pass

    (seen,) = to_annotation_set([Face(0, 0, 200, 100)], 200, 100)
    assert seen["type"] == "box"


def test_annotations_are_clipped_at_the_edge_of_the_frame() -> None:
    (seen,) = to_annotation_set([Box(-20, -1e300, 900, 50)], 200, 100)
    assert seen["points"] == [[0, 0], [1, 0.5]]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Box(float("nan"), 0, 1, 1), "the number nan"),
        (Box(0, "left", 1, 1), "str instead of a number"),  # type: ignore[arg-type]
        (Box(0, 0, 1, 1, score=float("inf")), "the number inf"),
        (Point(0, 0, score=93), "the score 93; use a value from 0 to 1"),
        (Point(0, None), "NoneType instead of a number"),  # type: ignore[arg-type]
        (Box(0, 0, 1, 1, color="red"), 'write it like "#ff8800"'),
        (Polygon([(1, 2)]), "a Polygon with 1 points; 2 to 256"),
        (Polygon(np.zeros((300, 2))), "cv2.approxPolyDP"),
        (Polygon([1, 2, 3]), "not (x, y) pairs"),
        (Polygon(np.zeros(3)), "not (x, y) pairs"),
        (Polygon(np.zeros((720, 1280), bool)), "a Polygon with 720 points"),
        (Polygon(array.array("d", [1, 2, 3, 4])), "not (x, y) pairs"),
        (Polygon([(1, 2), (3, "x")]), "not (x, y) pairs"),
        (Polygon([(1, 2), (3, float("nan"))]), "the number nan"),
    ],
)
def test_undrawable_annotations_are_rejected_with_a_readable_error(wrong: Any, words: str) -> None:
    with pytest.raises(EncodeError, match="The processor returned") as raised:
        to_annotation_set([wrong], 200, 100)
    assert words in str(raised.value)


def test_the_number_of_annotations_and_the_length_of_texts_are_limited() -> None:
    with pytest.raises(EncodeError, match="257 annotations; the maximum is 256"):
        to_annotation_set([Point(0, 0)] * 257, 200, 100)
    with pytest.raises(EncodeError, match="more than 64 KB"):
        to_annotation_set([Polygon(np.zeros((200, 2)))] * 100, 200, 100)
    full = [Box(12.3456, 23.4567, 123.456, 99.9999, "person, or a bear", 0.98765, "#ff8800")] * 256
    assert len(encode_annotation_set("faces", 0, to_annotation_set(full, 1920, 1080))) < MAX_BYTES
    (seen,) = to_annotation_set([Text(0, 0, "x" * 5000)], 200, 100)
    assert len(seen["label"]) == 200


def test_a_line_contains_all_annotations_of_a_frame() -> None:
    line = encode_annotation_set(
        "faces", 1_700_000_000_123_456_789, to_annotation_set([Text(0, 0, "line\nbreak")], 10, 10)
    )
    assert b"\n" not in line
    assert json.loads(line) == {
        "view": "faces",
        "captured_us": 1_700_000_000_123_456,
        "annotations": [{"type": "text", "points": [[0, 0]], "label": "line\nbreak"}],
    }


@pytest.mark.parametrize(
    ("value", "is_so"),
    [([], True), ([Box(0, 0, 1, 1), Text(0, 0, "")], True), ((), True), ([1], False), (None, False),
     ("", False), (np.zeros((2, 2, 3)), False), ([Box(0, 0, 1, 1), None], False)],
)  # fmt: skip
def test_only_a_list_of_annotations_counts_as_annotations(value: Any, is_so: bool) -> None:
    assert are_annotations(value) is is_so
