"""The ready-made processor `objects`, with a scripted model. With a real one: tests/e2e/test_ready_made.py."""

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Zone, events
from ninjacam.core.errors import ModelError
from ninjacam.processors import objects
from ninjacam.processors.objects import Objects
from ninjacam.testing import frame
from tests.unit.processors.conftest import Recorded

IMAGE = np.zeros((90, 160, 3), np.uint8)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)


class Model:
    """Returns the boxes that the test sets."""

    labels = ("person", "car", "dog")

    def __init__(self) -> None:
        self.boxes: list[Box] = []
        self.asked: dict[str, Any] = {}

    def __call__(self, image: Any, **asked: Any) -> list[Box]:
        self.asked = asked
        return self.boxes


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr(objects, "load_model", lambda name: made)
    return made


def person(left: float, score: float = 0.9, label: str = "person") -> Box:
    return Box(left, 30, left + 16, 80, label, score)


def walk(
    processor: Any,
    model: Model,
    seconds: Iterable[float],
    left_at: Callable[[float], float],
    zones: Iterable[Zone] = (),
    **box: Any,
) -> list[Any]:
    """Let someone walk: `left_at` returns where he is at a time, or a negative number: nowhere."""
    returned = []
    for second in seconds:
        left = left_at(second)
        model.boxes = [] if left < 0 else [person(left, **box)]
        made = frame(IMAGE, camera="gate", captured_at=BEGIN + timedelta(seconds=second), zones=zones)
        made.captured_ns += 123  # Cameras have times that no datetime has.
        returned.append(processor.process(made))
    return returned


def steps(first: float, last: float) -> list[float]:
    return [first + number / 5 for number in range(int((last - first) * 5))]


def crossing(second: float) -> float:
    return 10 + (second - 2) * 20 if 2 <= second < 7 else -1


