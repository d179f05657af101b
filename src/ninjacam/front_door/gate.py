"""How many requests Django serves at once, with turns between the addresses that wait.

Django runs each request in a thread of its own; more of them than a few slow the event loop, and with it every stream.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator

from ninjacam.front_door.problems import Problem

MAX_RUNNING = 12
MAX_RUNNING_PER_ADDRESS = 8
MAX_WAITING_PER_ADDRESS = 64
WAIT_S = 20.0


class Gate:
    """Thread: the event loop."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """By group; the first key is the next one's turn."""

    @contextlib.asynccontextmanager
    async def place(self, group: str) -> AsyncIterator["Place"]:
        """Wait for a place; it is given back at the end, or earlier by `Place.leave`. Raises: Problem 503."""
        await self._enter(group)
        place = Place(self, group)
        try:
            yield place
        finally:
            place.leave()

    async def _enter(self, group: str) -> None:
        if self._is_free(group):
            self._running[group] += 1
            return
        queue = self._waiting.setdefault(group, deque())
        if len(queue) >= MAX_WAITING_PER_ADDRESS:
            raise _busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled():  # its turn came in the same moment: the next one has it
                self.leave(group)
            else:
                self._forget(group, turn)
            if isinstance(exc, TimeoutError):
                raise _busy() from exc
            raise

    def _forget(self, group: str, turn: "asyncio.Future[None]") -> None:
        queue = self._waiting.get(group)
        if queue is not None and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._waiting[group]

    def _is_free(self, group: str) -> bool:
        return self._running.total() < MAX_RUNNING and self._running[group] < MAX_RUNNING_PER_ADDRESS

    def leave(self, group: str) -> None:
        self._running[group] -= 1
        if not self._running[group]:
            del self._running[group]
        for waiting in list(self._waiting):
            if not self._is_free(waiting):
                continue
            queue = self._waiting.pop(waiting)
            self._running[waiting] += 1
            queue.popleft().set_result(None)
            if queue:
                self._waiting[waiting] = queue  # behind the others
            return


class Place:
    def __init__(self, gate: Gate, group: str) -> None:
        self._gate = gate
        self._group = group
        self._left = False

    def leave(self) -> None:
        """Idempotent."""
        if not self._left:
            self._left = True
            self._gate.leave(self._group)


def _busy() -> Problem:
    text = "Too many requests are waiting; try again in a moment."
    return Problem(503, "busy", text, ((b"retry-after", b"2"),))
