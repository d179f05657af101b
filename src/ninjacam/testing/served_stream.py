"""One path of a fake camera: its clip, played on an absolute schedule to all who watch it.

Video unit k of a clip of L frames is sent at CLOCK_MONOTONIC (j*L + k)/fps for every integer j. So a test reading the
stamp k of a frame on the same machine knows when the camera sent it, to a millisecond.
"""

import asyncio
import math
import time
from bisect import bisect_left
from collections.abc import Callable
from typing import Protocol

from ninjacam.testing.clips import Clip, Unit
from ninjacam.testing.faults import Faults
from ninjacam.testing.rtp import PayloadCache

_LATE_S = 5.0
"""Later than this, the process was stopped, and the missed frames are skipped. On a busy machine it is late by a
second or so, and sends all of them."""
_EARLY_S = 0.0002


class UnitReceiver(Protocol):
    """What a stream needs of a session."""

    def send_unit(self, track: int, unit: Unit, payloads: list[bytes], media_s: float) -> None: ...
    def wait_for_key(self) -> None: ...
    def housekeep(self, now_s: float, media_s: float) -> None:
        """Sender reports and session time-outs; called at each unit."""


class ServedStream:
    """Lives in the camera's event loop. Costs nothing while nobody plays it."""

    def __init__(self, path: str, clip: Clip, cache: PayloadCache) -> None:
        self.path = path
        self.faults = Faults()
        self._cache = cache
        self.jump_s = 0.0
        """Added to the media time of everything sent."""
        self._viewers: list[UnitReceiver] = []
        self.plays = 0
        """Number of sessions that have ever played it."""
        self._timer: asyncio.TimerHandle | None = None
        self._frozen = False
        self.set_clip(clip)

    def set_clip(self, clip: Clip) -> None:
        """Continue with another clip, in the same sessions, from a key frame on: a camera whose resolution was changed.

        Raises: ValueError: RTP cannot carry it.
        """
        self._cache.of(clip)
        self.clip = clip
        self._events = sorted(
            (unit.sent_s, index, number)
            for index, track in enumerate(clip.tracks)
            for number, unit in enumerate(track.units)
            if unit.sent_s < clip.duration_s
        )
        self._seek(time.monotonic())
        self._each(lambda viewer: viewer.wait_for_key())

    def add(self, viewer: UnitReceiver, *, gop_at_once: bool) -> None:
        """Send to `viewer` from the next key frame on; `gop_at_once`: from the last one, as some servers do."""
        viewer.wait_for_key()
        self.plays += 1
        now_s = time.monotonic()
        if not self._viewers:
            self._seek(now_s)
        if gop_at_once:
            self._replay(viewer)
        self._viewers.append(viewer)
        self._schedule()

    @property
    def viewers(self) -> int:
        """Number of sessions that play it."""
        return len(self._viewers)

    def discard(self, viewer: UnitReceiver) -> None:
        if viewer in self._viewers:
            self._viewers.remove(viewer)
        if not self._viewers and self._timer:
            self._timer.cancel()
            self._timer = None

    def _clip_payloads(self) -> list[list[list[bytes]]]:
        return self._cache.of(self.clip, parameter_sets=self.faults.in_band_parameter_sets)

    def _seek(self, now_s: float) -> None:
        """Make the first event that is not yet over the next one."""
        self._loop_start_s = math.floor(now_s / self.clip.duration_s) * self.clip.duration_s
        self._next = bisect_left(self._events, (now_s - self._loop_start_s - _EARLY_S, -1, -1))
        if self._next == len(self._events):
            self._next, self._loop_start_s = 0, self._loop_start_s + self.clip.duration_s

    @property
    def _due_s(self) -> float:
        return self._loop_start_s + self._events[self._next][0]

    def _schedule(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(self._due_s, self._tick)

    def _tick(self) -> None:
        now_s = time.monotonic()
        if now_s - self._due_s > _LATE_S:
            self._seek(now_s)
            self._each(lambda viewer: viewer.wait_for_key())
        while self._viewers and self._due_s <= now_s + _EARLY_S:
            self._send_next(now_s)
        if self._viewers:
            self._schedule()

    def _send_next(self, now_s: float) -> None:
        _, index, number = self._events[self._next]
        unit, payloads = self.clip.tracks[index].units[number], self._clip_payloads()[index][number]
        media_s = self._loop_start_s + unit.pts_s + self.jump_s
        frozen = self.faults.freeze
        if self._frozen and not frozen:
            self._each(lambda viewer: viewer.wait_for_key())
        self._frozen = frozen
        for viewer in tuple(self._viewers):
            if not frozen:
                viewer.send_unit(index, unit, payloads, media_s)
            viewer.housekeep(now_s, now_s + self.jump_s)
        self._next += 1
        if self._next == len(self._events):
            self._next, self._loop_start_s = 0, self._loop_start_s + self.clip.duration_s

    def _each(self, do: Callable[[UnitReceiver], None]) -> None:
        for viewer in tuple(self._viewers):
            do(viewer)

    def _replay(self, viewer: UnitReceiver) -> None:
        first = self._next
        while first > 0:
            first -= 1
            _, index, number = self._events[first]
            track = self.clip.tracks[index]
            if track.codec.is_video and track.units[number].key:
                break
        payloads = self._clip_payloads()
        for _, index, number in self._events[first : self._next]:
            unit = self.clip.tracks[index].units[number]
            viewer.send_unit(
                index, unit, payloads[index][number], self._loop_start_s + unit.pts_s + self.jump_s
            )
