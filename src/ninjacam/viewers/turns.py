"""Lets users take turns at a scarce resource, so that no user waits for all requests of another user."""

import asyncio
import contextlib
from collections import Counter, deque
from collections.abc import AsyncIterator, Hashable
from typing import TYPE_CHECKING

from ninjacam.problems import Problem
from ninjacam.throttle import network_of

if TYPE_CHECKING:
    from ninjacam.auth import Principal


def user_of(who: "Principal") -> Hashable:
    """Return the key under which a user's turns are counted. Viewers with a link are counted by network, not under
    the user who created the link."""
    return (who.user.pk, network_of(who.address) if who.source == "signed" else None)


class Turns:
    """Limits concurrent turns to `at_once`, and `at_once_of_user` per user. At most `max_waiting` requests wait for
    a turn, and `max_waiting_of_user` per user.

    The next turn goes to the user with the fewest running ones, and among these to the one served longest ago. One
    event loop.
    """

    def __init__(
        self, at_once: int, *, max_waiting: int, max_waiting_of_user: int, at_once_of_user: int | None = None
    ) -> None:
        self._at_once = at_once
        self._at_once_of_user = at_once if at_once_of_user is None else at_once_of_user
        self._max_waiting = max_waiting
        self._max_waiting_of_user = max_waiting_of_user
        self._running: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}
        self._served: dict[Hashable, int] = {}
        """Sequence number of the latest turn of each user who has one or waits for one."""
        self._number = 0

    @contextlib.asynccontextmanager
    async def turn(self, user: Hashable) -> AsyncIterator[None]:
        """Wait for a turn, and end it on exit. Raises: Problem 429: this user has too many waiting requests; 503:
        all users have."""
        if user not in self._waiting and self._is_free(user):
            self._begin(user)
        else:
            await self._wait(user)
        try:
            yield
        finally:
            self._end(user)

    async def _wait(self, user: Hashable) -> None:
        if len(self._waiting.get(user, ())) >= self._max_waiting_of_user:
            raise _limit(
                429, "You have requested too many frames at once. Wait for some of them, then try again."
            )
        if sum(map(len, self._waiting.values())) >= self._max_waiting:
            raise _limit(503, "Too many frames are being decoded. Try again in a moment.")
        place = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(user, deque()).append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # Its turn had just started.
                self._end(user)
            else:
                self._forget(user, place)
            raise

    def _begin(self, user: Hashable) -> None:
        self._running[user] += 1
        self._number += 1
        self._served[user] = self._number

    def _end(self, user: Hashable) -> None:
        self._running[user] -= 1
        if not self._running[user]:
            del self._running[user]
        self._begin_next()
        self._forget_served(user)

    def _begin_next(self) -> None:
        while free := [user for user in self._waiting if self._is_free(user)]:
            user = min(free, key=lambda each: (self._running[each], self._served.get(each, 0)))
            places = self._waiting[user]
            place = places.popleft()
            if not places:
                del self._waiting[user]
            if not place.done():
                self._begin(user)
                place.set_result(None)

    def _is_free(self, user: Hashable) -> bool:
        return self._running.total() < self._at_once and self._running[user] < self._at_once_of_user

    def _forget_served(self, user: Hashable) -> None:
        if user not in self._running and user not in self._waiting:
            self._served.pop(user, None)

    def _forget(self, user: Hashable, place: "asyncio.Future[None]") -> None:
        places = self._waiting.get(user)
        if places is not None:
            with contextlib.suppress(ValueError):
                places.remove(place)
            if not places:
                del self._waiting[user]
        self._forget_served(user)


def _limit(status: int, detail: str) -> Problem:
    return Problem(status, "limit", detail, ((b"retry-after", b"1"),))
