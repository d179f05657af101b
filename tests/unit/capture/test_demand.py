import asyncio

from ninjacam.capture.demand import LINGER_S, StreamDemand
from ninjacam.testing.clock import FakeClock


def test_main_is_always_needed() -> None:
    assert StreamDemand(always=True, clock=FakeClock()).left_s == float("inf")


def test_a_stream_is_needed_while_it_is_used_and_a_while_longer() -> None:
    clock = FakeClock()
    demand = StreamDemand(always=False, clock=clock)
    assert demand.left_s == 0
    demand.update(has_subscribers=True, is_recorded=False)
    clock.advance(3600)
    assert demand.left_s == float("inf")
    demand.update(has_subscribers=False, is_recorded=False)
    clock.advance(LINGER_S - 1)
    demand.update(has_subscribers=False, is_recorded=False)
    assert demand.left_s == 1
    clock.advance(1)
    assert demand.left_s == 0


def test_a_waiter_returns_with_the_first_user() -> None:
    async def go() -> None:
        demand = StreamDemand(always=False, clock=FakeClock())
        waiting = asyncio.create_task(demand.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        demand.update(has_subscribers=True, is_recorded=False)
        await waiting

    asyncio.run(go())
