"""Limits how often a client may send messages."""

import time
from collections.abc import Callable


class Allowance:
    """A token bucket. `per_s`: messages a second; `burst`: at once."""

    def __init__(
        self, per_s: float, burst: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._monotonic = monotonic
        self._at_s = monotonic()

    def take(self) -> bool:
        """Return whether another message is allowed."""
        now_s = self._monotonic()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s) - 1
        self._at_s = now_s
        return self._left >= 0
