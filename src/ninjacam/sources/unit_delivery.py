"""Delivers access units of H.264 and H.265 as packets, starting with the first one at which a decoder can start.

Not here: assembly of access units (`ninjacam.sources.access_units`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from ninjacam.codecs.bitstream import has_only_intra_slices
from ninjacam.core.packets import VIDEO, Codec, Flags, Packet
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.track_clock import TrackClock

MAX_KEY_WAIT_NS = 30_000_000_000
"""Nanoseconds after which a stream without key frames starts at repeated parameter sets: some cameras refresh their
pictures gradually without announcing it.
"""
MIN_REFRESH_PICTURES, MAX_REFRESH_PICTURES = 10, 250
"""Minimum number of pictures between two start points of a stream without key frames, regardless of its
announcements."""
_DELIMITER = {Codec.H264: 9, Codec.H265: 35}

Emit = Callable[[Packet], None]


@dataclass(slots=True)
class AccessUnit:
    """One access unit. `data`: Annex B, with NAL units of these `kinds` at `starts`. Valid during the call only.

    `sets`: bits of the places of the parameter sets in it. `has_others`: there are parameter sets or SEI messages.
    """

    data: bytearray
    starts: list[int]
    kinds: list[int]
    pts: int
    received_ns: int
    sets: int
    is_key: bool
    has_others: bool


class UnitDelivery:
    """Delivers the access units of one stream. A picture after a gap (`missing`) has the flag DISCONT."""

    def __init__(
        self, codec: Codec, sets: ParameterSetCache, emit: Emit, stats: SourceStats, clock: TrackClock
    ) -> None:
        self.missing = True
        """Whether data before the next picture is missing."""
        self._codec = codec
        self._sets = sets
        self._emit = emit
        self._stats = stats
        self._clock = clock
        self._started = False
        self._seen_key = False
        self._since_key = 0
        self._first_ns = 0

    def deliver(self, unit: AccessUnit, read_recovery: Callable[[], int]) -> None:
        """Emit a packet if a decoder can use it.

        `read_recovery()`: returns the number of pictures until the output is correct if a decoder starts here; -1:
        no recovery point.
        """
        if not self._first_ns:
            self._first_ns = unit.received_ns
        self._since_key += 1
        if unit.is_key:
            self._seen_key = True
        elif not unit.sets and (self._seen_key or not unit.has_others):
            # Most pictures: no decoder can start here.
            self._continue(unit)
            return
        if unit.is_key or self._can_start(unit, read_recovery()):
            self._since_key = 0
            self._finish(unit, key=True)
        else:
            self._continue(unit)

    def _continue(self, unit: AccessUnit) -> None:
        if self._started:
            self._finish(unit, key=False)
        else:
            self._stats.frames_skipped += 1

    def _can_start(self, unit: AccessUnit, recovery: int) -> bool:
        """Return whether a decoder can start at a picture that is not a key frame by its type.

        An exact recovery point always counts; a gradual one, and unannounced intra pictures, only in streams without
        key frames.
        """
        if not self._sets.complete or (recovery < 0 and not unit.sets & 2):
            return False
        is_h264 = self._codec is Codec.H264
        is_intra = is_h264 and has_only_intra_slices(unit.data, unit.starts)
        if recovery == 0 and (is_intra or (not is_h264 and unit.sets & 2)):
            return True
        if self._seen_key:
            return False
        if is_intra or (not self._started and recovery >= 0):
            return True
        if recovery >= 0:
            return self._since_key >= min(recovery, MAX_REFRESH_PICTURES)
        waited_ns = unit.received_ns - self._first_ns
        return waited_ns > MAX_KEY_WAIT_NS and self._since_key >= MIN_REFRESH_PICTURES

    def _finish(self, unit: AccessUnit, *, key: bool) -> None:
        data = bytes(unit.data)
        flags = Flags.NONE
        if key:
            if not self._sets.complete:
                self._stats.keys_without_sets += 1
                return
            if unit.sets != (6 if self._codec is Codec.H264 else 7):
                data = self._insert_sets(unit, data)
            flags = Flags.KEY
            if self._sets.changed:
                flags |= Flags.CONFIG
                self._sets.changed = False
        if self.missing:
            if self._started:
                flags |= Flags.DISCONT
            self.missing = False
        self._started = True
        info = self._sets.info
        assert info is not None
        self._emit(
            Packet(
                VIDEO,
                self._codec,
                data,
                unit.pts,
                unit.received_ns,
                flags=flags,
                captured_ns=self._clock.captured_ns(unit.pts),
                width_px=info.width_px,
                height_px=info.height_px,
            )
        )

    def _insert_sets(self, unit: AccessUnit, data: bytes) -> bytes:
        """Insert the cached parameter sets first, but after an access unit delimiter."""
        if unit.kinds[0] == _DELIMITER[self._codec]:
            cut = unit.starts[1] - 4 if len(unit.starts) > 1 else len(data)
            return data[:cut] + self._sets.annexb() + data[cut:]
        return self._sets.annexb() + data
