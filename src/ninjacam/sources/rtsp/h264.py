"""H.264 over RTP (RFC 6184): single NAL units, STAP-A, FU-A. The interleaved modes count as damage."""

from ninjacam.sources.access_units import MAX_ACCESS_UNIT_BYTES, AccessUnits

_STAP_A, _FU_A = 24, 28


class H264Depacketizer(AccessUnits):
    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        if pts != self._pts:
            self._turn(pts)
        self._received_ns = received_ns
        unit = self._unit
        if len(unit) > MAX_ACCESS_UNIT_BYTES:
            self._overflow()
        if stop <= start:
            self._damaged = True
            return
        header = data[start]
        kind = header & 0x1F
        if kind == _FU_A:
            if stop - start < 3:
                self._damaged = True
                return
            fragment = data[start + 1]
            if fragment & 0x80:
                self._begin()
                unit.append(header & 0xE0 | fragment & 0x1F)
                self.following = bytes((header, fragment & 0x3F))
            elif not self.following:
                self._damaged = True
            unit += data[start + 2 : stop]
            if fragment & 0x40:
                self.following = b""
        elif 1 <= kind <= 23:
            self._begin()
            unit += data[start:stop]
        elif kind == _STAP_A:
            self._split(data, start + 1, stop)
        else:
            self._damaged = True
        if marker:
            if self.following:
                self._damaged = True
            self._end(received_ns)

    def _split(self, data: memoryview, at: int, stop: int) -> None:
        while at + 2 < stop:
            start = at + 2
            at = start + (data[at] << 8 | data[at + 1])
            if at > stop:
                self._damaged = True
                return
            if at > start:
                self._begin()
                self._unit += data[start:at]
