"""Cuts a camera's packets into fragments. Not here: the choice of fragments to keep (`ninjacam.recordings.ring`)."""

from collections.abc import Callable
from dataclasses import dataclass

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet, Track
from ninjacam.recordings.fragments import DEFAULT_TICKS, dts_of

FRAGMENT_TICKS = VIDEO_CLOCK_HZ
"""Maximum length of a fragment, and therefore of the loss if this process is killed."""
MIN_TICKS = VIDEO_CLOCK_HZ // 2
"""Key frames at shorter intervals share a fragment."""
GAP_TICKS = VIDEO_CLOCK_HZ
"""A DISCONT that skips more than this begins a new file."""
ALWAYS_GAP_TICKS = 10 * VIDEO_CLOCK_HZ
MAX_COLLECTED_BYTES = 32 << 20
"""Maximum size of one fragment: 250 Mbit/s."""
MAX_ANNOTATION_BYTES = 256 << 10
"""Maximum size of one fragment's annotations: 40 boxes on each of 100 frames. Further ones are dropped."""


@dataclass(frozen=True, slots=True)
class Job:
    """Packets of one fragment, starting with video. `end_dts`: time of the frame after it, None if unknown.

    `before_key`: that frame is a key frame. `after_gap`: data before the fragment is missing. `sound`: the camera's
    audio track. `annotations`: (pts, encoded set) received meanwhile, for these or slightly earlier frames.
    """

    packets: tuple[Packet, ...]
    end_dts: int | None
    before_key: bool
    after_gap: bool
    size_bytes: int
    sound: Track | None
    annotations: tuple[tuple[int, bytes], ...] = ()


class FragmentCutter:
    """Collects packets in decoding order. `on_job(job)`: receives each complete fragment. Thread: the event loop."""

    def __init__(self, on_job: Callable[[Job], None]) -> None:
        self.sound: Track | None = None
        self.annotations_dropped = 0
        """Number of frames whose annotations were dropped, because they had too many."""
        self._on_job = on_job
        self._packets: list[Packet] = []
        self._annotations: list[tuple[int, bytes]] = []
        self._size_bytes = self._annotation_bytes = 0
        self._first_dts = self._last_dts = 0
        self._starts_with_key = False
        self._after_gap = True

    def add(self, packet: Packet) -> None:
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

    def annotate(self, packet: Packet) -> None:
        size_bytes = self._annotation_bytes + len(packet.data) + 1
        if size_bytes > MAX_ANNOTATION_BYTES:
            self.annotations_dropped += 1
            return
        self._annotation_bytes = size_bytes
        self._annotations.append((packet.pts, packet.data))

    def flush(self) -> None:
        """Emit the collected packets as a fragment, because the camera has disconnected. A gap follows."""
        if self._packets:
            self._emit(None)
        self._after_gap = True

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
            or (packet.is_key and (length >= MIN_TICKS or not self._starts_with_key))
            or self._size_bytes > MAX_COLLECTED_BYTES
        ):
            self._emit(dts, before_key=packet.is_key)

    def _collect(self, packet: Packet) -> None:
        self._packets.append(packet)
        self._size_bytes += len(packet.data)

    def _emit(self, end_dts: int | None, *, before_key: bool = False) -> None:
        job = Job(
            tuple(self._packets),
            end_dts,
            before_key,
            self._after_gap,
            self._size_bytes + self._annotation_bytes,
            self.sound,
            tuple(self._annotations),
        )
        self._packets, self._annotations = [], []
        self._size_bytes = self._annotation_bytes = 0
        self._after_gap = False
        self._on_job(job)
