"""A clock for the time limits of tests, which slows down while more threads are runnable than there are processors.

A limit of 2 s means 2 s on an idle machine. On a busy machine, a process gets only a share of the processors and needs
longer for the same work; on this clock it still needs 2 s. Use it for upper limits and timeouts. Measure lower limits
in real seconds.
"""

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_SAMPLE_S = 0.05
_LOAD = Path("/proc/loadavg")


class FairClock:
    """`real_s`: the underlying clock."""

    def __init__(self, real_s: Callable[[], float] = time.monotonic) -> None:
        self._real_s = real_s
        self._lock = threading.Lock()
        self._now_s = self._read_s = real_s()
        self._share = 1.0

    def now_s(self) -> float:
        return self._advance(None)

    def set_share(self, share: float) -> None:
        """Set the share of a processor that each runnable thread gets from now on."""
        self._advance(share)

    def _advance(self, share: float | None) -> float:
        with self._lock:
            read_s = self._real_s()
            self._now_s += (read_s - self._read_s) * self._share
            self._read_s = read_s
            if share is not None:
                self._share = share
            return self._now_s


def fair_share(load: str, processors: int) -> float:
    """Return the share of a processor that each runnable thread except the caller gets: 0 to 1.

    `load`: the content of /proc/loadavg.
    """
    runnable = int(load.split()[3].partition("/")[0]) - 1
    return min(1.0, processors / max(1, runnable))


@cache
def _clock() -> FairClock:
    clock = FairClock()
    threading.Thread(target=_follow_load, args=(clock,), name="fair-clock", daemon=True).start()
    return clock


def _follow_load(clock: FairClock) -> None:
    processors = len(os.sched_getaffinity(0))
    while True:
        clock.set_share(fair_share(_LOAD.read_text(), processors))
        time.sleep(_SAMPLE_S)


def fair_s() -> float:
    """Return the current time in seconds. Only differences are meaningful."""
    return _clock().now_s()


@asynccontextmanager
async def fair_timeout(seconds: float) -> AsyncIterator[None]:
    """Limit the block as `asyncio.timeout` does, on the fair clock. Raises: TimeoutError."""
    loop, deadline_s = asyncio.get_running_loop(), fair_s() + seconds
    timer: asyncio.TimerHandle

    def check() -> None:
        nonlocal timer
        left_s = deadline_s - fair_s()
        if left_s > 0:  # the machine was busy
            timer = loop.call_later(left_s, check)
        else:
            limit.reschedule(loop.time())

    async with asyncio.timeout(None) as limit:
        timer = loop.call_later(seconds, check)
        try:
            yield
        finally:
            timer.cancel()


@dataclass
class Spell:
    """Elapsed time in real seconds and on the fair clock."""

    real_s: float = 0.0
    fair_s: float = 0.0

    @property
    def slowdown(self) -> float:
        """Return the ratio of real time to time on the fair clock: 1 or more."""
        return self.real_s / self.fair_s


@contextmanager
def spell() -> Iterator[Spell]:
    """Measure the duration of the block. The result is complete when the block ends."""
    passed = Spell()
    real_s, begun_s = time.monotonic(), fair_s()
    try:
        yield passed
    finally:
        passed.real_s, passed.fair_s = time.monotonic() - real_s, fair_s() - begun_s
