"""Crossings are counted once, in the right direction, and only through the line itself."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import Crossing, LineCounter, LineUpdate, Tracker
from ninjacam.tracking.memory import MAX_REMEMBERED
from tests.unit.tracking.scenes import Walker, at, feet, film, seconds

LINE = [(100, 300), (500, 300)]
"""From left to right: an object that moves down the image crosses it forward."""


def walk(counter: LineCounter, positions: list[tuple[float, float]], track: int = 1) -> list[Crossing]:
    crossings = []
    for number, (x, y) in enumerate(positions):
        crossings += counter.update([feet(x, y, track)], at(number / 10)).crossings
    return crossings


def test_an_object_that_crosses_is_counted_with_its_direction_and_time() -> None:
    counter = LineCounter(LINE)
    assert walk(counter, [(300, y) for y in range(200, 400, 20)]) == [
        Crossing(1, "person", "forward", at(0.6))
    ]
    assert walk(counter, [(300, y) for y in range(400, 200, -20)]) == [
        Crossing(1, "person", "backward", at(0.6))
    ]
    assert (counter.forward, counter.backward) == (1, 1)


def test_forward_is_from_the_left_to_the_right_of_the_line() -> None:
    down = [(300.0, 200.0), (300.0, 400.0)]
    assert [each.direction for each in walk(LineCounter(LINE), down)] == ["forward"]
    assert [each.direction for each in walk(LineCounter(LINE[::-1]), down)] == ["backward"]
    upright = LineCounter([(300, 500), (300, 100)])  # looking up: right is right
    assert [each.direction for each in walk(upright, [(200, 300), (400, 300)])] == ["forward"]


@pytest.mark.parametrize("x", [80, 520])
def test_an_object_that_passes_an_end_of_the_line_is_not_counted(x: float) -> None:
    assert walk(LineCounter(LINE), [(x, 200), (x, 400)]) == []


def test_an_object_that_went_around_the_end_is_counted_on_its_way_back() -> None:
    around = [(300.0, 400.0), (50.0, 400.0), (50.0, 200.0), (300.0, 200.0), (300.0, 400.0)]
    assert [each.direction for each in walk(LineCounter(LINE), around)] == ["forward"]


@pytest.mark.parametrize("seed", range(10))
def test_an_object_that_stands_on_the_line_is_counted_once(seed: int) -> None:
    chance = random.Random(seed)
    stands = [(300.0, 300 + chance.uniform(-8, 8)) for _ in range(500)]
    counter = LineCounter(LINE)
    assert len(walk(counter, [(300, 250), *stands, (300, 350)])) == 1
    returned = LineCounter(LINE)
    assert walk(returned, [(300, 250), *stands, (300, 250)]) == []


def test_without_a_margin_jitter_is_counted() -> None:
    jitter = [(300.0, 300.0 + (-1) ** n) for n in range(11)]
    assert len(walk(LineCounter(LINE, margin=0), jitter)) == 10


def test_an_object_that_appears_on_the_line_has_no_side_until_it_leaves_it() -> None:
    assert walk(LineCounter(LINE), [(300, 295), (300, 305), (300, 350)]) == []


def test_an_object_that_jumps_over_the_line_between_two_frames_is_counted() -> None:
    assert len(walk(LineCounter(LINE), [(120, 100), (480, 600)])) == 1


def test_the_anchor_decides_when_a_box_crosses() -> None:
    positions = [(300.0, float(y)) for y in range(200, 341, 10)]
    assert len(walk(LineCounter(LINE), positions)) == 1
    assert walk(LineCounter(LINE, anchor="center"), positions) == []


def test_several_objects_cross_in_one_update() -> None:
    counter = LineCounter(LINE)
    assert counter.update([feet(200, 200, 1), feet(300, 400, 2), feet(400, 200, 3)], at(0)) == (0, 0, [])
    crossed = counter.update([feet(200, 400, 1), feet(300, 200, 2), feet(400, 400, 3, "car")], at(1))
    assert (crossed.forward, crossed.backward) == (2, 1)
    assert [(each.track, each.label) for each in crossed.crossings] == [
        (1, "person"),
        (2, "person"),
        (3, "car"),
    ]


def test_tracked_people_are_counted() -> None:
    tracker, counter = Tracker(), LineCounter([(300, 0), (300, 600)])
    walkers = [Walker(0, 200, vx=90), Walker(600, 205, vx=-90), Walker(100, 400, vx=20)]
    for second, boxes in film(walkers, seconds(6, fps=5)):
        counter.update(tracker.update(boxes, at(second)), at(second))
    assert (counter.forward, counter.backward) == (1, 1)


def test_a_new_line_forgets_the_sides_of_the_old_one() -> None:
    counter = LineCounter()
    with pytest.raises(InvalidError, match="no line"):
        counter.update([], at(0))
    assert counter.update([feet(300, 200)], at(0), LINE) == LineUpdate(0, 0, [])
    assert counter.update([feet(300, 200)], at(1), [(100, 100), (500, 100)]) == (0, 0, [])
    assert counter.update([feet(300, 50)], at(2)).backward == 1
    assert counter.update([feet(300, 200)], at(3), [(100.0, 100.0), (500.0, 100.0)]).forward == 1


def test_memory_is_bounded() -> None:
    counter = LineCounter(LINE)
    for number in range(10):
        counter.update([feet(x, 200, 300 * number + x) for x in range(300)], at(number / 10))
    assert len(counter._sides) == MAX_REMEMBERED
    for second in range(1, 40):
        counter.update([], at(second))
    assert len(counter._sides) == 0


@pytest.mark.parametrize(
    "line",
    [[], [(0, 0)], [(0, 0), (1, 1), (2, 2)], [(5, 5), (5, 5)], [(0, 0), (math.nan, 1)], [(0, 0), 5], 7, "ab"],
)
def test_an_unusable_line_is_a_typed_error(line: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        LineCounter(line)
    assert "line" in caught.value.fields


@pytest.mark.parametrize(
    "boxes", [[Box(0, 0, 10, 10)], [feet(50, 150), feet(90, 150)], [Box(math.nan, 0, 1, 1, track=1)]]
)
def test_boxes_without_a_track_or_with_the_same_one_are_typed_errors(boxes: list[Box]) -> None:
    with pytest.raises(InvalidError) as caught:
        LineCounter(LINE).update(boxes, at(0))
    assert "boxes" in caught.value.fields


@pytest.mark.parametrize("options", [{"anchor": "top"}, {"margin": -1}, {"margin": math.nan}])
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        LineCounter(LINE, **options)


@given(st.lists(st.tuples(st.integers(110, 490), st.integers(0, 600)), min_size=1, max_size=40))
def test_the_counts_differ_by_the_side_where_the_object_is(positions: list[tuple[float, float]]) -> None:
    """On a line that cannot be passed at its ends."""
    counter = LineCounter(LINE)
    walk(counter, positions)
    sides = [y > 300 for _, y in positions if abs(y - 0.5 - 300) > 10]
    expected = 0 if not sides else sides[-1] - sides[0]
    assert counter.forward - counter.backward == expected
