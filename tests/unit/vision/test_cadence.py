"""Which frames are due."""

from ninjacam.vision.cadence import Cadence

NS = 1_000_000_000


def count(cadence: Cadence, fps: float, start_ns: int, seconds: float, step_ns: int = NS // 25) -> int:
    return sum(cadence.is_due(fps, at_ns) for at_ns in range(start_ns, start_ns + int(seconds * NS), step_ns))


def test_as_many_frames_are_due_as_the_rate_says() -> None:
    assert count(Cadence(), 5, 1000 * NS, 4) in (20, 21)
    assert count(Cadence(), 0, 0, 4) == 100


def test_a_clock_that_is_set_back_does_not_stop_the_frames() -> None:
    cadence = Cadence()
    count(cadence, 5, 10_000 * NS, 2)
    assert count(cadence, 5, 5_000 * NS, 4) in (20, 21)


def test_a_higher_rate_applies_at_once() -> None:
    cadence = Cadence()
    count(cadence, 0.1, 0, 1)
    assert count(cadence, 5, 1 * NS, 4) in (20, 21)


def test_frames_are_not_made_up_for_after_a_pause() -> None:
    cadence = Cadence()
    count(cadence, 5, 0, 2)
    assert count(cadence, 5, 60 * NS, 1) in (5, 6)
