"""Objects enter a zone, stay, and leave it."""

import math
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import ZoneOccupancy, ZoneUpdate
from ninjacam.tracking.geometry import are_inside
from tests.unit.tracking.scenes import at, feet

ZONE = [(100, 100), (300, 100), (300, 300), (100, 300)]
INSIDE, OUTSIDE = (200.0, 200.0), (400.0, 200.0)


def follow(
    zone: ZoneOccupancy, positions: Sequence[tuple[float, float] | None], fps: float = 10
) -> list[ZoneUpdate]:
    """Update with one object, which is not seen where a position is None."""
    return [
        zone.update([feet(*position)] if position else [], at(number / fps))
        for number, position in enumerate(positions)
    ]


def changes(updates: list[ZoneUpdate]) -> list[tuple[str, int]]:
    """Return the kinds of changes with the number of their update."""
    return [
        (kind, number)
        for number, update in enumerate(updates)
        for kind in ("entered", "left", "loitering")
        for _ in getattr(update, kind)
    ]


def test_an_object_enters_after_some_frames_and_leaves_after_some_frames() -> None:
    updates = follow(ZoneOccupancy(ZONE), [OUTSIDE] * 5 + [INSIDE] * 10 + [OUTSIDE] * 5)
    assert changes(updates) == [("entered", 7), ("left", 17)]
    assert [update.occupancy for update in updates] == [0] * 7 + [1] * 10 + [0] * 3
    (entered,), (left,) = updates[7].entered, updates[17].left
    assert (entered.track, entered.label, entered.entered_ns) == (1, "person", at(0.5))
    assert (entered.dwell_s, left.dwell_s, left.entered_ns) == (0.2, 0.9, at(0.5))
    assert left.box == feet(*OUTSIDE)


def test_inertia_may_be_a_time() -> None:
    zone = ZoneOccupancy(ZONE, inertia=1, inertia_s=0.5)
    assert changes(follow(zone, [INSIDE] * 20, fps=20)) == [("entered", 10)]
    assert changes(follow(ZoneOccupancy(ZONE, inertia=1), [INSIDE, OUTSIDE])) == [("entered", 0), ("left", 1)]


def test_an_object_that_passes_a_corner_of_the_zone_does_not_enter() -> None:
    assert changes(follow(ZoneOccupancy(ZONE), [OUTSIDE, INSIDE, INSIDE, OUTSIDE] * 5)) == []


@pytest.mark.parametrize("seed", range(5))
def test_jitter_at_the_edge_changes_little(seed: int) -> None:
    chance = random.Random(seed)
    jitter: list[tuple[float, float] | None] = [(300 + chance.uniform(-5, 5), 200) for _ in range(200)]
    every = follow(ZoneOccupancy(ZONE, inertia=1), jitter)
    calm = follow(ZoneOccupancy(ZONE, inertia=8), jitter)
    assert len(changes(every)) > 60 and len(changes(calm)) <= 6


def test_an_object_that_is_lost_inside_has_left_after_a_while() -> None:
    updates = follow(ZoneOccupancy(ZONE, max_unseen_s=1), [INSIDE] * 10 + [None] * 20)
    assert changes(updates) == [("entered", 2), ("left", 20)]
    assert updates[20].left[0].dwell_s == 0.9
    assert changes(follow(ZoneOccupancy(ZONE), [INSIDE] * 10 + [None] * 10 + [INSIDE] * 10)) == [
        ("entered", 2)
    ]


def test_a_gap_without_frames_does_not_end_a_stay() -> None:
    zone = ZoneOccupancy(ZONE, loitering_s=20)
    follow(zone, [INSIDE] * 5)
    update = zone.update([feet(*INSIDE)], at(30))
    assert (update.entered, update.left, update.occupancy) == ([], [], 1)
    assert update.loitering[0].dwell_s == 30


def test_loitering_is_reported_once_per_stay() -> None:
    zone = ZoneOccupancy(ZONE, loitering_s=1)
    updates = follow(zone, [INSIDE] * 30 + [OUTSIDE] * 5 + [INSIDE] * 30)
    assert changes(updates) == [
        ("entered", 2), ("loitering", 10), ("left", 32), ("entered", 37), ("loitering", 45),
    ]  # fmt: skip
    assert updates[10].loitering[0].dwell_s == 1
    assert changes(follow(ZoneOccupancy(ZONE), [INSIDE] * 30)) == [("entered", 2)]


