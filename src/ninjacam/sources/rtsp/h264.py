"""H.264 over RTP (RFC 6184): single NAL units, aggregation and fragmentation units. Decoding order numbers are
skipped: over TCP, cameras that send them use decoding order.
"""

from ninjacam.sources.access_units import EMBEDDED, MAX_ACCESS_UNIT_BYTES, AccessUnits

_STAP_A, _STAP_B, _MTAP16, _MTAP24, _FU_A, _FU_B = 24, 25, 26, 27, 28, 29
_AGGREGATES = {_STAP_A: (1, 0), _STAP_B: (3, 0), _MTAP16: (3, 3), _MTAP24: (3, 4)}
"""(bytes before the first size, bytes between a size and its NAL unit)"""


class H264Depacketizer(AccessUnits):
    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        if pts != self._last_pts:
            self._stamp(pts)
        if start < stop:
            header = data[start]
            kind = header & 0x1F
            if kind == _FU_A and stop - start > 2:
                fragment = data[start + 1]
                if self.following and not self._unsettled and fragment < 0x80:
                    self._unit += data[start + 2 : stop]
                    if len(self._unit) > MAX_ACCESS_UNIT_BYTES:
                        self._overflow()
                    if fragment & 0x40:
                        self.following, self._resumable = b"", True
                else:
                    self._push_fragment(data, start, start + 2, stop)
            elif 1 <= kind <= 23:
                self._push_single(kind, data, start, stop)
            else:
                self._push_other(kind, data, start, stop)
        self.received_ns = received_ns
        if marker:
            self._end()

    def _push_single(self, kind: int, data: memoryview, start: int, stop: int) -> None:
        # End of sequence and end of stream have no payload.
        if stop - start < 2 and kind not in (
            10,
            11,
        ):
            return
        self.following = b""
        self._begin(kind, data, start + 1, stop)
        self._unit += data[start:stop]

    def _push_fragment(self, data: memoryview, start: int, body: int, stop: int) -> None:
        """Handle FU-A, and the first fragment of FU-B, unless it simply continues the current NAL unit."""
        header, fragment = data[start], data[start + 1]
        kind = fragment & 0x1F
        starts, self._owes_start = fragment & 0x80 or self._owes_start, False
        if starts or not self._resume():
            if not starts and (self._gap or not self._turned):
                self._cut_short(kind)
                return
            self._begin(kind or EMBEDDED, data, body, stop)
            self._unit.append(header & 0xE0 | kind)
            self.following = bytes((header & 0xE0 | _FU_A, fragment & 0x3F))
        self._unit += data[body:stop]
        if fragment & 0x40:
            self.following, self._resumable = b"", True

    def _push_other(self, kind: int, data: memoryview, start: int, stop: int) -> None:
        if kind in _AGGREGATES:
            self.following = b""
            before, between = _AGGREGATES[kind]
            self._split(data, start + before, stop, between)
        elif kind == _FU_A and stop - start == 2:
            self._take_empty_fragment(data[start + 1])
        elif kind == _FU_B and stop - start > 4:
            self._push_fragment(data, start, start + 4, stop)
        elif kind == 0 and bytes(data[start : start + 3]) in (b"\x00\x00\x00", b"\x00\x00\x01"):
            self.following = b""
            self._begin(EMBEDDED, data, start + 1, stop)  # Annex B inside RTP.
            self._unit += data[start:stop]

    def _split(self, data: memoryview, at: int, stop: int, between: int) -> None:
        while at + 2 + between < stop:
            start = at + 2 + between
            at = min(stop, start + (data[at] << 8 | data[at + 1]))
            if at > start and data[start] & 0x1F:
                self._push_single(data[start] & 0x1F, data, start, at)
