import pytest

from ninjacam.core.lifecycle import Stop
from ninjacam.core.packets import VIDEO_CLOCK_HZ
from ninjacam.sources.ffmpeg import _Pace
from ninjacam.testing.clock import FakeClock


class Waiting(Stop):
    """Waits by moving the clock, and notes for how long."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.waited_s: list[float] = []

    def wait_in_thread(self, timeout_s: float | None = None) -> bool:
        self.waited_s.append(round(timeout_s or 0, 3))
        self.clock.advance(timeout_s or 0)
        return self.is_set()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def waiting(clock: FakeClock) -> Waiting:
    return Waiting(clock)


def waits(pace: _Pace, waiting: Waiting, *due_s: float) -> list[float]:
    waiting.waited_s.clear()
    for each in due_s:
        assert pace.wait_until(round(each * VIDEO_CLOCK_HZ))
    return list(waiting.waited_s)


def test_a_burst_is_spread_over_its_duration(clock: FakeClock, waiting: Waiting) -> None:
    pace = _Pace(clock, waiting, live=True)
    assert waits(pace, waiting, 100, 100.04, 100.08, 101) == [0.04, 0.04, 0.92]


def test_a_small_delay_is_caught_up(clock: FakeClock, waiting: Waiting) -> None:
    pace = _Pace(clock, waiting, live=True)
    waits(pace, waiting, 0)
    clock.advance(0.3)
    assert waits(pace, waiting, 0.1, 0.2, 0.4) == [0.1]


@pytest.mark.parametrize("jump_s", [-3600, 3600, 20])
def test_a_jump_of_live_time_causes_no_wait(clock: FakeClock, waiting: Waiting, jump_s: float) -> None:
    pace = _Pace(clock, waiting, live=True)
    assert waits(pace, waiting, 5000, 5000 + jump_s, 5000.04 + jump_s) == [0.04]


def test_after_a_pause_the_live_pace_restarts(clock: FakeClock, waiting: Waiting) -> None:
    pace = _Pace(clock, waiting, live=True)
    waits(pace, waiting, 0)
    clock.advance(3)
    assert waits(pace, waiting, 0.04, 0.08) == [0.04]


def test_a_file_keeps_its_own_timing(clock: FakeClock, waiting: Waiting) -> None:
    pace = _Pace(clock, waiting, live=False)
    waits(pace, waiting, 0)
    clock.advance(3)
    assert waits(pace, waiting, 1, 4, 10) == [1, 6]


def test_a_stop_ends_the_wait(clock: FakeClock, waiting: Waiting) -> None:
    pace = _Pace(clock, waiting, live=True)
    assert pace.wait_until(0)
    waiting.set()
    assert not pace.wait_until(VIDEO_CLOCK_HZ)
