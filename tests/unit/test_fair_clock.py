"""The clock for the time limits of the other tests."""

import asyncio

import pytest

from tests.harness import fair_clock
from tests.harness.fair_clock import FairClock, fair_share, fair_timeout


@pytest.mark.parametrize(
    ("runnable", "share"), [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2 / 3), (5, 0.5), (21, 0.1)], ids=str
)
def test_each_process_gets_a_share_of_two_processors(runnable: int, share: float) -> None:
    """The runnable processes include the caller."""
    assert fair_share(f"9.81 4.02 2.25 {runnable}/572 28104\n", 2) == pytest.approx(share)


def test_time_passes_slower_while_others_use_the_processors() -> None:
    real_s = 100.0
    clock = FairClock(lambda: real_s)
    begun_s = clock.now_s()
    real_s += 2
    assert clock.now_s() - begun_s == pytest.approx(2)
    clock.set_share(0.25)
    real_s += 4
    assert clock.now_s() - begun_s == pytest.approx(3)
    clock.set_share(1.0)
    real_s += 1
    assert clock.now_s() - begun_s == pytest.approx(4)


def test_a_timeout_lasts_longer_while_the_clock_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    async def wait_in_vain() -> float:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        monkeypatch.setattr(fair_clock, "fair_s", lambda: loop.time() / 4)
        with pytest.raises(TimeoutError):
            async with fair_timeout(0.05):
                await asyncio.Event().wait()
        async with fair_timeout(0.0125):
            pass
        await asyncio.sleep(0.1)  # a block that has ended is no longer limited
        return loop.time() - begun_s

    assert asyncio.run(wait_in_vain()) >= 0.3
