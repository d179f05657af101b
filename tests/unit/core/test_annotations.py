"""Annotations of processors, converted from pixels to fractions, and the messages for invalid ones."""

import array
import json
from collections import deque
from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Keypoints, Line, Mask, Point, Polygon, Text
from ninjacam.core.annotation_values import MAX_EDGES, MAX_TEXT_CHARS, MAX_TRACK
from ninjacam.core.annotations import (
    MAX_BYTES,
    MAX_POINTS,
    MAX_TRAIL,
    _max_bytes,
    are_annotations,
    encode_annotation_set,
    to_annotation_set,
)
from ninjacam.core.errors import EncodeError

CONTOUR = np.array([[[0, 0]], [[100, 0]], [[100, 50]]], np.int32)
"""The shape that cv2.findContours returns."""


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


def test_lines_and_keypoints_become_fractions_of_the_frame() -> None:
    annotations: list[Any] = [
        Line(np.array([[0, 0], [100, 50]]), "fence", 0.5),
        Line(deque([(0, 0), (200, 100), (0, 100)]), color="#FF8800"),
        Keypoints([(20, 10), (40, 10), (60, 10)], [(0, 1), (1, 2)], "pose", 0.9),
        Keypoints(np.array([[20, 10, 0.9], [40, 10, 0.1]], np.float32), np.array([[0, 1]])),
    ]
    assert to_annotation_set(annotations, 200, 100) == [
        {"type": "line", "points": [[0, 0], [0.5, 0.5]], "label": "fence", "score": 0.5},
        {"type": "line", "points": [[0, 0], [1, 1], [0, 1]], "color": "#ff8800"},
        {"type": "keypoints", "points": [[0.1, 0.1], [0.2, 0.1], [0.3, 0.1]], "edges": [[0, 1], [1, 2]],
         "label": "pose", "score": 0.9},
        {"type": "keypoints", "points": [[0.1, 0.1], None], "edges": []},
    ]  # fmt: skip


def test_keypoints_with_a_low_score_and_their_edges_are_omitted() -> None:
    points = [(20, 10, 0.3), (40, 10, 0.29), None, (60, 10), (float("nan"), 0, 0)]
    (seen,) = to_annotation_set([Keypoints(points, [(0, 1), (0, 2), (3, 0), (3, 4)])], 200, 100)
    assert seen["points"] == [[0.1, 0.1], None, None, [0.3, 0.1], None]
    assert seen["edges"] == [[3, 0]]
    assert to_annotation_set([Keypoints([None, (1, 1, 0.1)], [(0, 1)]), Keypoints([])], 200, 100) == []


def test_a_mask_becomes_runs_in_its_rectangle() -> None:
    mask = np.zeros((40, 60), np.uint8)
    mask[10:20, 10:30] = 255
    mask[10, 10] = 0
    (seen,) = to_annotation_set([Mask(mask, "cat", left=30.2, top=0, track=7)], 200, 100)
    assert seen == {
        "type": "mask", "points": [[0.2, 0.1], [0.3, 0.2]], "size": [20, 10], "runs": [1, 199],
        "label": "cat", "track": 7,
    }  # fmt: skip
    assert to_annotation_set([Mask(np.zeros((4, 4), bool)), Mask(mask, left=500)], 200, 100) == []


