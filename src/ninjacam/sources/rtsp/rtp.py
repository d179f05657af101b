"""One RTP stream (RFC 3550): headers, order, loss, time. Passes payloads to a depacketizer in order.

The fast path is `receive` with the expected packet. Most packets are in the middle of large frames and differ only
in their number; they are processed in batches. The reorder buffer is used only while packets are missing.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.rtcp import ReceptionState, parse_rtcp, receiver_report
from ninjacam.sources.track_clock import TrackClock

_HEADER = struct.Struct(">BBHII")
"""V, P, X, CC; M, PT; sequence number; timestamp; SSRC."""
HOLD_PACKETS = 16
HOLD_NS = 60_000_000
"""Maximum time to wait for a missing packet. Reordered UDP packets arrive sooner."""
_MAX_JUMP = 3_000
"""Sequence numbers further away than this are a new sequence, not a loss (RFC 3550, A.1: MAX_DROPOUT)."""
MAX_ODD_NUMBERS = 32
"""After this many consecutive packets without the next number, numbers are ignored."""
UNANNOUNCED_NS = 300_000_000
"""Time that unexpected packets wait for the announced ones."""
SILENCE_NS = 1_000_000_000
"""A stream that is silent for this long may have a new synchronization source."""
MIN_ESTABLISHED_PACKETS = 8
"""A synchronization source that was not announced and has sent fewer packets is replaced by the next one at once.
"""
MAX_STRANGERS_BYTES = 4 << 20


MAX_DOUBTS = 2_000
"""Number of payloads of a sequence whose codec is checked against the announced one."""


class Depacketizer(Protocol):
    """Assembles payloads and emits packets. One per track; payloads arrive in order. Formats without packets that
    differ only in their number leave `following` empty, and inherit `extend`."""

    following: bytes = b""
    """The head of a packet that only continues the data of the previous packet."""
    received_ns: int = 0
    """Monotonic time of the last payload."""

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        """Add the payload data[start:stop], which may be empty; `data` is valid only during the call. `pts`:
        unwrapped, in clock ticks.
        """

    def gap(self) -> None:
        """Mark a loss before the next packet."""

    def restart(self) -> None:
        """Accept a restart of the sequence numbers. No data is missing."""
        self.gap()

    def settle(self, now_ns: int) -> None:
        """Deliver pending data if nothing has arrived for a long time. Called periodically."""
        return

    def take_extension(self, profile: int, data: bytes) -> None:
        """Process a header extension (RFC 3550, 5.3.1) of the next payload's packet."""
        return

    def extend(self, bodies: list[bytes]) -> None:
        """Add the next payloads, without the head `following` that they had."""
        raise AssertionError("nothing was to follow")


@dataclass(slots=True)
class _Announced:
    """The camera's announcement of the stream; -1: none. `is_confirmed`: a packet has matched it."""

    ssrc: int = -1
    sequence: int = -1
    is_confirmed: bool = False