def test_the_objects_inside_are_listed() -> None:
    zone = ZoneOccupancy(ZONE, inertia=1)
    zone.update(
        [feet(*INSIDE, track=4), feet(*OUTSIDE, track=5), feet(150, 150, track=6, label="dog")], at(0)
    )
    assert [(stay.track, stay.label) for stay in zone.inside] == [(4, "person"), (6, "dog")]


def test_a_new_polygon_applies_at_once() -> None:
    zone = ZoneOccupancy(inertia=1)
    with pytest.raises(InvalidError, match="no polygon"):
        zone.update([], at(0))
    assert zone.update([feet(*INSIDE)], at(0), ZONE).occupancy == 1
    assert zone.update([feet(*INSIDE)], at(1), [(0, 0), (9, 0), (9, 9)]).occupancy == 0


def test_the_anchor_decides_where_a_box_is() -> None:
    low = feet(200, 340)  # its feet are below the zone, its center is inside
    assert ZoneOccupancy(ZONE, inertia=1).update([low], at(0)).occupancy == 0
    assert ZoneOccupancy(ZONE, inertia=1, anchor="center").update([low], at(0)).occupancy == 1


def test_a_box_at_the_lower_edge_of_the_frame_is_in_a_zone_that_ends_there() -> None:
    zone = ZoneOccupancy([(0, 200), (640, 200), (640, 360), (0, 360)], inertia=1)
    assert zone.update([feet(300, 360)], at(0)).occupancy == 1
    assert zone.update([feet(300, 361)], at(1)).occupancy == 0


def test_concave_polygons_have_an_outside_between_their_arms() -> None:
    shape = np.array([(0, 0), (90, 0), (90, 90), (60, 90), (60, 30), (30, 30), (30, 90), (0, 90)], float)
    points = np.array([(15, 80), (45, 80), (75, 80), (45, 15), (-5, 45), (95, 45)], float)
    assert are_inside(points, shape).tolist() == [True, False, True, True, False, False]


def test_a_point_on_a_common_edge_is_in_exactly_one_zone() -> None:
    left, right = (
        np.array([(0, 0), (50, 0), (50, 90), (0, 90)], float),
        np.array([(50, 0), (90, 0), (90, 90), (50, 90)], float),
    )
    points = np.array([(50, y) for y in range(1, 90)], float)
    assert (are_inside(points, left) ^ are_inside(points, right)).all()


@pytest.mark.parametrize(
    "polygon", [[(0, 0), (1, 1)], [(0, 0)] * 257, [(0, 0), (1, 1), (math.inf, 2)], [1, 2, 3], 5]
)
def test_an_unusable_polygon_is_a_typed_error(polygon: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        ZoneOccupancy(inertia=1).update([], at(0), polygon)
    assert "polygon" in caught.value.fields


@pytest.mark.parametrize(
    "options",
    [{"inertia": 0}, {"inertia_s": -1}, {"loitering_s": math.nan}, {"anchor": "left"}, {"max_unseen_s": 1e9}],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        ZoneOccupancy(ZONE, **options)


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 5), st.sampled_from([INSIDE, OUTSIDE]), max_size=5),
        st.sampled_from([0, 0.1, 0.7, 3, -5]),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 3), st.sampled_from([0, 0.5]))
def test_those_who_entered_have_left_or_are_inside(
    steps: list[tuple[dict[int, tuple[float, float]], float]], inertia: int, inertia_s: float
) -> None:
    zone = ZoneOccupancy(ZONE, inertia=inertia, inertia_s=inertia_s, loitering_s=1)
    second, inside, loitered = 1000.0, set[int](), set[int]()
    for positions, step_s in steps:
        second += step_s
        boxes: list[Box] = [feet(*position, track=track) for track, position in positions.items()]
        update = zone.update(boxes, at(second))
        for stay in update.entered:
            assert stay.track not in inside
            inside.add(stay.track)
            loitered.discard(stay.track)
        for stay in update.loitering:
            assert stay.track in inside and stay.track not in loitered
            loitered.add(stay.track)
        for stay in update.left:
            inside.remove(stay.track)
        assert all(stay.dwell_s >= 0 for stay in [*update.entered, *update.left, *update.loitering])
        assert update.occupancy == len(inside)
        assert {stay.track for stay in zone.inside} == inside
