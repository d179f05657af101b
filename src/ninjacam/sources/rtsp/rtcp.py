"""RTCP (RFC 3550, section 6): the camera's wall clock from its sender reports, and our receiver reports."""

import struct
from dataclasses import dataclass, field

NTP_UNIX_OFFSET_S = 2_208_988_800
SENDER_REPORT, RECEIVER_REPORT, DESCRIPTION, GOODBYE = 200, 201, 202, 203
_SENDER = struct.Struct(">IIIII")
MIN_JITTER_FRAMES = 32
"""Number of frames after which the jitter is known. It is averaged over 16 frames."""
_MAX_PAUSE_S = 10


@dataclass(slots=True)
class SenderReport:
    """`wall_ns`: the camera's time since 1970 at `rtp_timestamp`; `middle_ntp` is returned in our report."""

    ssrc: int
    wall_ns: int
    rtp_timestamp: int
    middle_ntp: int


def parse_rtcp(data: bytes) -> tuple[SenderReport | None, set[int]]:
    """Return (the sender report or None; the synchronization sources that sent BYE) of a compound packet, up to its
    first malformed part."""
    report: SenderReport | None = None
    gone: set[int] = set()
    at = 0
    while at + 8 <= len(data) and data[at] >> 6 == 2:
        kind = data[at + 1]
        stop = at + 4 + 4 * int.from_bytes(data[at + 2 : at + 4], "big")
        if stop > len(data):
            break
        if kind == SENDER_REPORT and stop - at >= 28:
            ssrc, seconds, fraction, timestamp, _packets = _SENDER.unpack_from(data, at + 4)
            wall_ns = (seconds - NTP_UNIX_OFFSET_S) * 1_000_000_000 + (fraction * 1_000_000_000 >> 32)
            report = SenderReport(ssrc, wall_ns, timestamp, (seconds & 0xFFFF) << 16 | fraction >> 16)
        elif kind == GOODBYE:
            for index in range(data[at] & 0x1F):
                place = at + 4 + 4 * index
                if place + 4 <= stop:
                    gone.add(int.from_bytes(data[place : place + 4], "big"))
        at = stop
    return report, gone


@dataclass(slots=True)
class ReceptionState:
    """Reception statistics of one synchronization source. `packets` counts received packets in order,
    `earlier_packets` those of earlier sources and sequences."""

    clock_hz: int
    ssrc: int = -1
    packets: int = 0
    earlier_packets: int = 0
    first_sequence: int = 0
    jitter: float = 0.0
    report: SenderReport | None = None
    report_received_ns: int = 0
    _is_read_at_once: bool = field(default=True, repr=False)
    _frames: int = field(default=0, repr=False)
    _newest_pts: int = field(default=0, repr=False)
    _transit: float = field(default=0.0, repr=False)
    _reported_expected: int = field(default=0, repr=False)
    _reported_packets: int = field(default=0, repr=False)

    def restart(self, ssrc: int, sequence: int) -> None:
        self.earlier_packets += self.packets
        self.ssrc, self.packets, self.first_sequence = ssrc, 0, sequence
        self._transit = self.jitter = 0.0
        self._frames = 0
        self._reported_expected = self._reported_packets = 0

    def set_read_at_once(self, *, is_read_at_once: bool) -> None:
        """Set whether packets are read when they arrive. Otherwise the jitter cannot be measured and keeps its last
        value."""
        if is_read_at_once and not self._is_read_at_once:
            self._transit, self._frames = 0.0, 0
        self._is_read_at_once = is_read_at_once

    @property
    def jitter_s(self) -> float | None:
        """Return the current jitter, or None if it is not being measured."""
        is_known = self._is_read_at_once and self._frames >= MIN_JITTER_FRAMES
        return self.jitter / self.clock_hz if is_known else None

    def note_arrival(self, pts: int, received_ns: int) -> None:
        """Update the jitter, once per frame (RFC 3550, A.8): the packets of a frame share its timestamp and would
        count as jitter. Not for B-frames, which the camera sends later than frames that are displayed after them.
        """
        if not self._is_read_at_once:
            return
        if -self.clock_hz * _MAX_PAUSE_S < pts - self._newest_pts < 0:
            return
        self._newest_pts = pts
        transit = received_ns * 1e-9 * self.clock_hz - pts
        if self._transit:
            difference = abs(transit - self._transit)
            if difference < self.clock_hz * _MAX_PAUSE_S:
                self._frames += 1
                self.jitter += (difference - self.jitter) / 16
        self._transit = transit

    def report_block(self, next_sequence: int, now_ns: int) -> bytes:
        """Return a report block (RFC 3550, section 6.4.1). `next_sequence`: the next expected number, 16 bits."""
        received = self.packets
        expected = received + (next_sequence - self.first_sequence - received & 0xFFFF)
        lost = max(0, expected - received)
        interval = expected - self._reported_expected
        interval_lost = interval - (received - self._reported_packets)
        self._reported_expected, self._reported_packets = expected, received
        fraction = min(255, 256 * interval_lost // interval) if interval > 0 and interval_lost > 0 else 0
        last, delay = 0, 0
        if self.report is not None:
            last = self.report.middle_ntp
            delay = (now_ns - self.report_received_ns) * 65_536 // 1_000_000_000
        return struct.pack(
            ">IIIIII",
            self.ssrc,
            fraction << 24 | min(lost, 0x7F_FFFF),
            self.first_sequence + expected - 1 & 0xFFFF_FFFF,
            int(self.jitter) & 0xFFFF_FFFF,
            last,
            delay & 0xFFFF_FFFF,
        )


def receiver_report(own_ssrc: int, block: bytes) -> bytes:
    """Return a compound packet: the report (`block` may be empty) and the canonical name, which the RFC requires."""
    count = len(block) // 24
    report = struct.pack(">BBHI", 0x80 | count, RECEIVER_REPORT, 1 + 6 * count, own_ssrc) + block
    name = b"ninjacam"
    items = struct.pack(">IBB", own_ssrc, 1, len(name)) + name + b"\x00"
    items += b"\x00" * (-len(items) % 4)
    return report + struct.pack(">BBH", 0x81, DESCRIPTION, len(items) // 4) + items
