import asyncio
from types import SimpleNamespace

from ninjacam.auth import Principal
from ninjacam.problems import Problem
from ninjacam.viewers.turns import Turns, user_of


class Queue:
    """Each `ask` holds its turn until `finish`."""

    def __init__(self, at_once: int = 2, of_user: int = 8, at_once_of_user: int | None = None) -> None:
        self.turns = Turns(
            at_once, max_waiting=12, max_waiting_of_user=of_user, at_once_of_user=at_once_of_user
        )
        self.begun: list[str] = []
        self.refused: dict[str, Problem] = {}
        self._holding: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        for name in names:
            self.tasks[name] = asyncio.create_task(self._hold(name))
        await self.settle()

    async def _hold(self, name: str) -> None:
        try:
            async with self.turns.turn(name[0]):
                self.begun.append(name)
                done = self._holding[name] = asyncio.Event()
                await done.wait()
        except Problem as problem:
            self.refused[name] = problem

    async def finish(self) -> None:
        """Finish the turn that began first."""
        self._holding.pop(next(iter(self._holding))).set()
        await self.settle()

    async def hang_up(self, name: str) -> None:
        self.tasks[name].cancel()
        self._holding.pop(name, None)
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


def test_a_single_request_does_not_wait_for_the_many_of_another_user() -> None:
    async def script() -> None:
        queue = Queue()
        await queue.ask("a1", "a2", "a3", "a4", "a5", "b1", "c1")
        assert queue.begun == ["a1", "a2"]
        for _ in range(3):
            await queue.finish()
        assert queue.begun == ["a1", "a2", "b1", "c1", "a3"]
        for _ in range(4):
            await queue.finish()
        assert queue.begun[-2:] == ["a4", "a5"] and all(task.done() for task in queue.tasks.values())

    asyncio.run(script())


def test_one_user_never_has_all_turns() -> None:
    async def script() -> None:
        queue = Queue(at_once=3, at_once_of_user=2)
        await queue.ask("a1", "a2", "a3", "b1", "b2")
        assert queue.begun == ["a1", "a2", "b1"]
        await queue.finish()
        assert queue.begun[3:] == ["a3"], "as many as b, and longer ago"
        await queue.finish()
        assert queue.begun[4:] == ["b2"]
        await queue.finish()
        await queue.finish()
        await queue.finish()
        assert not queue.turns._running and not queue.turns._served

    asyncio.run(script())


def test_viewers_by_link_do_not_use_turns_of_its_owner() -> None:
    owner = SimpleNamespace(pk=7)
    session = Principal(owner, "session", address="192.0.2.1")  # type: ignore[arg-type]
    token = Principal(owner, "token", address="192.0.2.9")  # type: ignore[arg-type]
    strangers = [
        Principal(owner, "signed", address=address)  # type: ignore[arg-type]
        for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2")
    ]
    assert user_of(session) == user_of(token)
    assert len({user_of(session), *map(user_of, strangers)}) == 3


def test_one_user_may_wait_for_few_and_others_still_find_room() -> None:
    async def script() -> None:
        queue = Queue(at_once=1, of_user=3)
        await queue.ask("a1", "a2", "a3", "a4", "a5", "b1")
        assert list(queue.refused) == ["a5"]
        refused = queue.refused["a5"]
        assert refused.status == 429 and dict(refused.headers)[b"retry-after"] == b"1"
        await queue.finish()
        assert queue.begun == ["a1", "b1"]
        await queue.ask(*(f"{user}{n}" for user in "cdefg" for n in range(3)))
        assert queue.refused["g2"].status == 503
        while queue._holding:
            await queue.finish()
        assert len(queue.begun) + len(queue.refused) == 21

    asyncio.run(script())


def test_a_client_that_disconnects_blocks_nobody() -> None:
    async def script() -> None:
        queue = Queue(at_once=1)
        await queue.ask("a1", "b1", "c1", "d1")
        await queue.hang_up("b1")
        await queue.finish()
        await queue.hang_up("c1")
        assert queue.begun == ["a1", "c1", "d1"]
        await queue.finish()
        await queue.ask("e1")
        assert queue.begun[-1] == "e1" and not queue.turns._waiting and len(queue.turns._served) == 1
        await queue.finish()
        assert not queue.turns._running and not queue.turns._served

    asyncio.run(script())


def test_a_client_that_disconnects_when_its_turn_begins_gives_it_back() -> None:
    async def script() -> None:
        turns = Turns(1, max_waiting=2, max_waiting_of_user=2)

        async def wait() -> None:
            async with turns.turn("b"):
                raise AssertionError

        async with turns.turn("a"):
            waiting = asyncio.create_task(wait())
            await asyncio.sleep(0)
        waiting.cancel()  # its turn has begun, but it has not run since
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled() and not turns._running

    asyncio.run(script())
