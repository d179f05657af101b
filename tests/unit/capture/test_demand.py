import asyncio

from ninjacam.capture.demand import LINGER_S, StreamDemand
from ninjacam.testing.clock import FakeClock


def test_main_is_always_needed() -> None:
    assert StreamDemand(always=True, clock=FakeClock()).left_s == float("inf")


def test_a_stream_is_needed_while_it_is_used_and_a_while_longer() -> None:
    clock = FakeClock()
    demand = StreamDemand(always=False, clock=clock)
    assert demand.left_s == 0
    demand.update(has_subscribers=True)
    clock.advance(3600)
    assert demand.left_s == float("inf")
    demand.update(has_subscribers=False)
    clock.advance(LINGER_S - 1)
    demand.update(has_subscribers=False)
    assert demand.left_s == 1
    clock.advance(1)
    assert demand.left_s == 0


def test_a_waiter_returns_with_the_first_user() -> None:
    async def go() -> None:
        demand = StreamDemand(always=False, clock=FakeClock())
        waiting = asyncio.create_task(demand.wait())
        await asyncio.sleep(0)
        assert not waiting.done()
        demand.update(has_subscribers=True)
        await waiting

    asyncio.run(go())


def test_a_recording_counts_until_its_time() -> None:
    clock = FakeClock()
    demand = StreamDemand(always=False, clock=clock)
    demand.update(record_until_ns=0)
    demand.update(is_recorded=True)
    assert demand.left_s == 0, "a sink alone does not need the stream"
    demand.update(record_until_ns=clock.wall_ns() + 10 * 10**9)
    assert demand.left_s == 10
    clock.advance(11)
    assert demand.left_s == 0
    demand.update(record_until_ns=0)
    assert demand.left_s == 0, "it has ended before"
