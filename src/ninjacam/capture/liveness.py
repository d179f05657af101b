"""Determines how long a camera may be silent, and explains why it sends no frames."""

from collections import deque

from ninjacam.core.texts import gettext_noop, sentence
from ninjacam.sources.base import SourceStats

STALLED_AFTER_S = 2.0
"""Seconds without video after which the camera is reported as stalled. A camera with 1 fps is still live."""
LOST_AFTER_S = 4.5
"""Seconds without media after which the connection is closed, so that viewers are notified within 5 s."""
FIRST_MEDIA_S = 10.0
"""Maximum seconds without media, because some cameras send a frame only every few seconds."""
UNKNOWN_PACE_S = 15.0
"""Seconds that apply after the first frame, before the camera's pace is known."""
MAX_PATIENCE_S = 30.0
LOST_FACTOR, STALLED_FACTOR = 3.0, 2.0
"""Multiples of the usual frame interval after which a camera is stalled or lost."""


class Pace:
    """The intervals between a camera's frames. Kept across reconnects. Times are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._gaps_s: deque[float] = deque(maxlen=4)
        self._last_ns = 0
        self._frames = 0
        self._last_key_ns = 0
        self._trials = 0
        self._key_interval_s = 0.0

    def connected(self) -> None:
        """Begin a connection. Until a connection has delivered two frames, each gets more time than the previous
        one: sleeping cameras take 20 s to wake up, and some send a frame every half minute."""
        self._trials = self._trials + 1 if self._frames < 2 else 1
        self._last_ns = self._last_key_ns = self._frames = 0

    def add(self, received_ns: int, *, is_key: bool) -> None:
        if self._last_ns:
            gap_s = (received_ns - self._last_ns) / 1e9
            # Frames that are read together have no gap. Only unusually long intervals matter.
            if gap_s > 0.001:
                self._gaps_s.append(gap_s)
        self._last_ns = received_ns
        self._frames += 1
        if is_key:
            if self._last_key_ns:
                self._key_interval_s = (received_ns - self._last_key_ns) / 1e9
            self._last_key_ns = received_ns

    @property
    def key_interval_s(self) -> float:
        """Return the interval between the last two key frames of a connection, or the time since the last one if
        that is longer; 0: unknown."""
        since_key_s = (self._last_ns - self._last_key_ns) / 1e9 if self._last_key_ns else 0.0
        return max(self._key_interval_s, since_key_s)

    @property
    def has_frames(self) -> bool:
        """Return whether this connection has delivered frames."""
        return self._frames > 0

    def lost_after_s(self, *, has_media: bool) -> float:
        """Return the seconds without media after which the connection is closed."""
        if not has_media:
            return max(self._patience_s(FIRST_MEDIA_S), self._usual_s(LOST_FACTOR))
        if self._frames == 1:
            return max(self._patience_s(UNKNOWN_PACE_S), self._usual_s(LOST_FACTOR))
        return max(LOST_AFTER_S, self._usual_s(LOST_FACTOR))

    def stalled_after_s(self) -> float:
        return max(STALLED_AFTER_S, self._usual_s(STALLED_FACTOR))

    def _patience_s(self, first_s: float) -> float:
        return min(MAX_PATIENCE_S, first_s * max(1, self._trials))

    def _usual_s(self, factor: float) -> float:
        return min(MAX_PATIENCE_S, factor * max(self._gaps_s, default=0.0))


def describe_silence(stats: SourceStats, pace: Pace, *, has_media: bool) -> tuple[str, str]:
    """Return (code, sentence): the reason why a connected camera has delivered no frame."""
    if not has_media:
        return "no_media", gettext_noop("The camera is connected, but has sent no video yet.")
    if stats.keys_without_sets:
        return "no_frames", sentence(
            "Receiving data that does not form frames: %(count)s key frames came without their parameter sets.",
            count=stats.keys_without_sets,
        )
    if stats.frames_skipped:
        if pace.key_interval_s < 1:
            return "waiting_for_key_frame", gettext_noop("Waiting for a key frame.")
        return "waiting_for_key_frame", sentence(
            "Waiting for a key frame (interval about %(s)s s).", s=f"{pace.key_interval_s:.0f}"
        )
    if stats.access_units_dropped:
        dropped, lost = stats.access_units_dropped, stats.packets_lost
        if not lost:
            return "no_frames", sentence(
                "Receiving data that does not form frames: %(dropped)s frames were incomplete or malformed.",
                dropped=dropped,
            )
        return "no_frames", sentence(
            "Receiving data that does not form frames: %(dropped)s frames were incomplete or malformed, %(lost)s "
            "packets lost.",
            dropped=dropped,
            lost=lost,
        )
    if stats.packets_ignored:
        return "no_frames", sentence(
            "Receiving data that does not form frames: %(count)s packets were not of the announced format or source.",
            count=stats.packets_ignored,
        )
    return "no_frames", gettext_noop(
        "Receiving data that does not form frames: no frame has begun or ended yet."
    )
