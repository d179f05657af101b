"""An event loop whose time does not run while the machine is busy, and a clock that reads it.

Cameras and capture that share such a loop behave the same beside any neighbour: nobody falls behind, and no picture
bunches with others because the process was not scheduled. Not for what other processes or threads are waited for with
a deadline of this loop.
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


class _WaitingSelector(selectors.DefaultSelector):
    """`waited_s`: how long the loop has waited. A wait that returns late counts as long as was asked for."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        started_s = time.monotonic()
        events = super().select(timeout)
        took_s = time.monotonic() - started_s
        self.waited_s += took_s if timeout is None else min(took_s, max(0, timeout))
        return events


class SteadyLoop(asyncio.SelectorEventLoop):
    """Its time runs while it waits, and stands still while callbacks run."""

    def __init__(self) -> None:
        self._selector = _WaitingSelector()
        self._started_s = time.monotonic()
        super().__init__(self._selector)

    def time(self) -> float:
        return self._started_s + self._selector.waited_s


def run_steadily(main: Coroutine[Any, Any, _T]) -> _T:
    """`asyncio.run` in a `SteadyLoop`."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        return runner.run(main)


class LoopClock:
    """A `Clock` of the running event loop, whichever that is."""

    def __init__(self) -> None:
        self._wall_offset_ns = time.time_ns() - time.monotonic_ns()
        self._loop = asyncio.get_running_loop()

    def monotonic_ns(self) -> int:
        return int(self._loop.time() * 1e9)

    def wall_ns(self) -> int:
        return self.monotonic_ns() + self._wall_offset_ns

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
