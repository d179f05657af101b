"""The ready-made processor `motion`."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from ninjacam import Box, Frame, Zone
from ninjacam.core.frames import Area
from ninjacam.processors.motion import Motion
from ninjacam.testing import frame
from tests.unit.processors.conftest import Recorded

IMAGE = np.zeros((90, 160), np.uint8)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
BIG, SMALL = Area(40, 30, 80, 60, 0.05), Area(40, 30, 42, 31, 0.0005)


def at(seconds: float, *areas: Area, zones: Iterable[Zone] = ()) -> Frame:
    return frame(
        IMAGE, camera="gate", captured_at=BEGIN + timedelta(seconds=seconds), motion=areas, zones=zones
    )


def seconds_of(time_ns: int) -> float:
    return round(time_ns / 1e9 - BEGIN.timestamp(), 3)


def test_a_movement_is_one_event_from_its_first_to_its_last_frame(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    motion = start(Motion)
    for tenths in range(100):
        returned = motion.process(at(tenths / 10, *((BIG,) if 20 <= tenths < 50 else ())))
        assert returned.annotations == ([Box(40, 30, 80, 60, "motion")] if 20 <= tenths < 50 else [])
    assert [item.kind for item in recorded.begun] == ["motion"]
    assert seconds_of(recorded.begun[0].start_ns) == 2
    assert [seconds_of(item.end_ns) for item in recorded.ended] == [4.9]
    assert recorded.begun[0].sighting.box == (0.25, 1 / 3, 0.5, 2 / 3)
    motion.close()
    assert len(recorded.items) == 2


def test_a_pause_that_is_short_enough_does_not_end_it(start: Callable[..., Any], recorded: Recorded) -> None:
    motion = start(Motion, end_after_s=3)
    for seconds in (0, 1, 2, 3.5, 4, 6, 7, 8, 9, 10):
        motion.process(at(seconds, *((BIG,) if seconds in (0, 2, 4, 10) else ())))
    assert len(recorded.begun) == 2
    assert [seconds_of(item.end_ns) for item in recorded.ended] == [4]


def test_small_areas_do_not_count(start: Callable[..., Any], recorded: Recorded) -> None:
    motion = start(Motion, min_area=1)
    assert motion.process(at(0, SMALL)).annotations == []
    assert not recorded.items


def test_only_zones_count_if_there_are_any(start: Callable[..., Any], recorded: Recorded) -> None:
    yard = Zone("yard", "zone", [(0.2, 0.3), (0.6, 0.3), (0.6, 0.8), (0.2, 0.8)])
    line = Zone("door", "line", [(0, 0), (1, 1)])
    motion = start(Motion)
    motion.process(at(0, Area(120, 0, 160, 20, 0.05), zones=[yard, line]))
    assert not recorded.items
    motion.process(at(1, BIG, zones=[yard, line]))
    assert recorded.begun[0].sighting.zones == ("yard",)
    motion = start(Motion)
    motion.process(at(2, Area(120, 0, 160, 20, 0.05), zones=[line]))
    assert len(recorded.begun) == 2, "a line is not a zone"


def test_the_event_of_a_worker_that_died_is_ended_by_the_next_one(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    motion = start(Motion)
    for seconds in range(5):
        motion.process(at(seconds, BIG))
    state = recorded.states["gate", "motion"]
    assert state["keys"] == [recorded.begun[0].key]
    start(Motion)
    assert [item.key for item in recorded.ended] == state["keys"]
    assert recorded.states["gate", "motion"] is None


def test_when_the_clock_is_set_back_the_event_ends_and_another_one_begins(
    start: Callable[..., Any], recorded: Recorded
) -> None:
    motion = start(Motion)
    for second in range(1000, 1005):
        motion.process(at(second, BIG))
    for second in range(10):
        motion.process(at(second, *((BIG,) if second < 3 else ())))
    assert [seconds_of(item.start_ns) for item in recorded.begun] == [1000, 0]
    assert [seconds_of(item.end_ns) for item in recorded.ended] == [1004, 2]
    assert [item.key for item in recorded.ended] == [item.key for item in recorded.begun]
    assert recorded.states["gate", "motion"] is None
