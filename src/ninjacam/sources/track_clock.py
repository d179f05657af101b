"""A camera's wall clock, for one track."""


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
