"""One visit is one event made of many detections."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ninjacam import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking import Tracker, Visit, Visits, VisitUpdate
from ninjacam.tracking.memory import MAX_REMEMBERED
from ninjacam.tracking.parked import MAX_PARKED
from tests.unit.tracking.scenes import Walker, at, feet, film, seconds


class Log:
    """Everything that some visits reported, with the second."""

    def __init__(self) -> None:
        self.started: list[tuple[float, Visit]] = []
        self.updated: list[tuple[float, Visit]] = []
        self.ended: list[tuple[float, Visit]] = []

    def add(self, second: float, update: VisitUpdate) -> None:
        self.started += [(second, visit) for visit in update.started]
        self.updated += [(second, visit) for visit in update.updated]
        self.ended += [(second, visit) for visit in update.ended]

    @property
    def ids(self) -> list[int]:
        return [visit.id for _, visit in self.started]


def parking(**options: Any) -> Visits:
    """Return visits whose objects are stationary after 10 s, so that scenes are short."""
    return Visits(stationary_s=10, **options)


def stand(x: float = 300, y: float = 300, label: str = "car", score: float = 0.9, track: int = 1) -> Box:
    return feet(x, y, track, label, score)


def play(visits: Visits, scene: list[tuple[float, list[Box]]], log: Log | None = None) -> Log:
    log = log or Log()
    for second, boxes in scene:
        log.add(second, visits.update(boxes, at(second)))
    return log


def hold(box: Box | None, since_s: float, until_s: float, fps: float = 5) -> list[tuple[float, list[Box]]]:
    return [(second, [box] if box else []) for second in seconds(until_s - 1 / fps, fps, since_s)]


def move(x: float, vx: float, since_s: float, until_s: float, **box: Any) -> list[tuple[float, list[Box]]]:
    return [
        (second, [stand(x + vx * (second - since_s), **box)]) for second in seconds(until_s - 0.2, 5, since_s)
    ]


def test_a_person_who_passes_is_one_visit() -> None:
    log = play(Visits(), [*move(0, 50, 0, 4, label="person"), *hold(None, 4, 12)])
    ((started_s, visit),) = log.started
    assert started_s == pytest.approx(0.4)
    ((ended_s, ended),) = log.ended
    assert ended is visit and ended_s == pytest.approx(9)
    assert (visit.label, visit.start_ns, visit.end_ns, visit.detections) == ("person", at(0), at(3.8), 20)
    assert visit.seconds == 3.8 and visit.start.timestamp() * 10**9 == at(0)


def test_too_few_or_weak_detections_are_not_a_visit() -> None:
    assert play(Visits(), [*hold(stand(), 0, 0.4), *hold(None, 0.4, 20)]).ids == []
    assert play(Visits(), hold(stand(score=0.4), 0, 20)).ids == []
    assert play(Visits(min_s=3), [*hold(stand(), 0, 2.8), *hold(None, 2.8, 20)]).ids == []
    assert play(Visits(min_s=3), hold(stand(), 0, 3.4)).ids == [1]


def test_a_visit_continues_with_weak_detections() -> None:
    scene = [*move(0, 20, 0, 2), *move(40, 20, 2, 30, score=0.2), *hold(None, 30, 40)]
    log = play(Visits(), scene)
    assert log.ids == [1] and log.ended[0][0] == pytest.approx(35, abs=0.3)
    log = play(Visits(continue_score=0.3), scene)
    assert log.ids == [1] and log.ended[0][0] == pytest.approx(7, abs=0.3)


def test_a_lost_person_who_returns_with_another_track_continues_the_visit() -> None:
    scene = [
        *move(0, 40, 0, 3, label="person"),
        *hold(None, 3, 6),
        *move(240, 40, 6, 9, label="person", track=2),
    ]
    log = play(Visits(), [*scene, *hold(None, 9, 20)])
    assert log.ids == [1] and len(log.ended) == 1
    assert log.ended[0][1].detections == 30


def test_a_visit_waits_for_a_candidate_that_probably_continues_it() -> None:
    scene = [*hold(stand(), 0, 3), *hold(None, 3, 7.6), *hold(stand(track=2), 7.6, 12)]
    log = play(Visits(), scene)
    assert log.ids == [1] and log.ended == []


def test_a_person_who_appears_behind_one_who_has_left_is_another_visit() -> None:
    leaves = [*move(300, 80, 0, 3, label="person"), *hold(None, 3, 5)]
    enters = move(460, 10, 5, 8, label="person", track=2)
    assert play(Visits(), [*leaves, *enters]).ids == [1, 2]


def test_another_person_far_away_is_another_visit() -> None:
    scene = [*hold(stand(100), 0, 3), *hold(None, 3, 4), *hold(stand(900, track=2), 4, 8)]
    assert play(Visits(), scene).ids == [1, 2]
    together = [(second, [stand(100), stand(160, track=2)]) for second in seconds(5, 5)]
    assert play(Visits(), together).ids == [1, 2]
    other_label = [*hold(stand(100), 0, 3), *hold(stand(100, label="dog", track=2), 3, 5)]
    assert play(Visits(), other_label).ids == [1, 2]


def test_a_parked_car_is_one_visit_also_after_short_losses() -> None:
    scene = move(0, 100, 0, 3)
    for number in range(6):
        since_s = 3 + 40 * number
        scene += hold(stand(300, track=number + 1), since_s, since_s + 20)
        scene += hold(None, since_s + 20, since_s + 40)
    log = play(parking(), scene)
    assert log.ids == [1] and len(log.ended) == 1
    assert log.started[0][1].is_stationary
    assert [visit.is_stationary for _, visit in log.updated].count(True) >= 1


def test_a_parked_car_that_moves_is_another_visit() -> None:
    parked = [*hold(stand(), 0, 20), *hold(None, 20, 30), *hold(stand(track=2), 30, 40)]
    log = play(parking(), [*parked, *move(300, 60, 40, 44, track=2)])
    assert log.ids == [1, 2]
    assert 40 < log.started[1][0] < 41.5
    after = play(
        parking(),
        [*parked, *move(300, 60, 40, 44, track=2), *hold(None, 44, 60), *hold(stand(track=3), 60, 62)],
    )
    assert after.ids == [1, 2, 3], "the place is free, so the next car there is new"


def test_a_car_at_the_place_of_another_one_is_new_after_a_long_time() -> None:
    scene = [*hold(stand(), 0, 20), *hold(None, 20, 200), *hold(stand(track=2), 200, 203)]
    assert play(parking(), scene).ids == [1, 2]
    assert play(parking(remember_s=300), scene).ids == [1]


def test_a_person_in_front_of_a_parked_car_is_a_visit() -> None:
    scene = [*hold(stand(), 0, 20), *hold(None, 20, 30), *hold(stand(label="person", track=2), 30, 33)]
    assert play(parking(), scene).ids == [1, 2]


def test_a_visit_may_end_when_its_object_is_stationary() -> None:
    scene = [*move(0, 100, 0, 3), *hold(stand(), 3, 60), *move(300, 100, 60, 64), *hold(None, 64, 75)]
    log = play(parking(ends_when_stationary=True), scene)
    assert log.ids == [1, 2]
    assert [round(second) for second, _ in log.ended] == [13, 69]
    assert play(parking(), scene).ids == [1]


def test_a_person_who_comes_to_the_place_of_another_one_is_a_visit() -> None:
    """The second one appears elsewhere, so it is not the first one, found again."""
    first = [*move(0, 100, 0, 3, label="person"), *hold(stand(label="person"), 3, 20), *hold(None, 20, 30)]
    second = [*move(200, 50, 30, 32, label="person", track=2), *hold(stand(label="person", track=2), 32, 40)]
    assert play(parking(), [*first, *second]).ids == [1, 2]


def test_a_car_that_passes_a_lost_parked_one_is_another_visit() -> None:
    scene = [
        *hold(stand(), 0, 20),
        *move(0, 120, 20, 24, track=2),
        *hold(stand(track=3), 24, 40),
    ]
    assert play(parking(), scene).ids == [1, 2]


def test_the_best_detection_is_reported_with_the_frame_that_shows_it() -> None:
    visits = Visits()
    reported: list[tuple[int, float]] = []
    for number, score in enumerate([0.6, 0.6, 0.6, 0.62, 0.9, 0.8, 0.7, 0.95, 0.4]):
        size = 30 + 10 * number if number < 6 else 30
        box = Box(100, 100, 100 + size, 100 + 2 * size, "person", score, track=1)
        update = visits.update([box], at(number / 5))
        for visit in [*update.started, *update.updated]:
            assert visit.best.captured_ns == at(number / 5) and visit.best.box == box
            reported.append((number, visit.best.score))
    assert reported == [(2, 0.6), (3, 0.62), (4, 0.9)]
    assert visits.ongoing[0].best.captured_at.timestamp() == pytest.approx(at(0.8) / 1e9)


def test_a_restart_continues_visits_and_duplicates_none() -> None:
    before = Visits()
    log = play(before, [*move(0, 30, 0, 4, label="person"), *hold(stand(700), 4, 4.2)])
    play(before, [(s, [*a, stand(700, track=9)]) for s, a in move(120, 30, 4.2, 8, label="person")], log)
    stored = json.loads(json.dumps(before.state()))
    after = Visits()
    after.restore(stored)
    assert [visit.id for visit in after.ongoing] == log.ids == [1, 2]
    scene = [
        (s, [*a, stand(700, track=2)]) for s, a in move(620, 30, 28, 32, label="person", track=1)
    ]  # other numbers, 20 s later, and 12 body widths away
    log = play(after, [*scene, *hold(None, 32, 40)])
    assert log.ids == []
    assert sorted(visit.id for _, visit in log.ended) == [1, 2]
    assert log.ended[0][1].start_ns in (at(0), at(4.2)) and log.ended[0][1].end_ns == at(31.8)


def test_a_visit_that_ended_during_a_restart_is_reported_as_ended() -> None:
    before = Visits()
    play(before, hold(stand(), 0, 3))
    for since_s in (10, 4000):
        after = Visits()
        after.restore(before.state())
        log = play(after, hold(None, since_s, since_s + 8))
        assert [visit.id for _, visit in log.ended] == [1]
        assert play(after, hold(stand(), since_s + 8, since_s + 9)).ids == [2]


def test_parked_cars_are_remembered_over_a_restart() -> None:
    before = parking()
    assert play(before, [*hold(stand(), 0, 20), *hold(None, 20, 30)]).ids == [1]
    after = parking()
    after.restore(json.loads(json.dumps(before.state())))
    assert play(after, hold(stand(), 60, 80)).ids == []


def test_a_restored_state_is_the_same_state() -> None:
    before, after = parking(), parking()
    play(before, [*hold(stand(), 0, 20), *hold(None, 20, 30), *hold(stand(900), 30, 33)])
    after.restore(before.state())
    assert after.state() == before.state()
    empty = parking()
    empty.restore(parking().state())
    assert play(empty, hold(stand(), 0, 3)).ids == [1]


def damaged_states() -> list[Any]:
    visits = parking()
    play(visits, [*hold(stand(), 0, 20), *hold(None, 20, 30), *hold(stand(900), 30, 33)])
    found: list[Any] = [None, 5, [], {}, "x"]

    def damage(value: Any, rebuild: Any) -> None:
        items = (
            value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
        )
        for key, each in items:

            def replaced(new: Any, value: Any = value, key: Any = key, rebuild: Any = rebuild) -> Any:
                copy = dict(value) if isinstance(value, dict) else list(value)
                copy[key] = new
                return rebuild(copy)

            if key not in ("is_stationary", "score"):
                found.append(replaced(None))
            if isinstance(each, int | float) and not isinstance(each, bool):
                found.extend([replaced("1"), replaced(math.nan), replaced(10**30)])
            damage(each, replaced)

    damage(visits.state(), lambda value: value)
    return found


def test_a_damaged_state_is_a_typed_error_that_changes_nothing() -> None:
    states = damaged_states()
    assert len(states) > 80
    visits = Visits()
    play(visits, hold(stand(), 0, 3))
    expected = visits.state()
    for state in states:
        with pytest.raises(InvalidError) as caught:
            visits.restore(state)
        assert "state" in caught.value.fields
    assert visits.state() == expected


def test_frames_without_time_between_them_are_allowed() -> None:
    log = play(Visits(), [(0, [stand()]) for _ in range(10)])
    assert log.ids == [1] and log.started[0][1].seconds == 0


def test_a_camera_that_was_offline_continues_its_visits() -> None:
    tracker, visits, log = Tracker(), Visits(), Log()
    for second, boxes in film([Walker(300, 300)], [*seconds(3), *seconds(70, since_s=60)]):
        log.add(second, visits.update(tracker.update(boxes, at(second)), at(second)))
    assert log.ids == [1] and log.ended == []


def test_capture_times_that_jump_back_end_nothing() -> None:
    log = play(Visits(), [*hold(stand(), 1000, 1005), *hold(stand(), 0, 5)])
    assert log.ids == [1] and log.ended == []


def test_when_the_clock_is_set_back_visits_continue_and_never_end_before_they_began() -> None:
    scene = [*hold(stand(), 4000, 4005), *hold(stand(), 400, 405), *hold(None, 405, 415)]
    log = play(Visits(), scene)
    ((ended_s, visit),) = log.ended
    assert log.ids == [1] and ended_s == pytest.approx(410, abs=0.3)
    assert (visit.start_ns, visit.end_ns) == (at(4000), at(4004.8))


@pytest.mark.parametrize("gap_s", [0.2, 100])
def test_after_the_clock_was_set_back_a_lost_object_is_recognized_where_it_may_be(gap_s: float) -> None:
    scene = [*hold(stand(), 4000, 4005), *hold(stand(), 400, 401)]
    again = [*hold(None, 401, 402), *hold(stand(track=2), 402 + gap_s, 405 + gap_s)]
    assert play(Visits(), [*scene, *again]).ids == [1]
    far = [*hold(None, 401, 402), *hold(stand(900, track=2), 402 + gap_s, 405 + gap_s)]
    assert play(Visits(), [*scene, *far]).ids == ([1, 2] if gap_s < 1 else [1])


def test_after_a_long_interval_without_frames_a_visit_ends_although_the_clock_was_set_back_before() -> None:
    log = play(Visits(), [*hold(stand(), 4000, 4005), *hold(stand(), 400, 401), *hold(None, 600, 601)])
    assert [visit.id for _, visit in log.ended] == [1]


def test_frames_that_were_seen_before_a_restart_begin_no_second_visit() -> None:
    """Decoding begins at the last key frame, so a quick restart shows some frames again."""
    enters = move(0, 100, 0, 5, label="person")
    before = Visits()
    log = play(before, enters[:15])
    after = Visits()
    after.restore(json.loads(json.dumps(before.state())))
    play(after, [(s, [replace(box, track=7) for box in boxes]) for s, boxes in enters[3:]], log)
    play(after, hold(None, 5, 12), log)
    assert log.ids == [1]
    ((_, visit),) = log.ended
    assert (visit.start_ns, visit.end_ns, visit.detections) == (at(0), at(4.8), 25)


def test_after_a_restart_with_the_clock_set_back_new_frames_count() -> None:
    before = Visits()
    play(before, hold(stand(), 4000, 4003))
    after = Visits()
    after.restore(before.state())
    log = play(after, hold(None, 400, 410))
    assert [visit.id for _, visit in log.ended] == [1]


def test_memory_is_bounded() -> None:
    visits = Visits(min_detections=1, stationary_s=0, end_after_s=0.1)
    for number in range(40):
        boxes = [stand(60 * x, 200 * number, track=100 * number + x) for x in range(100)]
        for second in (number, number + 0.2):
            visits.update(boxes, at(second))
        visits.update([], at(number + 0.5))
    assert len(visits.ongoing) == 0
    assert len(visits.state()["parked"]) == MAX_PARKED
    waiting = Visits(min_detections=1000)
    for number in range(30):
        waiting.update([stand(60 * x, track=100 * number + x) for x in range(100)], at(number / 20))
    assert len(waiting._candidates) == MAX_REMEMBERED
    assert len(json.dumps(visits.state())) < 100_000


def test_many_objects_are_updated_quickly_enough_to_be_tested() -> None:
    visits = Visits()
    log = play(visits, [(n / 5, [stand(60 * x, track=x) for x in range(300)]) for n in range(5)])
    assert len(log.ids) == 300


@pytest.mark.parametrize(
    "options",
    [
        {"start_score": 0.1, "continue_score": 0.5},
        {"min_detections": 0},
        {"min_detections": 1.5},
        {"continue_score": None},
        {"min_s": -1},
        {"end_after_s": math.nan},
        {"stationary_s": -1},
        {"remember_s": math.inf},
    ],
)
def test_parameters_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        Visits(**options)


def test_boxes_without_a_track_are_a_typed_error() -> None:
    with pytest.raises(InvalidError, match="track"):
        Visits().update([replace(stand(), track=None)], at(0))


TRACKED = st.dictionaries(
    st.integers(1, 6),
    st.tuples(st.integers(0, 400), st.integers(0, 300), st.sampled_from([0.05, 0.3, 0.9])),
    max_size=5,
)
SCENES = st.lists(st.tuples(TRACKED, st.sampled_from([0.0, 0.2, 1.0, 4.0, 60.0, -30.0])), max_size=30)


@given(SCENES, st.integers(0, 30), st.booleans())
def test_each_visit_starts_once_and_ends_once(
    scene: list[tuple[dict[int, tuple[int, int, float]], float]], restart: int, ends: bool
) -> None:
    visits = Visits(min_detections=2, stationary_s=1, ends_when_stationary=ends)
    second, started, ended = 1000.0, set[int](), set[int]()
    for number, (tracked, step_s) in enumerate(scene):
        if number == restart:
            state = json.loads(json.dumps(visits.state()))
            visits = Visits(min_detections=2, stationary_s=1, ends_when_stationary=ends)
            visits.restore(state)
        second += step_s
        boxes = [stand(x, y, score=score, track=track) for track, (x, y, score) in tracked.items()]
        update = visits.update(boxes, at(second))
        for visit in update.started:
            assert visit.id not in started
            started.add(visit.id)
            assert visit.best.captured_ns == at(second)
        assert all(visit.id in started - ended for visit in update.updated)
        for visit in update.ended:
            assert visit.id in started - ended
            ended.add(visit.id)
        assert {visit.id for visit in visits.ongoing} == started - ended
        assert all(visit.detections >= 2 for visit in visits.ongoing)
