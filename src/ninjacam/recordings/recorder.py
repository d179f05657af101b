"""The event loop part of recording a camera: collects packets, and passes those to keep about once a second.

Not here: blocking operations (`ninjacam.recordings.writer`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Kind, Packet, Track
from ninjacam.recordings.cutter import FragmentCutter, Job
from ninjacam.recordings.ring import EventRing

MAX_RECENT = 256
"""Number of frames for which annotations may still arrive: 10 s at 25 fps."""
NEAR_TICKS = VIDEO_CLOCK_HZ // 20
"""Frames of two streams within this interval show the same moment."""


class Recorder:
    """Receives a camera's packets, in decoding order. Thread: the event loop. Keeps all, until `keep` selects some.

    `hand_on(job)`: returns whether there was space for it. `end_file()`: later jobs belong to a new file. `state()`:
    for `status`.
    """

    def __init__(
        self,
        *,
        hand_on: Callable[[Job], bool],
        end_file: Callable[[], None],
        state: Callable[[], dict[str, Any]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._state = state
        self._clock = clock
        self._ring = EventRing(hand_on, end_file)
        self._cutter = FragmentCutter(self._ring.add)
        self._recent: deque[tuple[int, int]] = deque(maxlen=MAX_RECENT)
        """(pts, wall clock in ns) of the last frames."""
        self._closed = False

    def keep(self, windows: Sequence[tuple[int, int]] | None, before_s: float = 0) -> None:
        """Set the windows to keep, as in `EventRing.keep`."""
        self._ring.keep(windows, before_s, now_ns=self._clock.monotonic_ns(), wall_ns=self._clock.wall_ns())

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """Note that the camera is connected, possibly again."""
        self.flush()
        self._cutter.sound = next((track for track in tracks if track.kind is Kind.AUDIO), None)

    def add(self, packet: Packet) -> None:
        if not packet.captured_ns:
            packet = packet._replace(captured_ns=self._wall_ns(packet))
        if packet.kind is Kind.VIDEO:
            self._recent.append((packet.pts, packet.captured_ns))
        self._cutter.add(packet)

    def annotate(self, packet: Packet) -> None:
        """Add annotations. Those of another stream get the `pts` of the frame that was captured at the same time."""
        if self._recent and not any(pts == packet.pts for pts, _ in reversed(self._recent)):
            pts, captured_ns = min(self._recent, key=lambda frame: abs(frame[1] - packet.captured_ns))
            away = (packet.captured_ns - captured_ns) * VIDEO_CLOCK_HZ // 1_000_000_000
            packet = packet._replace(pts=pts if abs(away) < NEAR_TICKS else pts + away)
        self._cutter.annotate(packet)

    def flush(self) -> None:
        """Write the collected packets, because the camera is disconnected. Later packets are independent."""
        self._cutter.flush()

    def close(self) -> None:
        """Idempotent. The last file is complete once the writer has processed it."""
        if not self._closed:
            self._closed = True
            self.flush()
            self._ring.end()

    def status(self) -> dict[str, Any]:
        """Return "state" (waiting, recording or failing), "error", "size_bytes" and the values of
        `EventRing.status`."""
        return {
            **self._state(),
            **self._ring.status(),
            "annotations_dropped": self._cutter.annotations_dropped,
        }

    def _wall_ns(self, packet: Packet) -> int:
        return self._clock.wall_ns() - max(0, self._clock.monotonic_ns() - packet.received_ns)
