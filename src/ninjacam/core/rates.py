"""Rate limits: token buckets. In memory, so each process counts separately."""

import threading
from collections import OrderedDict
from collections.abc import Hashable

from ninjacam.core.clock import SYSTEM_CLOCK, Clock

MAX_KEYS = 10_000
"""Maximum number of buckets. The least recently used one, which is usually full again, is dropped first."""


class RateLimit:
    """Allows each key a burst of `burst` operations, and `per_minute` in the long run. Thread: any."""

    def __init__(self, per_minute: float, burst: int, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._per_s = per_minute / 60
        self._burst = burst
        self._clock = clock
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()
        """Key -> (tokens left, monotonic time in ns of that count)."""

    def take(self, key: Hashable) -> float:
        """Return 0 and count the operation if it is allowed, else the seconds to wait."""
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            tokens, since_ns = self._buckets.pop(key, (float(self._burst), now_ns))
            tokens = min(self._burst, tokens + (now_ns - since_ns) / 1e9 * self._per_s)
            allowed = tokens >= 1
            self._buckets[key] = (tokens - allowed, now_ns)
            if len(self._buckets) > MAX_KEYS:
                self._buckets.popitem(last=False)
            return 0.0 if allowed else (1 - tokens) / self._per_s
