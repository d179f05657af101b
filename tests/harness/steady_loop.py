"""An event loop whose time stops while the machine is busy, and a clock that reads it.

Cameras and capture that share such a loop behave the same on a busy machine: none falls behind, and frames do not
arrive in bursts because the process was not scheduled. Do not wait for other processes or threads with a deadline of
this loop.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _WaitingSelector(selectors.DefaultSelector):
    """`waited_s`: total waiting time of the loop. A wait that returns late counts as the requested time."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = time.monotonic()
        events = super().select(timeout)
        took_s = time.monotonic() - started_s
        self.waited_s += took_s if timeout is None else min(took_s, max(0, timeout))
        return events


class SteadyLoop(asyncio.SelectorEventLoop):
    """Its time advances while it waits, and stops while callbacks run."""

    def __init__(self) -> None:
        self._selector = _WaitingSelector()
        self._started_s = time.monotonic()
        super().__init__(self._selector)

    def time(self) -> float:
        return self._started_s + self._selector.waited_s


def run_steadily(main: Coroutine[Any, Any, _T]) -> _T:
    """Run `asyncio.run` in a `SteadyLoop`."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)


class LoopClock:
    """A `Clock` of the running event loop."""

    def __init__(self) -> None:
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()
        self._loop = asyncio.get_running_loop()

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1e9)

    def wall_ns(self) -> int:
        return self.monotonic_ns() + self._wall_offset_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
