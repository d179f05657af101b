"""The two clocks, behind one interface that tests can replace.

`monotonic_ns` measures ages and deadlines on this host; `wall_ns` is the time of day. Never mix them.
"""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    def monotonic_ns(self) -> int:
        """Return CLOCK_MONOTONIC in nanoseconds: comparable between the processes of one host, never set back."""

    def wall_ns(self) -> int:
        """Return nanoseconds since 1970-01-01 UTC. An operator or NTP may step this clock."""

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


TICK_SLACK_NS = 5_000_000
"""A timer may end up to this much early: event loops count in milliseconds."""


def until_tick_s(period_s: float, clock: Clock) -> float:
    """Return the seconds until the next multiple of `period_s` on the monotonic clock.

    Periodic tasks that use it wake their process at the same moments. A tick that is less than TICK_SLACK_NS
    away counts as already processed.
    """
    period_ns = int(period_s * 1e9)
    return (period_ns - (clock.monotonic_ns() + TICK_SLACK_NS) % period_ns + TICK_SLACK_NS) / 1e9
