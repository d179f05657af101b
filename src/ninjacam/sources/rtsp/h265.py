"""H.265 over RTP (RFC 7798): single NAL units, aggregation packets, fragmentation units; DONL fields are skipped."""

from ninjacam.core.packets import Codec
from ninjacam.sources.access_units import MAX_ACCESS_UNIT_BYTES, AccessUnits, Emit, ParameterSetCache
from ninjacam.sources.base import SourceStats
from ninjacam.sources.track_clock import TrackClock

_AGGREGATION, _FRAGMENT = 48, 49


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
        """`has_donl`: sprop-max-don-diff > 0, so that packets carry decoding order numbers (section 4.4.1)."""
        super().__init__(Codec.H265, sets, emit, stats, clock)
        self._donl_bytes = 2 if has_donl else 0

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        if pts != self._pts:
            self._turn(pts)
        self._received_ns = received_ns
        unit = self._unit
        if len(unit) > MAX_ACCESS_UNIT_BYTES:
            self._overflow()
        if stop - start < 3:
            self._damaged = True
            return
        kind = data[start] >> 1 & 0x3F
        if kind == _FRAGMENT:
            fragment = data[start + 2]
            body = start + 3
            if fragment & 0x80:
                body += self._donl_bytes
                self._begin()
                unit.append(data[start] & 0x81 | (fragment & 0x3F) << 1)
                unit.append(data[start + 1])
                self.following = bytes((data[start], data[start + 1], fragment & 0x3F))
            elif not self.following:
                self._damaged = True
            unit += data[body:stop]
            if fragment & 0x40:
                self.following = b""
        elif kind == _AGGREGATION:
            self._split(data, start + 2, stop)
        elif kind < 48:
            self._begin()
            unit += data[start : start + 2]
            unit += data[start + 2 + self._donl_bytes : stop]
        else:
            self._damaged = True
        if marker:
            if self.following:
                self._damaged = True
            self._end(received_ns)

    def _split(self, data: memoryview, at: int, stop: int) -> None:
        skip = self._donl_bytes
        while at + skip + 2 < stop:
            start = at + skip + 2
            at = start + (data[start - 2] << 8 | data[start - 1])
            if at > stop:
                self._damaged = True
                return
            if at > start:
                self._begin()
                self._unit += data[start:at]
            skip = 1 if self._donl_bytes else 0  # DOND (section 4.4.2)
