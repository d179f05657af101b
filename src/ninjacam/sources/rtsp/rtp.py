"""One RTP stream (RFC 3550): header, order, loss, time. What it holds in order goes to a depacketizer.

The steady path is `receive` with the packet that was expected. Most of what a camera sends is the middle of large
pictures, packets that are like the one before but for their number: those are taken in one go. The reorder buffer
exists only while something is missing.
"""

import struct
from functools import lru_cache
from typing import Protocol

from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.rtcp import ReceptionState, parse_rtcp, receiver_report
from ninjacam.sources.track_clock import TrackClock

_HEADER = struct.Struct(">BBHII")
"""V, P, X, CC; M, PT; sequence number; timestamp; SSRC."""
HOLD_PACKETS = 16
HOLD_NS = 250_000_000
"""Longer than a beat of a camera that nobody watches (`RtspConnection.relax`): what it swapped comes with the next."""
_MAX_JUMP = 3_000
"""Sequence numbers further away than this are a new sequence, not a loss (RFC 3550, A.1: MAX_DROPOUT)."""


class Depacketizer(Protocol):
    """Puts payloads together and emits packets. One per track; payloads arrive in order. Formats whose packets each say
    more than their number leave `following` empty, and inherit `extend`."""

    following: bytes = b""
    """The head that a packet has which only goes on with what the one before, which was just pushed, has begun."""

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        """Take the payload data[start:stop]; `data` is valid during the call only. `pts`: unwrapped, in clock ticks."""

    def gap(self) -> None:
        """Packets are missing before the next one."""

    def extend(self, bodies: list[bytes]) -> None:
        """The next payloads, which had the head `following`, without it."""
        raise AssertionError("nothing was to follow")


