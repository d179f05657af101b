import asyncio
import contextlib

import pytest

from ninjacam.front_door import gate as module
from ninjacam.front_door.gate import (
    MAX_RUNNING,
    MAX_RUNNING_PER_ADDRESS,
    MAX_RUNNING_PER_USER,
    MAX_WAITING_PER_ADDRESS,
    MAX_WAITING_PER_USER,
    Gate,
)
from ninjacam.problems import Problem


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Request:
    """A request that keeps its place until it is ended."""

    def __init__(self, gate: Gate, address: str, user: str = "") -> None:
        self.runs = False
        self._end = asyncio.Event()
        self.task = asyncio.ensure_future(self._serve(gate, address, user))

    async def _serve(self, gate: Gate, address: str, user: str) -> None:
        async with gate.place(address, user):
            self.runs = True
            await self._end.wait()

    async def finish(self) -> None:
        self._end.set()
        await self.task


async def end_all(requests: list[Request]) -> None:
    for request in requests:
        request.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await request.task


def test_an_address_never_gets_all_slots() -> None:
    async def run() -> None:
        gate = Gate()
        flood = [Request(gate, "a", str(number)) for number in range(40)]
        await settle()
        other = Request(gate, "b")
        await settle()
        assert sum(request.runs for request in flood) == MAX_RUNNING_PER_ADDRESS
        assert other.runs
        await end_all([*flood, other])
        assert not gate._running

    asyncio.run(run())


def test_waiting_requests_take_turns() -> None:
    async def run() -> None:
        gate = Gate()
        running = [Request(gate, f"r{number}") for number in range(MAX_RUNNING)]
        await settle()
        flood = [Request(gate, "a") for _ in range(20)]
        await settle()
        other = Request(gate, "b")
        await settle()
        await running[0].finish()
        await running[1].finish()
        await settle()
        assert sum(request.runs for request in flood) == 1
        assert other.runs
        await end_all([*running[2:], *flood, other])

    asyncio.run(run())


def test_users_of_one_address_take_turns_and_none_gets_all_its_slots() -> None:
    async def run() -> None:
        gate = Gate()
        flood = [Request(gate, "a", "ann") for _ in range(MAX_RUNNING_PER_USER + MAX_WAITING_PER_USER)]
        await settle()
        with pytest.raises(Problem):
            async with gate.place("a", "ann"):
                pass
        others = [Request(gate, "a", f"bob{number}") for number in range(MAX_RUNNING_PER_ADDRESS)]
        await settle()
        free = MAX_RUNNING_PER_ADDRESS - MAX_RUNNING_PER_USER
        assert [other.runs for other in others] == [True] * free + [False] * (len(others) - free)
        for done in flood[:2]:
            await done.finish()
        await settle()
        assert others[free].runs and sum(request.runs for request in flood) == MAX_RUNNING_PER_USER + 1
        await end_all([*flood, *others])
        assert not gate._waiting and not gate._running and not gate._running_of_user

    asyncio.run(run())


def test_a_slot_released_early_is_not_given_twice() -> None:
    async def run() -> None:
        gate = Gate()
        async with gate.place("a", "") as place:
            place.leave()
        assert not gate._running

    asyncio.run(run())


def test_a_request_that_ends_when_its_turn_comes_gives_it_back() -> None:
    async def run() -> None:
        gate = Gate()
        async with contextlib.AsyncExitStack() as stack:
            enter = stack.enter_async_context
            places = [await enter(gate.place("a", str(n))) for n in range(MAX_RUNNING_PER_ADDRESS)]
            waiting = Request(gate, "a", "last")
            await settle()
            places[0].leave()  # the turn of the waiting request begins, but the request has not run since
            waiting.task.cancel()
            await settle()
            assert gate._running["a"] == MAX_RUNNING_PER_ADDRESS - 1
        assert not gate._running

    asyncio.run(run())


def test_too_long_a_queue_and_too_long_a_wait_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        gate = Gate()
        count = MAX_RUNNING_PER_ADDRESS + MAX_WAITING_PER_ADDRESS
        flood = [Request(gate, "a", str(number)) for number in range(count)]
        await settle()
        with pytest.raises(Problem) as refused:
            async with gate.place("a", "b"):
                pass
        assert refused.value.status == 503
        await end_all(flood)

        monkeypatch.setattr(module, "WAIT_S", 0.01)
        running = [Request(gate, f"r{number}") for number in range(MAX_RUNNING)]
        await settle()
        with pytest.raises(Problem):
            async with gate.place("b", ""):
                pass
        assert not gate._waiting
        await end_all(running)

    asyncio.run(run())