def test_tracks_and_trails_are_sent() -> None:
    trail = deque([(0, 0), (20, 10)], maxlen=64)
    annotations: list[Any] = [
        Box(20, 10, 60, 30, track=0, trail=trail),
        Point(20, 10, track=np.int64(MAX_TRACK), trail=np.array([[200, -5]])),
        Line(CONTOUR, track=1),
        Polygon(CONTOUR, track=2),
        Keypoints([(1, 1)], track=3),
        Mask(np.ones((2, 2), bool), track=4),
    ]
    seen = to_annotation_set(annotations, 200, 100)
    assert [each["track"] for each in seen] == [0, MAX_TRACK, 1, 2, 3, 4]
    assert [each.get("trail") for each in seen] == [[[0, 0], [0.1, 0.1]], [[1, 0]], None, None, None, None]
    assert json.loads(json.dumps(seen)) == seen


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
        (Polygon(7), "a Polygon with `points` of type int; use a list or an array"),
        (Line([(1, 2)]), "a Line with 1 points; 2 to 256"),
        (Line(np.zeros((257, 2))), "a Line with 257 points; 2 to 256"),
        (Line([(1, 2), (3, float("inf"))]), "a Line with the number inf"),
        (Line(point for point in [(1, 2), (3, 4)]), "`points` of type generator; use a list or an array"),
        (Keypoints(np.zeros((257, 3))), "a Keypoints with 257 points; at most 256"),
        (Keypoints(None), "`points` of type NoneType"),
        (Keypoints([(1, float("nan"))]), "a Keypoints with the number nan"),
        (Keypoints([(1, 2, float("nan"))]), "a Keypoints with the number nan"),
        (Keypoints([(1, 2, 93)]), "the score 93; use a value from 0 to 1"),
        (Keypoints([(1, 2, 0.9, 4)]), "`points` that are not None, (x, y) or (x, y, score)"),
        (Keypoints([1, 2]), "`points` that are not None, (x, y) or (x, y, score)"),
        (Keypoints(np.zeros((17, 100_000))), "`points` that are not None, (x, y) or (x, y, score)"),
        (Keypoints([(1, 2)], [(0, 0)] * 513), "513 edges; at most 512"),
        (Keypoints([(1, 2), (3, 4)], [(0, 2)]), "an edge to a missing point; use indices from 0 to 1"),
        (Keypoints([(1, 2), (3, 4)], [(0, -1)]), "an edge to a missing point"),
        (Keypoints([(1, 2), (3, 4)], [(0, 1.0)]), "`edges` that are not pairs of integers"),
        (Keypoints([(1, 2), (3, 4)], [(0, 1, 0)]), "`edges` that are not pairs of integers"),
        (Keypoints([(1, 2), (3, 4)], 5), "`edges` of type int"),
        (Mask([[0, 1]]), "a Mask with list; use a NumPy array of shape (height, width) of bool or uint8"),
        (Mask(np.zeros((4, 4, 3), np.uint8)), "an array of shape (4, 4, 3)"),
        (Mask(np.zeros((4, 4), np.float32)), "an array of float32; use a NumPy array"),
        (Mask(np.ones((4, 4), bool), left=float("nan")), "a Mask with the number nan"),
        (Mask(np.ones((4, 4), bool), top="1a"), "a Mask with str instead of a number"),  # type: ignore[arg-type]
        (Box(0, 0, 1, 1, track=-1), "a Box with a track out of range; use an integer from 0 to 2**53 - 1"),
        (Point(0, 0, track=2**53), "a Point with a track out of range"),
        (Line(CONTOUR, track=1.0), "a Line with a track of type float; use an integer"),  # type: ignore[arg-type]
        (Mask(np.ones((4, 4), bool), track="7"), "a track of type str"),  # type: ignore[arg-type]
        (Box(0, 0, 1, 1, trail=[(0, 0)] * 65), "a trail of 65 positions; return the last 64 at most"),
        (Box(0, 0, 1, 1, trail=None), "a Box with `trail` of type NoneType"),
        (Point(0, 0, trail=[1, 2]), "a Point with items of `trail` that are not (x, y) pairs"),
        (Point(0, 0, trail=[(0, float("nan"))]), "the number nan"),
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


@pytest.mark.parametrize("kind", ["box", "polygon", "keypoints", "mask", "noise"])
def test_annotations_are_at_most_as_long_as_estimated(kind: str) -> None:
    more: dict[str, Any] = {
        "label": "\0" * MAX_TEXT_CHARS, "score": 0.98765, "color": "#ff8800", "track": MAX_TRACK,
    }  # fmt: skip
    noise = np.random.default_rng(1).random((100, 160)) < 0.5
    annotation: Any = {
        "box": Box(1, 1, 1, 1, **more, trail=[(1, 1)] * MAX_TRAIL),
        "polygon": Polygon([(1, 1)] * MAX_POINTS, **more),
        "keypoints": Keypoints([(1, 1)] * MAX_POINTS, [(255, 255)] * MAX_EDGES, **more),
        "mask": Mask(np.ones((8, 8), bool), left=1, top=1, **more),
        "noise": Mask(noise, left=1, top=1, **more),
    }[kind]
    (seen,) = to_annotation_set([annotation], 1300, 1300)
    assert seen["points"][0][0] == 0.0008
    line = encode_annotation_set("", 0, [seen] * 2)
    assert len(line) - len(encode_annotation_set("", 0, [seen])) <= _max_bytes(seen)


def test_many_masks_exceed_the_size_of_a_frame() -> None:
    noise = np.random.default_rng(1).random((400, 400)) < 0.5
    with pytest.raises(
        EncodeError, match="more than 64 KB of annotations; return fewer annotations, or smaller"
    ):
        to_annotation_set([Mask(noise)] * 40, 400, 400)


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