def test_a_visit_is_one_event_with_its_best_moment(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    returned = walk(start(Objects), model, steps(0, 15), crossing)
    begun = recorded.begun
    assert [(item.kind, item.label) for item in begun] == [("person", "person")]
    assert begun[0].start_ns / 1e9 - BEGIN.timestamp() == pytest.approx(2, abs=0.5)
    assert [item.end_ns / 1e9 - BEGIN.timestamp() for item in recorded.ended] == pytest.approx([6.8], abs=0.3)
    assert begun[0].sighting.score == pytest.approx(0.9) and len(begun[0].sighting.box) == 4
    assert model.asked["labels"] == ["person", "car", "dog"], "those that the model has"
    tracks = {box.track for each in returned for box in each.annotations}
    assert len(tracks) == 1
    assert max(each.values["visits"] for each in returned) == 1


def test_a_restart_continues_the_visit(start: Callable[..., Any], recorded: Recorded, model: Model) -> None:
    first = start(Objects)
    walk(first, model, steps(0, 5), crossing)
    state = json.loads(json.dumps(recorded.states["gate", "objects"]))
    recorded.states["gate", "objects"] = state
    walk(start(Objects), model, steps(5.4, 15), crossing)
    assert {item.key for item in recorded.begun} == {recorded.ended[0].key}, "begun again, with the same key"
    assert len(recorded.ended) == 1


def test_a_state_that_cannot_be_used_ends_its_events(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    recorded.states["gate", "objects"] = {"visits": {"version": 99}, "with_event": {"1": "old"}, "zones": {}}
    start(Objects)
    assert [item.key for item in recorded.ended] == ["old"]


def test_with_zones_an_event_begins_in_a_zone_and_names_all_of_them(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    def strip(name: str, left: float, right: float, kind: Any = "zone") -> Zone:
        return Zone(name, kind, [(left, 0.5), (right, 0.5), (right, 1), (left, 1)])

    zones = [strip("yard", 0.3, 0.45), strip("door", 0.5, 0.65), strip("far", 0.95, 1)]
    walk(start(Objects), model, steps(0, 15), crossing, zones=zones)
    assert len(recorded.begun) == 1 and recorded.begun[0].sighting.zones == ("yard",)
    changes = [item.sighting.zones for item in recorded.items if item.sighting is not None]
    assert changes[-1] == ("door", "yard")
    recorded.items.clear()
    walk(start(Objects), model, steps(0, 15), crossing, zones=[strip("far", 0.95, 1)])
    walk(start(Objects), model, steps(0, 15), crossing, zones=[strip("street", 0, 1, "mask")])
    assert not recorded.items


def test_lines_are_counted_in_both_directions(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    door = Zone("door", "line", [(0.5, 1), (0.5, 0)])
    returned = walk(start(Objects), model, steps(0, 8), crossing, zones=[door])
    assert sum(each.values["door_forward"] for each in returned) == 1
    assert sum(each.values["door_backward"] for each in returned) == 0
    crossed = [item for item in recorded.begun if item.kind == "line_crossed"]
    assert [(item.label, item.data["line"]) for item in crossed] == [("person forward", "door")]


def test_weak_detections_begin_no_visit(start: Callable[..., Any], recorded: Recorded, model: Model) -> None:
    walk(start(Objects), model, steps(0, 15), crossing, score=0.3)
    assert not recorded.begun


def test_labels_that_no_model_has_are_reported(start: Callable[..., Any], model: Model) -> None:
    with pytest.raises(ModelError, match="finds none of these: unicorn"):
        start(Objects, labels=["unicorn"])
    start(Objects, labels=[])


def test_a_missing_model_is_reported(start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError):
        start(Objects, model="none-such")


def test_a_worker_that_dies_at_the_beginning_of_a_visit_and_sees_its_frames_again_begins_no_other(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    """Decoding begins at a key frame, up to some seconds before the last frame of the worker that died."""
    door = Zone("door", "line", [(0.25, 1), (0.25, 0)])
    first = start(Objects)
    for second in steps(0, 5):
        walk(first, model, [second], crossing, [door])
        if any(item.kind == "person" for item in recorded.begun) and second >= 3.6:
            break
    assert [item.kind for item in recorded.begun].count("line_crossed") == 1
    walk(start(Objects), model, steps(2, 15), crossing, [door])
    persons = [item for item in recorded.begun if item.kind == "person"]
    assert {item.key for item in persons} == {recorded.ended[0].key} and len(recorded.ended) == 1
    assert recorded.ended[0].end_ns > persons[0].start_ns
    assert [item.kind for item in recorded.begun].count("line_crossed") == 1


def test_when_the_clock_is_set_back_zones_are_noted_and_events_end_after_they_began(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    strip = Zone("yard", "zone", [(0.45, 0.5), (0.6, 0.5), (0.6, 1), (0.45, 1)])
    made = start(Objects)
    walk(made, model, steps(1000, 1002), lambda second: 10 + (second - 1000) * 20, [strip])
    assert not recorded.begun, "not in the zone yet"
    walk(made, model, steps(2, 15), lambda second: 10 + second * 20 if second < 7 else -1, [strip])
    (begun,), (ended,) = recorded.begun, recorded.ended
    assert (
        begun.sighting.zones == ("yard",)
        and begun.start_ns < (BEGIN + timedelta(seconds=10)).timestamp() * 1e9
    )
    assert ended.key == begun.key and ended.end_ns >= begun.start_ns


def test_the_end_of_a_visit_is_in_the_state_before_it_is_written(
    start: Callable[..., Any], recorded: Recorded, model: Model
) -> None:
    """A worker that dies between both would leave an event that never ends."""
    known: list[Any] = []

    def put(camera: str, item: Any) -> None:
        recorded.put(camera, item)
        if not hasattr(item, "kind") and item.end_ns is not None:
            known.append((item.key, item.end_ns, recorded.states["gate", "objects"]["ended"]))

    events.send_to(put)
    walk(start(Objects), model, steps(0, 15), crossing)
    ((key, end_ns, ended),) = known
    assert ended == [{"keys": [key], "last_ns": pytest.approx(end_ns, abs=1000)}]
    state = json.loads(json.dumps(recorded.states["gate", "objects"]))
    recorded.states["gate", "objects"] = {**state, "ended": ended}
    start(Objects)
    assert [(item.key, item.end_ns) for item in recorded.ended] == [(key, end_ns)] * 2


@pytest.mark.parametrize(
    "state", [[1], 5, "x", {"visits": None}, {"with_event": 5}, {"with_event": {"x": "a key"}, "ended": [7]}]
)
def test_an_odd_state_is_ignored(
    start: Callable[..., Any], recorded: Recorded, model: Model, state: Any
) -> None:
    recorded.states["gate", "objects"] = state
    walk(start(Objects), model, steps(0, 15), crossing)
    assert len(recorded.begun) == 1
