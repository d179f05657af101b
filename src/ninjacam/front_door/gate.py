"""Limits the requests that Django serves at once. Waiting addresses, and the users of each address, take turns.

Django runs each request in a separate thread, and more than a few threads slow down the event loop and all streams.
"""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator

from ninjacam.problems import Problem

MAX_RUNNING = 12
MAX_RUNNING_PER_ADDRESS = 8
MAX_RUNNING_PER_USER = 6
"""The number of requests that a browser sends to a server at once (HTTP/1.1)."""
MAX_WAITING_PER_ADDRESS = 128
MAX_WAITING_PER_USER = 48
WAIT_S = 20.0


class Gate:
    """Thread: the event loop."""

    def __init__(self) -> None:
        self._running: Counter[str] = Counter()
        self._running_of_user: Counter[tuple[str, str]] = Counter()
        self._waiting: dict[str, dict[str, deque[asyncio.Future[None]]]] = {}
        """Waiting requests by address, then by user; the first key is next."""

    @contextlib.asynccontextmanager
    async def place(self, address: str, user: str) -> AsyncIterator["Place"]:
        """Wait for a slot. It is released on exit, or earlier by `Place.leave`.

        `user`: distinguishes the users of an address by their credentials, which are not verified yet. Raises:
        Problem 503.
        """
        await self._enter(address, user)
        place = Place(self, address, user)
        try:
            yield place
        finally:
            place.leave()

    async def _enter(self, address: str, user: str) -> None:
        if self._is_free(address, user):
            self._begin(address, user)
            return
        of_address = self._waiting.get(address, {})
        if (
            sum(map(len, of_address.values())) >= MAX_WAITING_PER_ADDRESS
            or len(of_address.get(user, ())) >= MAX_WAITING_PER_USER
        ):
            raise _busy()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(address, {}).setdefault(user, deque()).append(turn)
        try:
            async with asyncio.timeout(WAIT_S):
                await turn
        except BaseException as exc:
            # Its turn has just started: pass it to the next request.
            if turn.done() and not turn.cancelled():
                self.leave(address, user)
            else:
                self._forget(address, user, turn)
            if isinstance(exc, TimeoutError):
                raise _busy() from exc
            raise

    def _begin(self, address: str, user: str) -> None:
        self._running[address] += 1
        self._running_of_user[address, user] += 1

    def _forget(self, address: str, user: str, turn: "asyncio.Future[None]") -> None:
        users = self._waiting.get(address, {})
        queue = users.get(user)
        if queue is not None and turn in queue:
            queue.remove(turn)
            self._forget_empty(address, user)

    def _forget_empty(self, address: str, user: str) -> None:
        if not self._waiting[address][user]:
            del self._waiting[address][user]
        if not self._waiting[address]:
            del self._waiting[address]

    def _is_free(self, address: str, user: str) -> bool:
        return (
            self._running.total() < MAX_RUNNING
            and self._running[address] < MAX_RUNNING_PER_ADDRESS
            and self._running_of_user[address, user] < MAX_RUNNING_PER_USER
        )

    def leave(self, address: str, user: str) -> None:
        self._running[address] -= 1
        if not self._running[address]:
            del self._running[address]
        self._running_of_user[address, user] -= 1
        if not self._running_of_user[address, user]:
            del self._running_of_user[address, user]
        for waiting_address, users in self._waiting.items():
            for waiting_user in users:
                if self._is_free(waiting_address, waiting_user):
                    self._begin_next(waiting_address, waiting_user)
                    return

    def _begin_next(self, address: str, user: str) -> None:
        """Admit the first request of this user, and move the address, and the user within it, to the end of the
        queues."""
        users = self._waiting[address] = self._waiting.pop(address)
        queue = users[user] = users.pop(user)
        self._begin(address, user)
        queue.popleft().set_result(None)
        self._forget_empty(address, user)


class Place:
    def __init__(self, gate: Gate, address: str, user: str) -> None:
        self._gate = gate
        self._key = (address, user)
        self._left = False

    def leave(self) -> None:
        """Idempotent."""
        if not self._left:
            self._left = True
            self._gate.leave(*self._key)


def _busy() -> Problem:
    text = "Too many requests are waiting. Try again in a moment."
    return Problem(503, "busy", text, ((b"retry-after", b"2"),))
