"""Audio over RTP: AAC (RFC 3640) and G.711 (RFC 3551). A lost packet causes only a short silence."""

from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.sources.base import SourceStats
from ninjacam.sources.rtsp.rtp import Depacketizer
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.unit_delivery import Emit

MAX_FRAME_BYTES = 65_536
_AAC_SAMPLES = 1024


class AudioDepacketizer(Depacketizer):
    """G.711: a packet is a frame, and a byte is a sample of one channel."""

    def __init__(
        self, codec: Codec, clock_hz: int, channels: int, emit: Emit, stats: SourceStats, clock: TrackClock
    ) -> None:
        self._codec = codec
        self._clock_hz = clock_hz
        self._channels = channels
        self._emit = emit
        self._stats = stats
        self._clock = clock
        self._missing = False
        self._started = False

    def gap(self) -> None:
        self._missing = True

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        self.received_ns = received_ns
        self._send(bytes(data[start:stop]), pts, (stop - start) // self._channels, received_ns)

    def _send(self, data: bytes, pts: int, samples: int, received_ns: int) -> None:
        if not data:
            return
        flags = Flags.KEY
        if not self._started:
            flags |= Flags.CONFIG
        elif self._missing:
            flags |= Flags.DISCONT
        self._started, self._missing = True, False
        self._emit(
            Packet(
                Kind.AUDIO,
                self._codec,
                data,
                pts,
                received_ns,
                time_base_hz=self._clock_hz,
                duration=samples,
                flags=flags,
                captured_ns=self._clock.captured_ns(pts),
            )
        )


class AacDepacketizer(AudioDepacketizer):
    """AAC-hbr and -lbr: `size_bits` and `index_bits` are sizelength and indexlength of the SDP."""

    def __init__(
        self,
        clock_hz: int,
        emit: Emit,
        stats: SourceStats,
        clock: TrackClock,
        *,
        size_bits: int = 13,
        index_bits: int = 3,
    ) -> None:
        super().__init__(Codec.AAC, clock_hz, 1, emit, stats, clock)
        self._size_bits = size_bits
        self._header_bits = size_bits + index_bits
        self._fragment = bytearray()
        self._fragment_bytes = 0

    def gap(self) -> None:
        super().gap()
        self._fragment.clear()

    def push(self, data: memoryview, start: int, stop: int, pts: int, marker: bool, received_ns: int) -> None:
        self.received_ns = received_ns
        if start >= stop:
            return None
        if stop - start < 4:
            return self._damage()
        if _is_adts(data, start, stop):  # No AU headers at all.
            return self._push_adts(data, start, stop, pts, received_ns)
        count = (data[start] << 8 | data[start + 1]) // self._header_bits
        headers = int.from_bytes(data[start + 2 : start + 2 + self._header_bytes(count)], "big")
        at = start + 2 + self._header_bytes(count)
        if not count or at > stop:
            return self._damage()
        spare = self._header_bytes(count) * 8 - count * self._header_bits
        for index in range(count):
            shift = spare + (count - 1 - index) * self._header_bits + self._header_bits - self._size_bits
            size = headers >> shift & (1 << self._size_bits) - 1
            if at + size > stop:
                if count == 1:
                    return self._add_fragment(bytes(data[at:stop]), size, pts, received_ns)
                return self._damage()
            begin = at + _adts_header_bytes(data, at) if _is_adts(data, at, at + size) else at
            self._send(bytes(data[begin : at + size]), pts + index * _AAC_SAMPLES, _AAC_SAMPLES, received_ns)
            at += size
        return None

    def _push_adts(self, data: memoryview, at: int, stop: int, pts: int, received_ns: int) -> None:
        """Push complete ADTS frames (ISO/IEC 14496-3, 1.A.3.2), which some cameras send instead of the RFC 3640
        format."""
        while _is_adts(data, at, stop):
            behind = at + _adts_frame_bytes(data, at)
            begin = at + _adts_header_bytes(data, at)
            self._send(bytes(data[begin:behind]), pts, _AAC_SAMPLES, received_ns)
            at, pts = behind, pts + _AAC_SAMPLES

    def _header_bytes(self, count: int) -> int:
        return (count * self._header_bits + 7) // 8

    def _add_fragment(self, data: bytes, size: int, pts: int, received_ns: int) -> None:
        """Assemble one frame from several packets (section 3.2.3). The header of each contains the size of the whole
        frame."""
        if size != self._fragment_bytes:
            self._fragment.clear()
            self._fragment_bytes = size
        self._fragment += data
        if len(self._fragment) >= size:
            self._send(bytes(self._fragment[:size]), pts, _AAC_SAMPLES, received_ns)
            self._fragment.clear()

    def _damage(self) -> None:
        self._missing = True
        self._stats.access_units_dropped += 1


def _is_adts(data: memoryview, at: int, stop: int) -> bool:
    """Return whether a complete ADTS frame starts at `at`: its sync word, and a length that fits."""
    if stop - at < 8 or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return False
    return _adts_header_bytes(data, at) < _adts_frame_bytes(data, at) <= stop - at


def _adts_header_bytes(data: memoryview, at: int) -> int:
    return 7 if data[at + 1] & 1 else 9


def _adts_frame_bytes(data: memoryview, at: int) -> int:
    return (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
