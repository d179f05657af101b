"""H.265 over RTP (RFC 7798): single NAL units, aggregation packets, fragmentation units; DONL fields are skipped."""

from ninjacam.core.packets import Codec
from ninjacam.sources.access_units import EMBEDDED, MAX_ACCESS_UNIT_BYTES, AccessUnits
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import Emit

_AGGREGATION, _FRAGMENT = 48, 49
_END_OF_SEQUENCE, _END_OF_STREAM = 36, 37


class H265Depacketizer(AccessUnits):
    def __init__(
        self,
        sets: ParameterSetCache,
        emit: Emit,
        stats: SourceStats,
        clock: TrackClock,
        *,
        has_donl: bool = False,
    ) -> None:
        """`has_donl`: sprop-max-don-diff > 0, so packets contain decoding order numbers (section 4.4.1)."""
        super().__init__(Codec.H265, sets, emit, stats, clock)
        self._donl_bytes = 2 if has_donl else 0

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        if pts != self._last_pts:
            self._stamp(pts)
        if stop - start > 1:
            kind = data[start] >> 1 & 0x3F
            if kind == _FRAGMENT and stop - start > 3:
                fragment = data[start + 2]
                if self.following and not self._unsettled and fragment < 0x80:
                    self._unit += data[start + 3 : stop]
                    if len(self._unit) > MAX_ACCESS_UNIT_BYTES:
                        self._overflow()
                    if fragment & 0x40:
                        self.following, self._resumable = b"", True
                else:
                    self._push_fragment(data, start, stop)
            elif kind == _FRAGMENT and stop - start == 3:
                self._take_empty_fragment(data[start + 2])
            elif kind == _AGGREGATION:
                self.following = b""
                self._split(data, start + 2, stop)
            elif kind < _AGGREGATION:
                self._push_single(kind, data, start, start + 2 + self._donl_bytes, stop)
        self.received_ns = received_ns
        if marker:
            self._end()

    def _push_single(self, kind: int, data: memoryview, start: int, body: int, stop: int) -> None:
        if body >= stop and kind not in (_END_OF_SEQUENCE, _END_OF_STREAM):
            return
        self.following = b""
        if data[start] == 0 and data[start + 1] & 7 == 0:
            kind = EMBEDDED
        self._begin(kind, data, body, stop)
        self._unit += data[start : start + 2]
        self._unit += data[body:stop]

    def _push_fragment(self, data: memoryview, start: int, stop: int) -> None:
        """Handle a fragment that does not simply continue the current NAL unit."""
        fragment = data[start + 2]
        kind = fragment & 0x3F
        body = start + 3
        starts, self._owes_start = fragment & 0x80 or self._owes_start, False
        if starts or not self._resume():
            if not starts and (self._gap or not self._turned):
                self._cut_short(kind)
                return
            body += self._donl_bytes
            if kind == 0 and data[start + 1] & 7 == 0:
                kind = EMBEDDED
            self._begin(kind, data, body, stop)
            self._unit.append(data[start] & 0x81 | (fragment & 0x3F) << 1)
            self._unit.append(data[start + 1])
            self.following = bytes((data[start], data[start + 1], fragment & 0x3F))
        self._unit += data[body:stop]
        if fragment & 0x40:
            self.following, self._resumable = b"", True

    def _split(self, data: memoryview, at: int, stop: int) -> None:
        skip = self._donl_bytes
        while at + skip + 2 < stop:
            start = at + skip + 2
            at = min(stop, start + (data[start - 2] << 8 | data[start - 1]))
            if at - start > 1:
                self._push_single(data[start] >> 1 & 0x3F, data, start, start + 2, at)
            skip = 1 if self._donl_bytes else 0  # DOND (section 4.4.2)
