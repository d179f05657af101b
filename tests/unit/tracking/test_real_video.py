"""Visits and people in real video, against what a person saw in it.

The files `*.json` in this directory are that ground truth; docs/design/0016-tracking.md says how they were made.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ninjacam import Box
from ninjacam.tracking import LineCounter, Tracker, Visit, Visits, ZoneOccupancy, ZoneUpdate
from ninjacam.tracking.assignment import assign
from tests.unit.tracking.scenes import at
from tests.unit.tracking.yolox import MEDIA, MODEL, Yolox, read_frames

FPS = 10
EVERY = 5
"""Frames between two detections: 2 detections per second, so that the test takes seconds on a slow machine."""

BoxArrays = list[tuple[int, list[Box]]]
"""(number of the frame, boxes)"""


def ground_truth(name: str) -> Any:
    return json.loads((Path(__file__).parent / name).read_text())


def detect(name: str) -> BoxArrays:
    for path in (MODEL, MEDIA / name):
        if not path.exists():
            pytest.skip(f"../shared has no {path.name}.")
    network = Yolox()
    return [(number, network(image)) for number, image in read_frames(name, EVERY)]


def test_each_visit_is_found_once_also_over_a_restart() -> None:
    """One test, because the detection takes most of its time."""
    frames = detect("one-by-one-person-detection.mp4")
    expected = ground_truth("one_by_one_visits.json")["visits"]
    started, _ = follow_visits(frames, restart_s=1000)
    spans_s = [((visit.start_ns - at(0)) / 1e9, (visit.end_ns - at(0)) / 1e9) for visit in started]
    assert len(started) == len(expected), spans_s
    for (start_s, end_s), visit in zip(spans_s, expected, strict=True):
        assert visit["start_s"] <= start_s <= visit["start_s"] + 2
        assert visit["end_s"] - 2 <= end_s <= visit["end_s"]
    assert all(visit.start_ns <= visit.best.captured_ns <= visit.end_ns for visit in started)
    for restart_s in (10, 30, 60, 80, 100, 130):
        started, ended = follow_visits(frames, restart_s)
        assert [visit.id for visit in started] == [visit.id for visit in ended] == [1, 2, 3, 4, 5, 6]

    counter, zone = count_people(frames)
    assert (counter.forward, counter.backward) == (6, 0)
    assert [len(update.entered) for update in zone if update.entered] == [1] * 6
    assert sum(len(update.left) for update in zone) == 6 and max(update.occupancy for update in zone) == 1


def count_people(frames: BoxArrays) -> tuple[LineCounter, list[ZoneUpdate]]:
    """Return the counts at an upright line on the way out, and in a zone around the table."""
    tracker, counter = Tracker(), LineCounter([(560, 432), (560, 0)])
    zone = ZoneOccupancy([(330, 0), (560, 0), (560, 432), (330, 432)])
    updates = []
    for number, boxes in frames:
        tracked = tracker.update(boxes, at(number / FPS))
        counter.update(tracked, at(number / FPS))
        updates.append(zone.update(tracked, at(number / FPS)))
    return counter, updates


def follow_visits(frames: BoxArrays, restart_s: float) -> tuple[list[Visit], list[Visit]]:
    """Return the visits that started and that ended. A restart loses the frames of three seconds."""
    tracker, visits, is_restarted = Tracker(), Visits(), False
    started: list[Visit] = []
    ended: list[Visit] = []
    for number, boxes in frames:
        second = number / FPS
        if restart_s <= second < restart_s + 3:
            continue
        if second >= restart_s and not is_restarted:
            state = json.loads(json.dumps(visits.state()))
            tracker, visits, is_restarted = Tracker(), Visits(), True
            visits.restore(state)
        update = visits.update(tracker.update(boxes, at(second)), at(second))
        started += update.started
        ended += update.ended
    return started, ended + visits.update([], at(1000)).ended


def test_people_are_found_and_tracked() -> None:
    frames = ground_truth("vtest_people.json")["frames"]
    people = {int(number): points for number, points in frames.items()}
    assert len(people) == 30
    tracker = Tracker()
    hits = found = 0
    for number, boxes in detect("vtest.avi"):
        tracked = tracker.update(boxes, at(number / FPS))
        if number in people:
            hits += count_hits(tracked, people[number])
            found += len(tracked)
    precision, recall = hits / found, hits / sum(map(len, people.values()))
    print(f"precision {precision:.3f}, recall {recall:.3f}")
    assert precision > 0.82 and recall > 0.84


def count_hits(boxes: list[Box], points: list[tuple[float, float]]) -> int:
    """Return how many people have a box of their own. `points`: a point on the body of each."""
    contains = [
        [
            float(box.left) <= x <= float(box.right) and float(box.top) <= y <= float(box.bottom)
            for box in boxes
        ]
        for x, y in points
    ]
    return len(assign(np.array(contains, float).reshape(len(points), len(boxes))))
