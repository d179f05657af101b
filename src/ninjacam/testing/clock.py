"""A clock that moves only when the test says so."""

import asyncio
import heapq
import itertools

_SETTLING_ROUNDS = 25
"""Turns of the event loop that woken tasks get: more than any chain of awaits without I/O between two sleeps needs."""


class FakeClock:
    """Implements `core.clock.Clock`. Starts at 1,000 s monotonic, 2026-01-01 00:00:00 UTC."""

    def __init__(
        self, *, monotonic_ns: int = 1_000_000_000_000, wall_ns: int = 1_767_225_600_000_000_000
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._wall_ns = wall_ns
        self._order = itertools.count()
        self._sleepers: list[tuple[int, int, asyncio.Future[None]]] = []

    def monotonic_ns(self) -> int:
        return self._monotonic_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._monotonic_ns + round(seconds * 1e9), next(self._order), future))
        await future

    @property
    def sleepers(self) -> int:
        """How many tasks sleep by this clock."""
        return sum(not future.done() for _, _, future in self._sleepers)

    def advance(self, seconds: float) -> None:
        """Advance both clocks and wake sleepers that are due, in order. They run when the caller awaits."""
        self._move_to(self._monotonic_ns + round(seconds * 1e9))

    async def run(self, seconds: float = 0.0) -> None:
        """Let `seconds` pass: each sleeper wakes at its own time, and runs to its next sleep before time continues."""
        await _settle()
        end_ns = self._monotonic_ns + round(seconds * 1e9)
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            self._move_to(self._sleepers[0][0])
            await _settle()
        self._move_to(end_ns)
        await _settle()

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back, as an operator or NTP does; the monotonic one stays."""
        self._wall_ns += round(seconds * 1e9)

    def _move_to(self, end_ns: int) -> None:
        end_ns = max(end_ns, self._monotonic_ns)
        self._wall_ns += end_ns - self._monotonic_ns
        self._monotonic_ns = end_ns
        while self._sleepers and self._sleepers[0][0] <= end_ns:
            future = heapq.heappop(self._sleepers)[2]
            if not future.done():
                future.set_result(None)


async def _settle() -> None:
    for _ in range(_SETTLING_ROUNDS):
        await asyncio.sleep(0)
