import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from ninjacam.core.errors import AuthenticationError, NinjacamError, NoVideoError, SourceTimeoutError
from ninjacam.core.lifecycle import Backoff, Stop, supervise
from ninjacam.testing.clock import FakeClock

BACKOFF = Backoff(first_s=1, max_s=8, jitter=0)


async def delays_of(
    run_once: Callable[[], Awaitable[None]], seconds: float, clock: FakeClock
) -> list[float | None]:
    """Return the delay after each error within `seconds`."""
    stop = Stop()
    delays: list[float | None] = []

    def on_error(_: NinjacamError, delay_s: float | None) -> None:
        delays.append(delay_s)

    task = asyncio.create_task(
        supervise(run_once, stop=stop, backoff=BACKOFF, clock=clock, on_error=on_error, name="it")
    )
    await clock.run(seconds)
    stop.set()
    await asyncio.wait_for(task, 5)
    return delays


def test_failures_are_retried_at_growing_intervals() -> None:
    async def fails() -> None:
        raise SourceTimeoutError("no")

    assert asyncio.run(delays_of(fails, 30, FakeClock())) == [1, 2, 4, 8, 8, 8]


def test_a_long_success_restarts_the_series_of_delays() -> None:
    clock = FakeClock()
    spells = iter([0, 0, 60, 0])

    async def runs_for_a_while() -> None:
        await clock.sleep(next(spells, 0))
        raise SourceTimeoutError("no")

    assert asyncio.run(delays_of(runs_for_a_while, 63.5, clock)) == [1, 2, 1]


def test_auth_failure_is_not_retried() -> None:
    tries = []

    async def fails() -> None:
        tries.append(1)
        raise AuthenticationError("no")

    assert asyncio.run(delays_of(fails, 600, FakeClock())) == [None]
    assert len(tries) == 1


def test_errors_that_need_a_person_are_retried_slowly() -> None:
    async def fails() -> None:
        raise NoVideoError("no")

    assert asyncio.run(delays_of(fails, 30, FakeClock()))[:2] == [5, 10]


def test_a_bug_is_logged_with_its_traceback_and_retried(caplog: pytest.LogCaptureFixture) -> None:
    async def breaks() -> None:
        raise ZeroDivisionError

    assert len(asyncio.run(delays_of(breaks, 2, FakeClock()))) == 2
    assert "ZeroDivisionError" in caplog.text


def test_the_stop_token_wakes_threads_and_coroutines_and_stays_set() -> None:
    stop = Stop()
    woken: list[bool] = []
    thread = threading.Thread(target=lambda: woken.append(stop.wait_in_thread(5)))
    thread.start()

    async def go() -> None:
        waiters = [asyncio.create_task(stop.wait()) for _ in range(3)]
        await asyncio.sleep(0)
        threading.Thread(target=stop.set).start()
        await asyncio.wait_for(asyncio.gather(*waiters), 5)
        await stop.wait()
        assert await stop.sleep(3600)

    asyncio.run(go())
    thread.join(5)
    assert woken == [True]
    stop.set()
    assert stop.is_set()


def test_a_stop_interrupts_the_delay_of_a_supervised_service() -> None:
    async def go() -> None:
        stop = Stop()

        async def fails() -> None:
            raise SourceTimeoutError("no")

        task = asyncio.create_task(supervise(fails, stop=stop, backoff=Backoff(first_s=3600)))
        await asyncio.sleep(0.01)
        stop.set()
        await asyncio.wait_for(task, 1)

    asyncio.run(go())
