"""Detects whether a camera's clock runs at the rate of this host's clock. docs/design/0001-time.md."""

from collections import deque

WINDOW_NS = 400_000_000
MIN_FRAMES = 3
"""Minimum number of frames in a window. The smallest delays of windows are compared, because jitter only increases
delays."""
MIN_RATE = 0.001
"""Rate reported for a clock that stands still or runs backwards."""
_SPANS = ((2, 0.5), (5, 0.25), (12, 0.25), (25, 0.3), (75, 0.66))
"""(windows, seconds that the clock may gain or lose over them): 2 % plus what the network may add. The first entry
detects a clock in the wrong unit within a second and a half.
"""


class ClockRate:
    """`rate`: camera seconds per second; valid once `update` has returned True."""

    def __init__(self, clock_hz: int) -> None:
        self._hz = clock_hz
        self.rate = 1.0
        self.reset()

    def reset(self) -> None:
        """Restart after a jump of the camera's clock."""
        self._windows: deque[tuple[int, int]] = deque(maxlen=_SPANS[-1][0] + 1)
        self._ends_ns = 0
        self._frames = 0
        self._smallest_ns = 0
        self._smallest_at_ns = 0
        self.reference_ns = 0
        """The delay (arrival - camera time) at which the detected deviation started."""

    def update(self, pts: int, received_ns: int) -> bool:
        """Add a packet. Return whether it shows that the camera's clock runs more than 2 % fast or slow."""
        delay_ns = received_ns - pts * 1_000_000_000 // self._hz
        if not self._frames or delay_ns < self._smallest_ns:
            self._smallest_ns, self._smallest_at_ns = delay_ns, received_ns
        if not self._ends_ns:
            self._ends_ns = received_ns + WINDOW_NS
        self._frames += 1
        if received_ns < self._ends_ns or self._frames < MIN_FRAMES:
            return False
        self._windows.append((self._smallest_at_ns, self._smallest_ns))
        self._ends_ns, self._frames = received_ns + WINDOW_NS, 0
        return self._compare()

    def _compare(self) -> bool:
        windows = self._windows
        found = False
        for count, allowed_s in _SPANS:
            if count >= len(windows):
                break
            (from_ns, before_ns), (_, middle_ns), (until_ns, after_ns) = (
                windows[-1 - count], windows[-1 - count // 2], windows[-1],
            )  # fmt: skip
            gained_ns, elapsed_ns = after_ns - before_ns, until_ns - from_ns
            steady = min(before_ns, after_ns) < middle_ns < max(before_ns, after_ns)
            if steady and abs(gained_ns) > allowed_s * 1e9 and elapsed_ns > 0:
                self.rate = max(MIN_RATE, (elapsed_ns - gained_ns) / elapsed_ns)
                self.reference_ns = before_ns
                found = True
        return found
