"""Decides whether a stream has to be connected."""

import asyncio
import math

from ninjacam.core.clock import Clock

LINGER_S = 5.0
"""Seconds that an unused stream stays connected, so that reloading a page does not reconnect it."""


class StreamDemand:
    """The demand for one stream: permanent, or while it is used and LINGER_S longer. Thread: the event loop.

    A stream is used while its socket has subscribers, or while a recording that requires a connection uses it.
    """

    def __init__(self, *, always: bool, clock: Clock) -> None:
        self._record_until_ns = math.inf
        self.misses = 0
        """Unsuccessful attempts to reach a sleeping camera since it is needed."""
        self.failures = 0
        """Errors since the last frame that are not retried at once."""
        self._always = always
        self._clock = clock
        self._has_subscribers = self._is_recorded = False
        self._left_ns = clock.monotonic_ns() - int(LINGER_S * 1e9)
        self._changed = asyncio.Event()

    def meet(self) -> None:
        """Note that the stream has delivered a frame."""
        self.misses = self.failures = 0

    def update(
        self,
        *,
        has_subscribers: bool | None = None,
        is_recorded: bool | None = None,
        record_until_ns: float | None = None,
    ) -> None:
        """Set the given values.

        `record_until_ns`: wall-clock time until which recording alone requires a connection; inf: always.
        """
        was_used = self._used_s > 0
        if has_subscribers is not None:
            self._has_subscribers = has_subscribers
        if is_recorded is not None:
            self._is_recorded = is_recorded
        if record_until_ns is not None:
            self._record_until_ns = record_until_ns
        if self._used_s > 0:
            self._changed.set()
        elif was_used:
            self._left_ns = self._clock.monotonic_ns()

    @property
    def _used_s(self) -> float:
        """Return the seconds until the current use ends."""
        if self._always or self._has_subscribers:
            return math.inf
        return (self._record_until_ns - self._clock.wall_ns()) / 1e9 if self._is_recorded else 0.0

    @property
    def left_s(self) -> float:
        """Return the seconds for which the stream is still needed without a change; 0: it is not needed."""
        return max(0.0, self._used_s, LINGER_S - (self._clock.monotonic_ns() - self._left_ns) / 1e9)

    async def wait_for_next(self) -> None:
        """Return when the next subscriber or sink is added."""
        self._changed.clear()
        await self._changed.wait()

    async def wait(self) -> None:
        """Return as soon as the stream is needed."""
        while not self.left_s:
            self._changed.clear()
            await self._changed.wait()
