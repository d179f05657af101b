"""The ready-made processor `occupancy`, with the results that `objects` would have."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Box, Result, Zone, events, load_model
from ninjacam.processors import objects
from ninjacam.processors.objects import Objects
from ninjacam.processors.occupancy import MAX_ZONES, Occupancy
from ninjacam.testing import frame
from tests.unit.inference.networks import MEDIA, MODELS
from tests.unit.processors.conftest import Recorded

IMAGE = np.zeros((90, 160, 3), np.uint8)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
YOLOX, VIDEO = MODELS / "yolox_nano.onnx", MEDIA / "one-by-one-person-detection.mp4"
Boxes = Callable[[float], list[Box]]


def zone(name: str, left: float, right: float, **fields: Any) -> Zone:
    return Zone(name, "zone", [(left, 0.5), (right, 0.5), (right, 1), (left, 1)], **fields)


def person(left: float, track: int | None = 1, label: str = "person") -> Box:
    return Box(left, 30, left + 16, 80, label, 0.9, track=track)


def watch(
    processor: Any, until_s: float, boxes_at: Boxes, zones: Iterable[Zone], since_s: float = 0
) -> list[Any]:
    returned = []
    for number in range(round(since_s * 5), round(until_s * 5)):
        second = number / 5
        made = frame(
            IMAGE,
            camera="gate",
            captured_at=BEGIN + timedelta(seconds=second),
            results={"objects": Result(annotations=boxes_at(second))},
            zones=zones,
        )
        returned.append(processor.process(made))
    return returned


def seconds_of(time_ns: int) -> float:
    return time_ns / 1e9 - BEGIN.timestamp()


def between(first: float, last: float, *boxes: Box) -> Boxes:
    return lambda second: list(boxes) if first <= second < last else []


def test_objects_are_counted_in_each_zone(start: Callable[..., Any], recorded: Recorded) -> None:
    zones = [zone("left-yard", 0, 0.5), zone("2nd", 0.5, 1), Zone("line", "line", [(0, 0), (1, 1)])]
    boxes = [person(10, 1), person(30, 2), person(110, 3, "car")]
    returned = watch(start(Occupancy), 10, between(2, 6, *boxes), zones)
    assert returned[5].values == {"left_yard": 0, "zone_2nd": 0}
    assert returned[20].values == {"left_yard": 2, "zone_2nd": 1}
    assert [each.label for each in returned[20].annotations] == ["left-yard: 2", "2nd: 1"]
    assert returned[-1].values == {"left_yard": 0, "zone_2nd": 0}
    assert not recorded.items, "no loitering time"


def test_only_some_labels_count_and_objects_without_a_track_do_not(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    boxes = [person(10, 1), person(20, 2, "car"), person(30, None)]
    returned = watch(start(Occupancy, labels=["car"]), 3, between(0, 3, *boxes), [zone("yard", 0, 1)])
    assert returned[-1].values == {"yard": 1}


def test_an_object_counts_after_the_inertia_of_the_zone(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    returned = watch(start(Occupancy), 6, between(0, 6, person(10)), [zone("yard", 0, 1, inertia_s=3)])
    counts = [each.values["yard"] for each in returned]
    assert counts == [0] * 15 + [1] * 15


def test_an_object_that_loiters_is_one_event_until_it_leaves(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    zones = [zone("yard", 0, 0.5, loitering_s=5)]
    processor = start(Occupancy)
    watch(processor, 30, between(2, 12, person(10), person(100, 2)), zones)
    (begun,) = recorded.begun
    assert (begun.kind, begun.label, begun.data) == ("loitering", "person", {"zone": "yard"})
    assert begun.sighting.zones == ("yard",) and seconds_of(begun.start_ns) == pytest.approx(2, abs=0.1)
    (ended,) = recorded.ended
    assert ended.key == begun.key and seconds_of(ended.end_ns) == pytest.approx(11.8, abs=0.3)
    assert ended.data == {"seconds": pytest.approx(9.8, abs=0.3)}
    assert recorded.states["gate", "occupancy"] is None


def test_a_short_stay_is_not_an_event(start: Callable[..., Any], recorded: Recorded) -> None:
    watch(start(Occupancy), 10, between(2, 6, person(10)), [zone("yard", 0, 0.5, loitering_s=5)])
    assert not recorded.items


@pytest.mark.parametrize(
    "changed", [[], [zone("yard", 0, 0.5, loitering_s=60)], [zone("garden", 0, 0.5, loitering_s=60)]]
)
def test_events_end_when_their_zone_is_removed_or_its_times_change(
    start: Callable[..., Any], recorded: Recorded, changed: list[Zone]
) -> None:
    processor = start(Occupancy)
    always = between(0, 100, person(10))
    watch(processor, 8, always, [zone("yard", 0, 0.5, loitering_s=5)])
    assert len(recorded.begun) == 1
    watch(processor, 10, always, changed, since_s=8)
    assert [seconds_of(item.end_ns) for item in recorded.ended] == [pytest.approx(8)]


def test_a_zone_that_is_moved_continues(start: Callable[..., Any], recorded: Recorded) -> None:
    processor = start(Occupancy)
    always = between(0, 100, person(10))
    watch(processor, 8, always, [zone("yard", 0, 0.5, loitering_s=5)])
    watch(processor, 10, always, [zone("yard", 0, 0.6, loitering_s=5)], since_s=8)
    assert len(recorded.begun) == 1 and not recorded.ended


def test_the_event_of_a_worker_that_died_is_ended_by_the_next_one(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    watch(start(Occupancy), 10, between(0, 10, person(10)), [zone("yard", 0, 0.5, loitering_s=5)])
    assert len(recorded.begun) == 1 and not recorded.ended
    start(Occupancy)
    assert [item.key for item in recorded.ended] == [recorded.begun[0].key]
    assert recorded.states["gate", "occupancy"] is None


def test_the_state_contains_an_event_before_it_begins(start: Callable[..., Any], recorded: Recorded) -> None:
    """A worker that dies between both would leave an event that never ends."""
    known = []
    events.send_to(
        lambda camera, item: known.append(item.key in recorded.states["gate", "occupancy"]["keys"])
    )
    watch(start(Occupancy), 10, between(0, 10, person(10)), [zone("yard", 0, 0.5, loitering_s=5)])
    assert known == [True]


def test_closing_ends_events(start: Callable[..., Any], recorded: Recorded) -> None:
    processor = start(Occupancy)
    watch(processor, 10, between(0, 10, person(10)), [zone("yard", 0, 0.5, loitering_s=5)])
    processor.close()
    assert [seconds_of(item.end_ns) for item in recorded.ended] == [pytest.approx(9.8)]
    assert recorded.states["gate", "occupancy"] is None


def test_the_zones_are_bounded(start: Callable[..., Any], recorded: Recorded) -> None:
    zones = [zone(f"zone{number}", 0, 1) for number in range(32)]
    returned = watch(start(Occupancy), 2, between(0, 2, person(10)), zones)
    assert len(returned[-1].values) == len(returned[-1].annotations) == MAX_ZONES


@pytest.mark.skipif(not (YOLOX.exists() and VIDEO.exists()), reason="../shared has no YOLOX or no media.")
def test_the_person_of_a_real_video_is_in_the_zone(
    start: Callable[..., Any], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(objects, "load_model", lambda name: load_model(YOLOX))
    before, processor = start(Objects), start(Occupancy)
    zones = [Zone("room", "zone", [(0.2, 0.3), (1, 0.3), (1, 1), (0.2, 1)], loitering_s=4)]
    video = cv2.VideoCapture(str(VIDEO))
    video.set(cv2.CAP_PROP_POS_MSEC, 22_000)
    counts = []
    for number in range(80):
        is_read, image = video.read()
        assert is_read
        if number % 2:
            continue
        at = BEGIN + timedelta(seconds=number / 10)
        found = before.process(frame(image, camera="gate", captured_at=at, zones=zones))
        made = frame(image, camera="gate", captured_at=at, zones=zones, results={"objects": found})
        counts.append(processor.process(made).values["room"])
    assert max(counts) == 1 and counts[-1] == 1
    assert [item.kind for item in recorded.begun] == ["person", "loitering"]
