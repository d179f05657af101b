"""Limits how much a client may send."""

import time
from collections.abc import Callable


class Allowance:
    """A token bucket of messages, bytes, or whatever the caller counts. `per_s`: a second; `burst`: at once."""

    def __init__(
        self, per_s: float, burst: float, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_s = per_s
        self._burst = self._left = burst
        self._monotonic = monotonic
        self._at_s = monotonic()

    def take(self, count: float = 1) -> bool:
        """Return whether so many more are allowed. If not, they count anyway."""
        now_s = self._monotonic()
        self._left = min(self._burst, self._left + (now_s - self._at_s) * self._per_s) - count
        self._at_s = now_s
        return self._left >= 0
