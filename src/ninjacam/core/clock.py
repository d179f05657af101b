"""The two clocks, behind one interface that tests replace.

`monotonic_ns` measures ages and deadlines on this host; `wall_ns` says when something happened. Never mix them.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def monotonic_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC: comparable between the processes of one host, never set back."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970-01-01 UTC; may be stepped by an operator or NTP."""

    async def sleep(self, seconds: float) -> None:
        """Suspend the calling task."""


class SystemClock:
    def monotonic_ns(self) -> int:
        return time.monotonic_ns()

    def wall_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
