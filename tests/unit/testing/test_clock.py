import asyncio
import itertools

import pytest

from ninjacam.core.clock import Clock
from ninjacam.core.errors import SourceTimeoutError
from ninjacam.core.lifecycle import Backoff, Stop, supervise
from ninjacam.testing.clock import FakeClock


def test_both_clocks_move_only_on_demand() -> None:
    clock: Clock = FakeClock(monotonic_ns=5, wall_ns=7)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (5, 7)
    assert isinstance(clock, FakeClock)
    clock.advance(2)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (2_000_000_005, 2_000_000_007)
    clock.step_wall(-1)
    assert (clock.monotonic_ns(), clock.wall_ns()) == (2_000_000_005, 1_000_000_007)


def test_sleepers_wake_in_the_order_of_their_deadlines() -> None:
    async def scenario() -> None:
        clock, woken = FakeClock(), list[tuple[str, int]]()
        start_ns = clock.monotonic_ns()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            woken.append((name, clock.monotonic_ns() - start_ns))

        async with asyncio.TaskGroup() as group:
            for name, seconds in (("late", 3.0), ("early", 1.0), ("middle", 2.0)):
                group.create_task(sleeper(name, seconds))
            await clock.run(2.5)
            assert woken == [("early", 1_000_000_000), ("middle", 2_000_000_000)]
            assert clock.sleepers == 1
            await clock.run(1)
        assert woken[-1] == ("late", 3_000_000_000)

    asyncio.run(scenario())


def test_a_loop_of_sleeps_runs_as_often_as_time_permits() -> None:
    async def scenario() -> None:
        clock, turns = FakeClock(), 0

        async def ticker() -> None:
            nonlocal turns
            while True:
                await clock.sleep(0.5)
                turns += 1

        task = asyncio.create_task(ticker())
        await clock.run(10)
        assert turns == 20
        task.cancel()

    asyncio.run(scenario())


def test_cancelled_sleeper_is_forgotten() -> None:
    async def scenario() -> None:
        clock = FakeClock()
        task = asyncio.create_task(clock.sleep(5))
        await clock.run()
        assert clock.sleepers == 1
        task.cancel()
        await clock.run()
        assert clock.sleepers == 0
        clock.advance(10)

    asyncio.run(scenario())


def test_supervise_can_be_driven_through_its_backoff() -> None:
    async def scenario() -> None:
        clock, stop, tries = FakeClock(), Stop(), list[int]()

        async def run_once() -> None:
            tries.append(clock.monotonic_ns())
            raise SourceTimeoutError("no answer")

        task = asyncio.create_task(supervise(run_once, stop=stop, backoff=Backoff(jitter=0), clock=clock))
        await clock.run(8)
        gaps = [(b - a) / 1e9 for a, b in itertools.pairwise(tries)]
        assert gaps == pytest.approx([1, 2, 4])
        stop.set()
        await task

    asyncio.run(scenario())
