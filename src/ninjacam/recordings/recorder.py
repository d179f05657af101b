"""The event loop's side of recording a camera: collects packets, and hands on about once a second what is to be kept.

What is not to be kept waits a while in a ring, from key frame to key frame: an event is heard of after it has begun.
Not here: anything that blocks (`ninjacam.recordings.writer`).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet, Track
from ninjacam.recordings.fragments import DEFAULT_TICKS, dts_of

FRAGMENT_TICKS = VIDEO_CLOCK_HZ
"""No fragment is longer, so that no more is lost when this process is killed."""
MIN_TICKS = VIDEO_CLOCK_HZ // 2
"""Key frames that come closer share a fragment."""
GAP_TICKS = VIDEO_CLOCK_HZ
"""A DISCONT that leaves out more than this begins a new file."""
ALWAYS_GAP_TICKS = 10 * VIDEO_CLOCK_HZ
MAX_COLLECTED_BYTES = 32 << 20
"""Of one fragment: 250 Mbit/s."""
MAX_ANNOTATION_BYTES = 256 << 10
"""Of one fragment: 40 boxes on each of 100 pictures. What is more is left out."""
MAX_RING_BYTES = 32 << 20
"""Of a camera: 15 s of 16 Mbit/s."""
LATENCY_NS = 5 * 10**9
"""The ring holds so much more than the pre-roll: an event comes here by way of the database and the engine."""
ALWAYS = ((0, 1 << 63),)


@dataclass(frozen=True, slots=True)
class Job:
    """Packets of one fragment, the first of them video. `end_dts`: of the picture after it, None where unknown.

    `before_key`: that one is a key frame. `after_gap`: something before it is missing. `sound`: the camera's track.
    `annotations`: (pts, encoded set) received meanwhile, for frames up to some time before.
    """

    packets: tuple[Packet, ...]
    end_dts: int | None
    before_key: bool
    after_gap: bool
    size_bytes: int
    sound: Track | None
    annotations: tuple[tuple[int, bytes], ...] = ()


class _Group:
    """Fragments from a key frame up to the next: what is kept or not as a whole, for no part of it can be seen alone.

    Times: wall clock. `received_ns`: monotonic, of its first packet. `wanted`: once so, for good.
    """

    __slots__ = ("end_ns", "jobs", "received_ns", "start_ns", "wanted")

    def __init__(self, job: Job) -> None:
        self.jobs: deque[Job] = deque()
        self.received_ns = job.packets[0].received_ns
        self.start_ns = self.end_ns = job.packets[0].captured_ns
        self.wanted = False

    def add(self, job: Job) -> None:
        self.jobs.append(job)
        for packet in job.packets:
            if packet.kind is Kind.VIDEO:
                ticks = packet.duration or DEFAULT_TICKS
                self.end_ns = max(self.end_ns, packet.captured_ns + ticks * 1_000_000_000 // VIDEO_CLOCK_HZ)


class Recorder:
    """Takes a camera's packets, in the order of decoding. Thread: the event loop. Keeps all, until `keep` says which.

    `hand_on(job)`: whether there was room for it. `end_file()`: what follows, if anything does, belongs to a new file.
    `state()` for `status`.
    """

    def __init__(
        self,
        *,
        hand_on: Callable[[Job], bool],
        end_file: Callable[[], None],
        state: Callable[[], dict[str, Any]],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._hand_on = hand_on
        self._end_file = end_file
        self._state = state
        self._clock = clock
        self._sound: Track | None = None
        self._packets: list[Packet] = []
        self._annotations: list[tuple[int, bytes]] = []
        self._size_bytes = self._annotation_bytes = 0
        self._first_dts = self._last_dts = 0
        self._starts_with_key = False
        self._after_gap = True
        self._closed = False
        self._windows: Sequence[tuple[int, int]] = ALWAYS
        self._ring_ns = 0
        self._ring: deque[_Group] = deque()
        self._ring_bytes = 0
        self._ring_short = False
        self._last_received_ns = 0
        self._in_file = False
        self._left_out = False
        """Something before the next that is handed on was not."""
        self.dropped = 0
        """Packets that were to be kept and were not handed on, because the disk is too slow."""
        self.annotations_dropped = 0
        """Those of as many pictures: there were too many at a time."""

    def keep(self, windows: Sequence[tuple[int, int]] | None, before_s: float = 0) -> None:
        """Keep the groups of pictures that have something of these (from, until), wall clock in ns; None: all.

        A window may reach back into the ring, which holds the last `before_s` and what comes late of it.
        """
        self._windows = ALWAYS if windows is None else windows
        self._ring_ns = 0 if windows is None else int(before_s * 1e9) + LATENCY_NS
        self._ring_short = self._ring_short and windows is not None
        self._hand_on_wanted()
        silent_ns = self._clock.monotonic_ns() - self._last_received_ns
        if self._in_file and silent_ns > LATENCY_NS:
            now_ns = self._clock.wall_ns()
            if all(until_ns <= now_ns for _, until_ns in self._windows):
                self._end()  # what would end it may never come

    def begin(self, tracks: tuple[Track, ...]) -> None:
        """The camera is connected (anew)."""
        self.flush()
        self._sound = next((track for track in tracks if track.kind is Kind.AUDIO), None)

    def add(self, packet: Packet) -> None:
        if not packet.captured_ns:
            packet = packet._replace(captured_ns=self._wall_ns(packet))
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
            self._end()

    def status(self) -> dict[str, Any]:
        """{"state": "waiting"|"recording"|"failing", "error", "size_bytes", "dropped", "annotations_dropped", "ring_s",
        "ring_short"}.

        `ring_s`: of pictures that wait for an event; `ring_short`: more of them than may be held.
        """
        held = [group for group in self._ring if group.jobs]
        held_ns = held[-1].end_ns - held[0].start_ns if held else 0
        return {
            **self._state(),
            "dropped": self.dropped,
            "annotations_dropped": self.annotations_dropped,
            "ring_s": round(held_ns / 1e9, 1),
            "ring_short": self._ring_short,
        }

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
            self._sound,
            tuple(self._annotations),
        )
        self._packets, self._annotations = [], []
        self._size_bytes = self._annotation_bytes = 0
        self._after_gap = False
        if job.packets[0].is_key or not self._ring:
            self._ring.append(_Group(job))
        self._ring[-1].add(job)
        self._ring_bytes += job.size_bytes
        self._last_received_ns = job.packets[-1].received_ns
        self._hand_on_wanted()
        self._trim()

    def _hand_on_wanted(self) -> None:
        """In order: what is older than something that was handed on can no longer be."""
        for group in self._ring:
            group.wanted = group.wanted or any(
                from_ns < group.end_ns and group.start_ns < until_ns for from_ns, until_ns in self._windows
            )
        while any(group.wanted for group in self._ring):
            group = self._ring[0]
            if not group.wanted:
                self._drop_first()
                continue
            while group.jobs:
                job = group.jobs[0]
                if not self._hand_on(replace(job, after_gap=True) if self._left_out else job):
                    return  # tried again with the next, as long as the ring holds it
                self._ring_bytes -= job.size_bytes
                group.jobs.popleft()
                self._in_file, self._left_out = True, False
            if group is self._ring[-1]:
                return  # it still grows
            self._ring.popleft()
        if self._in_file and self._ring:
            self._end()

    def _end(self) -> None:
        self._in_file = False
        self._end_file()

    def _trim(self) -> None:
        """What is too old goes, by whole groups; and what is too much."""
        oldest_ns = self._last_received_ns - self._ring_ns
        while len(self._ring) > 1 and self._ring[1].received_ns <= oldest_ns:
            self._drop_first()
            self._ring_short = False
        while self._ring_bytes > MAX_RING_BYTES:
            self._drop_first()
            self._ring_short = True

    def _drop_first(self) -> None:
        group = self._ring.popleft()
        self._ring_bytes -= sum(job.size_bytes for job in group.jobs)
        self._left_out = True
        if group.wanted:
            self.dropped += sum(len(job.packets) for job in group.jobs)

    def _wall_ns(self, packet: Packet) -> int:
        return self._clock.wall_ns() - max(0, self._clock.monotonic_ns() - packet.received_ns)
