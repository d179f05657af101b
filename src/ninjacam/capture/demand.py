"""Decides whether a stream has to be connected."""

import asyncio

from ninjacam.core.clock import Clock

LINGER_S = 5.0
"""Seconds that a stream stays connected without use, so that reloading a page does not reconnect it."""


class StreamDemand:
    """The need for one stream: always, or while it is used and LINGER_S longer. Thread: the event loop.

    A stream is used while its socket has subscribers, or a sink records it and `recording_counts`.
    """

    def __init__(self, *, always: bool, clock: Clock) -> None:
        self.recording_counts = True
        """Whether recording alone is a reason to connect the stream."""
        self.misses = 0
        """Unsuccessful attempts to reach a camera that sleeps, since something needs it."""
        self.failures = 0
        """Errors since the last frame that are not retried at once."""
        self._always = always
        self._clock = clock
        self._used = False
        self._left_ns = clock.monotonic_ns() - int(LINGER_S * 1e9)
        self._changed = asyncio.Event()

    def meet(self) -> None:
        """The stream has delivered a frame."""
        self.misses = self.failures = 0

    def update(self, *, has_subscribers: bool, is_recorded: bool) -> None:
        """Call whenever a subscriber or sink comes or leaves, or `recording_counts` changes."""
        used = has_subscribers or (is_recorded and self.recording_counts)
        if self._used and not used:
            self._left_ns = self._clock.monotonic_ns()
        self._used = used
        if used:
            self._changed.set()

    @property
    def left_s(self) -> float:
        """Return for how many seconds the stream is still needed, if nothing changes; 0: it is not needed."""
        if self._always or self._used:
            return float("inf")
        return max(0.0, LINGER_S - (self._clock.monotonic_ns() - self._left_ns) / 1e9)

    async def wait_for_next(self) -> None:
        """Return when the next subscriber or sink comes."""
        self._changed.clear()
        await self._changed.wait()

    async def wait(self) -> None:
        """Return as soon as the stream is needed."""
        while not self.left_s:
            self._changed.clear()
            await self._changed.wait()