class RtpReceiver:
    """Receives one stream. Owner: the connection's event loop. `receive` is called for each packet of the track's
    RTP channel.

    `ordered`: True over TCP, where packets cannot arrive late: a missing number is a loss at once, and a step back a
    new sequence. False over UDP: packets wait for missing ones.
    """

    def __init__(
        self,
        payload_type: int,
        clock_hz: int,
        depacketizer: Depacketizer,
        clock: TrackClock,
        stats: SourceStats,
        *,
        ordered: bool = True,
    ) -> None:
        self._payload_type = payload_type
        self._depacketizer = depacketizer
        self._push = depacketizer.push
        self._stats = stats
        self._clock = clock
        self._ordered = ordered
        self._formats = {payload_type: depacketizer}
        self._announced = _Announced()
        self._strangers = _Strangers()
        self._odd_numbers = 0
        self._odd_at = 0
        self._find: Callable[[bytes], Depacketizer | None] | None = None
        self._doubts = 0
        self._expected = -1
        self._timestamp = -1
        self._pts = 0
        self._held: dict[int, tuple[int, bool, bytes, int]] = {}
        self._held_since_ns = 0
        self.reception = ReceptionState(clock_hz)

    def announce(self, ssrc: int | None = None, sequence: int | None = None) -> None:
        """Set the announcement in the camera's responses to SETUP (ssrc) and PLAY (seq in RTP-Info). Only a hint:
        another stream is accepted if no other arrives."""
        if ssrc is not None:
            self._announced.ssrc = ssrc
        if sequence is not None:
            self._announced.sequence = sequence & 0xFFFF

    def offer(self, payload_type: int, depacketizer: Depacketizer) -> None:
        """Add another format of the stream: the camera may send it instead of the first, or switch to it."""
        self._formats.setdefault(payload_type, depacketizer)

    def doubt(self, find: Callable[[bytes], Depacketizer | None]) -> None:
        """Pass the first payloads of each sequence to `find`, which returns the depacketizer for their codec if it
        recognizes it. Some cameras announce another codec than they send."""
        self._find = find
        self._look_again()

    @property
    def media_ns(self) -> int:
        """Return the monotonic time of the last packet; 0: none yet."""
        return self._depacketizer.received_ns

    def settle(self, now_ns: int) -> None:
        self._depacketizer.settle(now_ns)

    def receive(self, data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
        """Process packets, as a `ChannelHandler`."""
        behind = stop
        if stop - start < 12:
            return behind
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(data, start)
        reception = self.reception
        if (ssrc != reception.ssrc or second & 0x7F != self._payload_type) and not self._recognise(
            data, start, stop, received_ns
        ):
            return behind
        start += 12
        if first != 0x80:
            start, stop = self._payload_bounds(data, start, stop, first)
        marker = second > 127
        if sequence != self._expected and not self._is_in_turn(
            sequence, timestamp, marker, data, start, stop, received_ns
        ):
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

    def _is_in_turn(
        self,
        sequence: int,
        timestamp: int,
        marker: bool,
        data: memoryview,
        start: int,
        stop: int,
        received_ns: int,
    ) -> bool:
        """Return whether to process a packet with an unexpected number now. Otherwise it waits or is dropped."""
        if self._ordered:
            return self._renumber(sequence)
        self._out_of_order(sequence, timestamp, marker, data, start, stop, received_ns)
        return False

    def _payload_bounds(self, data: memoryview, start: int, stop: int, first: int) -> tuple[int, int]:
        """Return the bounds of the payload after CSRCs and extension, without padding. A field that exceeds the
        packet is ignored."""
        sources = start + 4 * (first & 0x0F)
        if sources <= stop:
            start = sources
        if first & 0x10 and start + 4 <= stop:
            behind = start + 4 + 4 * (data[start + 2] << 8 | data[start + 3])
            if behind <= stop:
                profile = data[start] << 8 | data[start + 1]
                self._depacketizer.take_extension(profile, bytes(data[start + 4 : behind]))
                start = behind
        if first & 0x20 and start < stop and 0 < data[stop - 1] <= stop - start:
            stop -= data[stop - 1]
        return start, stop

    def _take_like(self, data: memoryview, first: int, at: int, end: int, head: bytes) -> int:
        """Process the packets from `at` that differ from the one framed at `first` only in their number: same length
        and time, and `head` at the start of the payload. Return the position after them."""
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
        """Note that bytes were skipped in the stream: the next packet may follow a loss."""
        self._depacketizer.gap()

    def receive_rtcp(self, data: bytes, received_ns: int) -> bool:
        """Process a packet of the RTCP channel. Return whether the camera announces the end of this stream."""
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
        """Return an RTP timestamp as an unwrapped time near the newest one."""
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

    def _recognise(self, data: memoryview, start: int, stop: int, received_ns: int) -> bool:
        """Return whether a packet with another synchronization source or payload type belongs to the stream, and can
        be processed now. Such packets are kept for some time, and processed together if they turn out to be the
        stream."""
        _, second, sequence, _, ssrc = _HEADER.unpack_from(data, start)
        kind = second & 0x7F
        if 72 <= kind <= 76:  # RTCP on this channel (RFC 5761, section 4).
            self.receive_rtcp(bytes(data[start:stop]), received_ns)
            return False
        is_kind = kind == self._payload_type or kind in self._formats
        goes_on = sequence == self._expected and not self._strangers.go_on_with(kind, ssrc, sequence)
        if is_kind and (goes_on or self._is_announced(ssrc, sequence)):
            self._adopt(kind, ssrc, sequence)
            return True
        self._stats.packets_ignored += 1
        if self._expected >= 0 and not is_kind:
            return False
        strangers = self._strangers
        strangers.add(
            bytes(data[start:stop]), kind, ssrc, sequence, received_ns, self._depacketizer.received_ns
        )
        if self._must_accept(strangers, received_ns):
            self._stats.packets_ignored -= len(strangers.packets)
            packets = strangers.take()
            self._adopt(kind, ssrc, _HEADER.unpack_from(packets[0][0])[2])
            for packet, packet_received_ns in packets:
                self.receive(memoryview(packet), 0, len(packet), len(packet), packet_received_ns)
        return False

    def _is_announced(self, ssrc: int, sequence: int) -> bool:
        """Return whether a packet of the right type is the first of this stream, according to the announcement."""
        if self._expected >= 0:
            return ssrc == self._announced.ssrc and not self._announced.is_confirmed
        if self._announced.ssrc < 0 and self._announced.sequence < 0:
            return True
        return ssrc == self._announced.ssrc or sequence == self._announced.sequence

    def _must_accept(self, strangers: "_Strangers", received_ns: int) -> bool:
        """Return whether to accept the kept packets as the stream, because no other packets arrive."""
        if len(strangers.packets) < 2:
            return False
        if self._expected < 0:
            return received_ns - strangers.first_ns > UNANNOUNCED_NS
        if self.reception.packets < MIN_ESTABLISHED_PACKETS and not self._announced.is_confirmed:
            return True
        return received_ns - self._depacketizer.received_ns > SILENCE_NS

    def _adopt(self, kind: int, ssrc: int, sequence: int) -> None:
        """Switch the stream to this payload type and synchronization source."""
        self._payload_type = kind
        self._use(self._formats.get(kind, self._depacketizer))
        self._announced.is_confirmed = ssrc == self._announced.ssrc or (
            self._expected < 0 and sequence == self._announced.sequence
        )
        if self._expected < 0 or sequence != self._expected:
            self._restart(ssrc, sequence)
        self.reception.ssrc = ssrc

    def _push_doubtful(
        self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int
    ) -> None:
        found = self._find(bytes(data[start:stop])) if self._find is not None else None
        if found is not None:
            self._use(found)
        self._doubts -= 1
        if not self._doubts:
            self._push = self._depacketizer.push
        self._depacketizer.push(data, start, stop, pts, marker, received_ns)

    def _use(self, depacketizer: Depacketizer) -> None:
        if depacketizer is not self._depacketizer:
            self._depacketizer.gap()
            depacketizer.gap()
            self._depacketizer = depacketizer
            if not self._doubts:
                self._push = depacketizer.push

    def _look_again(self) -> None:
        if self._find is not None:
            self._doubts, self._push = MAX_DOUBTS, self._push_doubtful

    def _restart(self, ssrc: int, sequence: int) -> None:
        """Begin a new sequence, possibly with a new time line."""
        if self._expected >= 0:
            self._held.clear()
            if ssrc != self.reception.ssrc:
                self._clock.set(0, 0)
                self.reception.report = None
            self._depacketizer.gap()
        self._expected = sequence
        self.reception.restart(ssrc, sequence)
        self._look_again()

    def _renumber(self, sequence: int) -> bool:
        """Return whether to accept a packet that does not have the next number, when packets arrive in order."""
        reception = self.reception
        self._odd_numbers = self._odd_numbers + 1 if reception.packets == self._odd_at else 1
        ahead = sequence - self._expected & 0xFFFF
        if self._odd_numbers > MAX_ODD_NUMBERS or (ahead == 1 and sequence == 1):
            pass  # Numbers are ignored; or 0 is skipped at the wrap-around.
        elif ahead == 0xFFFF:
            self._odd_at = reception.packets
            return False  # A repeated packet.
        elif ahead <= _MAX_JUMP:
            self._stats.packets_lost += ahead
            self._depacketizer.gap()
        else:
            self._stats.sequence_restarts += 1
            reception.restart(reception.ssrc, sequence)
            self._depacketizer.restart()
            self._look_again()
        self._odd_at = reception.packets + 1
        return True

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
            return  # Late or duplicate: it was already given up.
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
        """Continue after missing packets that will not arrive."""
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
    """Return the parts of a framed packet: before its number, the number, the rest of the headers, the body."""
    return struct.Struct(f">6sH{rest_bytes}s{size_bytes - 8 - rest_bytes}s")


class _Strangers:
    """Consecutive packets of one other synchronization source, which may turn out to be the stream. Bounded. Owner:
    a receiver."""

    def __init__(self) -> None:
        self.packets: list[tuple[bytes, int]] = []
        """(packet, time of reception)"""
        self.first_ns = 0
        """Arrival time of the first packet of any other source."""
        self.since_ns = 0
        self._size_bytes = 0
        self._source = (-1, -1)
        self._expected = -1

    def add(self, packet: bytes, kind: int, ssrc: int, sequence: int, received_ns: int, ours_ns: int) -> None:
        """Add a packet. `ours_ns`: arrival time of the stream's last packet; packets kept before that do not belong
        to it."""
        is_more = self.go_on_with(kind, ssrc, sequence) and self.since_ns >= ours_ns
        if not is_more or self._size_bytes > MAX_STRANGERS_BYTES:
            self.packets.clear()
            self.since_ns, self._size_bytes = received_ns, 0
        self.first_ns = self.first_ns or received_ns
        self.packets.append((packet, received_ns))
        self._size_bytes += len(packet) + 100
        self._source, self._expected = (kind, ssrc), sequence + 1 & 0xFFFF

    def go_on_with(self, kind: int, ssrc: int, sequence: int) -> bool:
        return sequence == self._expected and (kind, ssrc) == self._source

    def take(self) -> list[tuple[bytes, int]]:
        taken, self.packets = self.packets, []
        self._size_bytes, self._source = 0, (-1, -1)
        return taken
