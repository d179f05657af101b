"""Visits and people in real video, against what a person saw in it.

The files `*.json` beside this module are that ground truth; docs/design/0016-tracking.md says how they were made.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ninjacam import Box
from ninjacam.tracking import Tracker, Visit, Visits
from ninjacam.tracking.assignment import assign
from tests.unit.tracking.scenes import at
from tests.unit.tracking.yolox import MEDIA, MODEL, Yolox, read_frames

FPS = 10
EVERY = 5
"""Frames between two detections: 2 detections per second, so that the test takes seconds on a slow machine."""


def ground_truth(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text())


def needs(name: str) -> None:
    for path in (MODEL, MEDIA / name):
        if not path.exists():
            pytest.skip(f"../shared has no {path.name}.")


def test_each_visit_is_found_once() -> None:
    name = "one-by-one-person-detection.mp4"
    needs(name)
    expected = ground_truth("one_by_one_visits.json")["visits"]
    detect, tracker, visits = Yolox(), Tracker(), Visits()
    found: list[Visit] = []
    for number, image in read_frames(name, EVERY):
        captured_ns = at(number / FPS)
        found += visits.update(tracker.update(detect(image), captured_ns), captured_ns).started
    spans_s = [((visit.start_ns - at(0)) / 1e9, (visit.end_ns - at(0)) / 1e9) for visit in found]
    assert len(found) == len(expected), spans_s
    for (start_s, end_s), visit in zip(spans_s, expected, strict=True):
        assert visit["start_s"] - 1 <= start_s <= visit["start_s"] + 3
        assert visit["end_s"] - 3 <= end_s <= visit["end_s"] + 1
    assert all(visit.start_ns <= visit.best.captured_ns <= visit.end_ns for visit in found)


def test_people_are_found_and_keep_their_tracks() -> None:
    needs("vtest.avi")
    people = {int(number): points for number, points in ground_truth("vtest_people.json")["frames"].items()}
    detect, tracker = Yolox(), Tracker()
    correct = wrong = missed = 0
    for number, image in read_frames("vtest.avi", EVERY):
        boxes = tracker.update(detect(image), at(number / FPS))
        if number in people:
            hits = count_hits(boxes, people[number])
            correct, wrong, missed = (
                correct + hits,
                wrong + len(boxes) - hits,
                missed + len(people[number]) - hits,
            )
    precision, recall = correct / (correct + wrong), correct / (correct + missed)
    print(f"precision {precision:.3f}, recall {recall:.3f}, {correct + missed} people")
    assert precision > 0.8 and recall > 0.8


def count_hits(boxes: list[Box], points: list[tuple[float, float]]) -> int:
    """Return how many people are in a box of their own. `points`: a point of each person's body."""
    contains = np.array(
        [
            [
                float(box.left) <= x <= float(box.right) and float(box.top) <= y <= float(box.bottom)
                for box in boxes
            ]
            for x, y in points
        ],
        float,
    )
    return len(assign(contains.reshape(len(points), len(boxes))))
