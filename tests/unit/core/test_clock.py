import pytest

from ninjacam.core.clock import until_tick_s
from ninjacam.testing.clock import FakeClock

S = 10**9


@pytest.mark.parametrize(
    ("now_s", "wait_s"),
    [(7.0, 1.0), (7.25, 0.75), (7.9, 0.1), (7.994, 0.006), (7.996, 1.004), (7.9999, 1.0001)],
)
def test_a_tick_is_a_multiple_of_its_period_and_comes_once(now_s: float, wait_s: float) -> None:
    clock = FakeClock(monotonic_ns=round(now_s * S))
    assert until_tick_s(1.0, clock) == pytest.approx(wait_s)


def test_all_periods_have_their_ticks_in_common() -> None:
    clock = FakeClock(monotonic_ns=11 * S + 300_000_000)
    assert until_tick_s(0.25, clock) == pytest.approx(0.2)
    assert until_tick_s(2.0, clock) == until_tick_s(1.0, clock) == pytest.approx(0.7)