class RtpReceiver:
    """Owner: the connection's event loop. `receive` is called for each packet of the track's RTP channel."""

    def __init__(
        self,
        payload_type: int,
        clock_hz: int,
        depacketizer: Depacketizer,
        clock: TrackClock,
        stats: SourceStats,
    ) -> None:
        self._payload_type = payload_type
        self._depacketizer = depacketizer
        self._push = depacketizer.push
        self._stats = stats
        self._clock = clock
        self._candidate = (-1, -1)
        self._expected = -1
        self._timestamp = -1
        self._pts = 0
        self._held: dict[int, tuple[int, bool, bytes, int]] = {}
        self._held_since_ns = 0
        self.reception = ReceptionState(clock_hz)

    def receive(self, data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
        """A `ChannelHandler`."""
        behind = stop
        if stop - start < 12:
            return behind
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data, start)
        start += 12
        if first != 0x80:
            start, stop = _payload_bounds(data, start, stop, first)
            if start >= stop:
                return behind
        if second & 0x7F != self._payload_type:
            return behind
        reception = self.reception
        if ssrc != reception.ssrc and not self._accept(ssrc, sequence):
            return behind
        marker = second > 127
        if sequence != self._expected:
            self._out_of_order(sequence, timestamp, marker, data, start, stop, received_ns)
            return behind
        self._expected = sequence + 1 & 0xFFFF
        reception.packets += 1
        if timestamp != self._timestamp:
            self._advance(timestamp, received_ns)
        self._push(data, start, stop, self._pts, marker, received_ns)
        if self._held:
            self._release()
        elif first == 0x80 and not marker:
            head = self._depacketizer.following
            if head and behind - start > len(head) and behind + (behind - start) < end:
                return self._take_like(data, start - 16, behind, end, head)
        return behind

    def _take_like(self, data: memoryview, first: int, at: int, end: int, head: bytes) -> int:
        """Take the packets from `at` on that are, but for their number, like the one framed at `first`: of the same
        length and time, and with `head` at the beginning of the payload. Returns: the place behind them.
        """
        if first < 0:
            return at
        size_bytes = at - first
        before, after = bytes(data[first : first + 6]), bytes(data[first + 8 : first + 16]) + head
        sequence = self._expected
        bodies: list[bytes] = []
        candidates = data[at : end - (end - at) % size_bytes]
        for framing, number, rest, body in _layout(size_bytes, len(after)).iter_unpack(candidates):
            if number != sequence or rest != after or framing != before:
                break
            bodies.append(body)
            sequence = sequence + 1 & 0xFFFF
        if bodies:
            self._depacketizer.extend(bodies)
            self.reception.packets += len(bodies)
            self._expected = sequence
        return at + len(bodies) * size_bytes

    def resync(self) -> None:
        """Bytes were skipped on the wire: whatever comes next may follow a loss."""
        self._depacketizer.gap()

    def receive_rtcp(self, data: bytes, received_ns: int) -> bool:
        """Take a packet of the RTCP channel; whether the camera says that this stream is over."""
        report, gone = parse_rtcp(data)
        reception = self.reception
        if report is not None and reception.ssrc in (-1, report.ssrc):
            reception.report, reception.report_received_ns = report, received_ns
            self._clock.set(self._pts_of(report.rtp_timestamp), report.wall_ns)
        return reception.ssrc in gone

    def receiver_report(self, own_ssrc: int, now_ns: int) -> bytes:
        block = b"" if self._expected < 0 else self.reception.report_block(self._expected, now_ns)
        return receiver_report(own_ssrc, block)

    def _pts_of(self, timestamp: int) -> int:
        """An RTP timestamp near the newest one, unwrapped."""
        if self._timestamp < 0:
            return timestamp
        difference = timestamp - self._timestamp & 0xFFFF_FFFF
        return self._pts + difference - (difference >> 31 << 32)

    def _advance(self, timestamp: int, received_ns: int) -> None:
        if self._timestamp < 0:
            self._pts = timestamp
        else:
            difference = timestamp - self._timestamp & 0xFFFF_FFFF
            self._pts += difference - (difference >> 31 << 32)
        self._timestamp = timestamp
        self.reception.note_arrival(self._pts, received_ns)

    def _accept(self, ssrc: int, sequence: int) -> bool:
        """The first packet, or a new synchronisation source: which must come twice, for one may be garbage."""
        if self._expected >= 0 and self._candidate != (ssrc, sequence - 1 & 0xFFFF):
            self._candidate = (ssrc, sequence)
            return False
        self._restart(ssrc, sequence)
        return True

    def _restart(self, ssrc: int, sequence: int) -> None:
        """A new sequence, and perhaps a new time line."""
        if self._expected >= 0:
            self._held.clear()
            if ssrc != self.reception.ssrc:
                self._clock.set(0, 0)
                self.reception.report = None
            self._depacketizer.gap()
        self._expected = sequence
        self.reception.restart(ssrc, sequence)

    def _out_of_order(
        self,
        sequence: int,
        timestamp: int,
        marker: bool,
        data: memoryview,
        start: int,
        stop: int,
        received_ns: int,
    ) -> None:
        ahead = sequence - self._expected & 0xFFFF
        if ahead > 0xFFFF - _MAX_JUMP:
            return  # late or double: its place is given up
        if ahead > _MAX_JUMP:
            self._restart(self.reception.ssrc, sequence)
            self._hold_and_release(sequence, (timestamp, marker, bytes(data[start:stop]), received_ns))
            return
        if not self._held:
            self._held_since_ns = received_ns
        self._hold_and_release(sequence, (timestamp, marker, bytes(data[start:stop]), received_ns))
        if self._held and (len(self._held) >= HOLD_PACKETS or received_ns - self._held_since_ns > HOLD_NS):
            self._give_up(received_ns)

    def _hold_and_release(self, sequence: int, packet: tuple[int, bool, bytes, int]) -> None:
        self._held[sequence] = packet
        if sequence == self._expected:
            self._release()

    def _give_up(self, received_ns: int) -> None:
        """What is missing will not come: go on after it."""
        nearest = min(self._held, key=lambda sequence: sequence - self._expected & 0xFFFF)
        lost = nearest - self._expected & 0xFFFF
        self._stats.packets_lost += lost
        self._expected = nearest
        self._depacketizer.gap()
        self._release(reordered=False)
        self._held_since_ns = received_ns

    def _release(self, *, reordered: bool = True) -> None:
        held = self._held
        while (packet := held.pop(self._expected, None)) is not None:
            self._expected = self._expected + 1 & 0xFFFF
            self.reception.packets += 1
            self._stats.packets_reordered += reordered
            timestamp, marker, payload, received_ns = packet
            if timestamp != self._timestamp:
                self._advance(timestamp, received_ns)
            self._push(memoryview(payload), 0, len(payload), self._pts, marker, received_ns)


@lru_cache(maxsize=256)
def _layout(size_bytes: int, rest_bytes: int) -> struct.Struct:
    """Of a framed packet: what stands before its number, the number, the rest of the headers, the body."""
    return struct.Struct(f">6sH{rest_bytes}s{size_bytes - 8 - rest_bytes}s")


def _payload_bounds(data: memoryview, start: int, stop: int, first: int) -> tuple[int, int]:
    """Bounds of the payload behind CSRCs and extension, without padding; empty where the header is malformed."""
    if first >> 6 != 2:
        return stop, stop
    start += 4 * (first & 0x0F)
    if first & 0x10:
        if start + 4 > stop:
            return stop, stop
        start += 4 + 4 * (data[start + 2] << 8 | data[start + 3])
    if first & 0x20 and start < stop:
        stop -= data[stop - 1] or stop
    return start, stop
