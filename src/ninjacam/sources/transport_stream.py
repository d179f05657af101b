"""Finds the packets of an MPEG transport stream in datagrams, and modifies its bytes for FFmpeg's demuxer."""

from collections.abc import Callable

PACKET_BYTES = 188
_SYNC = 0x47
_NO_PAYLOAD, _HAS_PAYLOAD = 0x20, 0x10
_DISCONTINUITY = 0x80


_RTP_HEADER_BYTES = 12
_RTP_MPEG_TS = 33
"""Payload type (RFC 3551, section 6)."""


def packets_in_datagram(data: bytes) -> bytes:
    """Return the transport packets of a datagram, plain or in RTP (RFC 2250, section 2); b"": there are none."""
    at = 0 if data[:1] == b"G" else _rtp_payload_at(data)
    size_bytes = (len(data) - at) // PACKET_BYTES * PACKET_BYTES
    packets = data[at : at + size_bytes]
    return packets if packets[::PACKET_BYTES] == b"G" * (size_bytes // PACKET_BYTES) else b""


def _rtp_payload_at(data: bytes) -> int:
    """Return the offset of the payload of an RTP packet (RFC 3550, section 5.1); the end of `data`: it is not one."""
    if len(data) < _RTP_HEADER_BYTES or data[0] >> 6 != 2 or data[1] & 0x7F != _RTP_MPEG_TS:
        return len(data)
    at = _RTP_HEADER_BYTES + 4 * (data[0] & 0x0F)
    if data[0] & 0x10:
        at += 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
    return min(at, len(data))


class PartReader:
    """Reads one segment of a playlist and signals that its continuity counters are unrelated to the previous
    segment's.

    A segment may restart its counters, and the previous segment may be missing. FFmpeg interprets a jump of a
    counter as lost packets and marks the frame before the jump as corrupt, although it is complete. Therefore a
    packet with the discontinuity indicator (ISO/IEC 13818-1, 2.4.3.5) is inserted before the first packet of each
    PID. Losses within a segment are still detected. Segments that are not transport streams pass unchanged. `read`:
    returns the next bytes, b"" at the end.
    """

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read
        self._announced: set[int] = set()
        self._rest = b""
        self._in_sync = True

    def read(self) -> bytes:
        """Return the next bytes; b"" at the end. Raises: the exceptions of `read`."""
        while data := self._read():
            if passed := self._announce(self._rest + data):
                return passed
        data, self._rest = self._rest, b""
        return data

    def _announce(self, data: bytes) -> bytes:
        """Insert the discontinuities. Keep an incomplete packet for the next call."""
        whole = len(data) - len(data) % PACKET_BYTES
        out, kept = b"", 0
        for at in range(0, whole, PACKET_BYTES):
            self._in_sync = self._in_sync and data[at] == _SYNC
            if not self._in_sync:
                whole = len(data)
                break
            pid = (data[at + 1] & 0x1F) << 8 | data[at + 2]
            if pid not in self._announced:
                self._announced.add(pid)
                out += data[kept:at] + _discontinuity(data[at : at + 4])
                kept = at
        self._rest = data[whole:]
        return out + data[kept:whole]


def _discontinuity(head: bytes) -> bytes:
    """Return a packet that may precede the packet with this head: packets without payload do not count."""
    counter = (head[3] - (1 if head[3] & _HAS_PAYLOAD else 0)) & 0x0F
    made = bytes([_SYNC, head[1] & 0x1F, head[2], _NO_PAYLOAD | counter, PACKET_BYTES - 5, _DISCONTINUITY])
    return made.ljust(PACKET_BYTES, b"\xff")
