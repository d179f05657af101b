"""The wall clock of a camera for one track, and its offset from this host's clock."""

EARLIEST_NS = 946_598_400_000_000_000
"""1999-12-31 UTC. An earlier time is not a time of day: RFC 3550 (section 6.4.1) allows cameras without a clock to
send 0 or the time since their start. Cameras that were never set begin at 2000-01-01, local time.
"""
MAX_AHEAD_NS = 366 * 86_400 * 1_000_000_000
"""Maximum lead in ns. A time that is further in the future is invalid, or our clock is not set."""
MAX_STEP_S = 1.0
"""Maximum difference between two consecutive reports of a clock that can be compared."""


class ClockOffset:
    """Compares the clocks of a camera and of this host. `seconds`: how far the camera's clock is ahead; None:
    unknown, or its last two reports disagree."""

    __slots__ = ("_last_s", "seconds")

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._last_s: float | None = None

    def update(self, camera_ns: int, own_ns: int) -> None:
        """Add a report. `camera_ns`, `own_ns`: the wall clocks at the same moment."""
        last_s, self._last_s, self.seconds = self._last_s, None, None
        if EARLIEST_NS <= camera_ns <= own_ns + MAX_AHEAD_NS:
            self._last_s = (camera_ns - own_ns) / 1e9
            if last_s is not None and abs(self._last_s - last_s) <= MAX_STEP_S:
                self.seconds = self._last_s


class TrackClock:
    """The camera's wall clock for one track, from its latest sender report."""

    __slots__ = ("_hz", "_pts", "_wall_ns")

    def __init__(self, clock_hz: int) -> None:
        self._hz = clock_hz
        self._pts = 0
        self._wall_ns = 0

    def set(self, pts: int, wall_ns: int) -> None:
        self._pts, self._wall_ns = pts, wall_ns

    def captured_ns(self, pts: int) -> int:
        """Return nanoseconds since 1970 by the camera's clock; 0 before its first report."""
        if self._wall_ns <= 0:
            return 0
        return max(0, self._wall_ns + (pts - self._pts) * 1_000_000_000 // self._hz)
