"""The event loop's side of recording a camera: collects packets, and hands them on about once a second.

Not here: anything that blocks (`ninjacam.recordings.writer`).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet, Track
from ninjacam.recordings.fragments import DEFAULT_TICKS, dts_of

FRAGMENT_TICKS = VIDEO_CLOCK_HZ
"""No fragment is longer, so that no more is lost when this process is killed."""
LEAST_TICKS = VIDEO_CLOCK_HZ // 2
"""Key frames that come closer share a fragment."""
GAP_TICKS = VIDEO_CLOCK_HZ
"""A DISCONT that leaves out more than this begins a new file."""
ALWAYS_GAP_TICKS = 10 * VIDEO_CLOCK_HZ
MOST_COLLECTED_BYTES = 32 << 20
"""Of one fragment: 250 Mbit/s."""


@dataclass(frozen=True, slots=True)
class Job:
    """Packets of one fragment, the first of them video. `end_dts`: of the picture after it, None where unknown.

    `before_key`: that one is a key frame. `after_gap`: something before it is missing. `sound`: the camera's track.
    """

    packets: tuple[Packet, ...]
    end_dts: int | None
    before_key: bool
    after_gap: bool
    size_bytes: int
    sound: Track | None


class Recorder:
    """Takes a camera's packets, in the order of decoding. Thread: the event loop.

    `hand_on(job)`: whether there was room for it. `on_close()`: no more will come. `state()` for `status`.
    """

    def __init__(
        self,
        *,
        hand_on: Callable[[Job], bool],
        on_close: Callable[[], None],
        state: Callable[[], dict[str, Any]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hand_on = hand_on
        self._on_close = on_close
        self._state = state
        self._clock = clock
        self._sound: Track | None = None
        self._packets: list[Packet] = []
        self._size_bytes = 0
        self._first_dts = self._last_dts = 0
        self._starts_with_key = False
        self._after_gap = True
        self._closed = False
        self.dropped = 0
        """Packets that were not handed on, because the disk is too slow."""

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """The camera is connected (anew)."""
        self.flush()
        self._sound = next((track for track in tracks if track.kind is Kind.AUDIO), None)

    def add(self, packet: Packet) -> None:
        if not packet.captured_ns:
            packet = replace(packet, captured_ns=self._wall_ns(packet))
        if packet.kind is not Kind.VIDEO:
            if self._packets:
                self._collect(packet)
            return
        dts = dts_of(packet)
        if self._packets:
            self._cut_before(packet, dts)
        if not self._packets:
            self._first_dts = dts
            self._starts_with_key = packet.is_key
        self._last_dts = dts
        self._collect(packet)

    def _cut_before(self, packet: Packet, dts: int) -> None:
        step = dts - self._last_dts
        if (packet.flags & Flags.DISCONT and step > GAP_TICKS) or not 0 <= step <= ALWAYS_GAP_TICKS:
            self._emit(None)
            self._after_gap = True
            return
        length = dts - self._first_dts
        if (
            length + (packet.duration or DEFAULT_TICKS) > FRAGMENT_TICKS
            or packet.flags & (Flags.DISCONT | Flags.CONFIG)
            or (packet.is_key and (length >= LEAST_TICKS or not self._starts_with_key))
            or self._size_bytes > MOST_COLLECTED_BYTES
        ):
            self._emit(dts, before_key=packet.is_key)

    def flush(self) -> None:
        """The camera is gone for now: what was collected is written, and what comes next stands by itself."""
        if self._packets:
            self._emit(None)
        self._after_gap = True

    def close(self) -> None:
        """Idempotent. The last file is whole once the writer has got to it."""
        if not self._closed:
            self._closed = True
            self.flush()
            self._on_close()

    def status(self) -> dict[str, Any]:
        """{"state": "waiting"|"recording"|"failing", "error", "size_bytes", "dropped"}."""
        return {**self._state(), "dropped": self.dropped}

    def _collect(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._size_bytes += len(packet.data)

    def _emit(self, end_dts: int | None, *, before_key: bool = False) -> None:
        job = Job(tuple(self._packets), end_dts, before_key, self._after_gap, self._size_bytes, self._sound)
        self._packets = []
        self._size_bytes = 0
        self._after_gap = False
        if not self._hand_on(job):
            self.dropped += len(job.packets)
            self._after_gap = True

    def _wall_ns(self, packet: Packet) -> int:
        return self._clock.wall_ns() - max(0, self._clock.monotonic_ns() - packet.received_ns)
