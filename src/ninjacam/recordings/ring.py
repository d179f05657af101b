"""Decides which fragments of a camera are kept. The others stay in a ring for some seconds, in groups that start at
key frames, because an event is reported after it has begun. Not here: cutting fragments
(`ninjacam.recordings.cutter`)."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Kind
from ninjacam.recordings.cutter import Job
from ninjacam.recordings.fragments import DEFAULT_TICKS

MAX_RING_BYTES = 32 << 20
"""Maximum size of a camera's ring: 15 s at 16 Mbit/s."""
LATENCY_NS = 5 * 10**9
"""Additional length of the ring beyond the pre-roll, because events arrive through the database and the engine.
"""
ALWAYS = ((0, 1 << 63),)


class _Group:
    """Fragments from a key frame to the next one, kept or dropped together, because a part of them cannot be decoded
    alone.

    Times: wall clock. `received_ns`: monotonic, of its first packet. `wanted`: never reset once set.
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


class EventRing:
    """Keeps everything until `keep` sets time windows. Thread: the event loop.

    `hand_on(job)`: passes a fragment to the writer; returns False if there is no room. `end_file()`: later fragments
    belong to a new file.
    """

    def __init__(self, hand_on: Callable[[Job], bool], end_file: Callable[[], None]) -> None:
        self._hand_on = hand_on
        self._end_file = end_file
        self._windows: Sequence[tuple[int, int]] = ALWAYS
        self._length_ns = 0
        self._groups: deque[_Group] = deque()
        self._size_bytes = 0
        self._is_short = False
        self._last_received_ns = 0
        self._in_file = False
        self._left_out = False
        """Whether data before the next job was not passed on."""
        self.dropped = 0
        """Packets to keep that were dropped, because the disk is too slow."""

    def keep(
        self, windows: Sequence[tuple[int, int]] | None, before_s: float, *, now_ns: int, wall_ns: int
    ) -> None:
        """Keep the groups that overlap one of these windows (from, until), wall clock in ns; None: all groups.

        A window may reach back into the ring, which holds the last `before_s` and LATENCY_NS. `now_ns`, `wall_ns`: the
        monotonic clock and the wall clock.
        """
        self._windows = ALWAYS if windows is None else windows
        self._length_ns = 0 if windows is None else int(before_s * 1e9) + LATENCY_NS
        self._is_short = self._is_short and windows is not None
        self._hand_on_wanted()
        is_silent = now_ns - self._last_received_ns > LATENCY_NS
        if self._in_file and is_silent and all(until_ns <= wall_ns for _, until_ns in self._windows):
            self.end()  # The event that would end the file may never arrive.

    def add(self, job: Job) -> None:
        if job.packets[0].is_key or not self._groups:
            self._groups.append(_Group(job))
        self._groups[-1].add(job)
        self._size_bytes += job.size_bytes
        self._last_received_ns = job.packets[-1].received_ns
        self._hand_on_wanted()
        self._trim()

    def end(self) -> None:
        """End the file."""
        self._in_file = False
        self._end_file()

    def status(self) -> dict[str, Any]:
        """Return the statistics. `ring_s`: seconds of video in the ring; `ring_short`: whether its maximum size
        makes it shorter than requested."""
        held = [group for group in self._groups if group.jobs]
        held_ns = held[-1].end_ns - held[0].start_ns if held else 0
        return {"dropped": self.dropped, "ring_s": round(held_ns / 1e9, 1), "ring_short": self._is_short}

    def _hand_on_wanted(self) -> None:
        """Pass the groups to keep, in order: anything older than already passed fragments must be dropped."""
        for group in self._groups:
            group.wanted = group.wanted or any(
                from_ns < group.end_ns and group.start_ns < until_ns for from_ns, until_ns in self._windows
            )
        while any(group.wanted for group in self._groups):
            group = self._groups[0]
            if not group.wanted:
                self._drop_first()
                continue
            while group.jobs:
                job = group.jobs[0]
                if not self._hand_on(replace(job, after_gap=True) if self._left_out else job):
                    return  # Retried with the next group, while the ring contains it.
                self._size_bytes -= job.size_bytes
                group.jobs.popleft()
                self._in_file, self._left_out = True, False
            if group is self._groups[-1]:
                return  # The group still grows.
            self._groups.popleft()
        if self._in_file and self._groups:
            self.end()

    def _trim(self) -> None:
        """Drop whole groups that are too old, or exceed the maximum size."""
        oldest_ns = self._last_received_ns - self._length_ns
        while len(self._groups) > 1 and self._groups[1].received_ns <= oldest_ns:
            self._drop_first()
            self._is_short = False
        while self._size_bytes > MAX_RING_BYTES:
            self._drop_first()
            self._is_short = True

    def _drop_first(self) -> None:
        group = self._groups.popleft()
        self._size_bytes -= sum(job.size_bytes for job in group.jobs)
        self._left_out = True
        if group.wanted:
            self.dropped += sum(len(job.packets) for job in group.jobs)
