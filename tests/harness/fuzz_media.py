"""Malformed RTP packets: valid parts in invalid combinations, then damaged.

`run_fuzz` is deterministic for a seed. It fails with any unexpected exception, and if a valid stream that follows does
not arrive complete.
"""

import random
from collections.abc import Callable

from ninjacam.capture.timeline import PacketClock
from ninjacam.core.packets import Codec, Packet
from ninjacam.sources.access_units import MAX_ACCESS_UNIT_BYTES
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.rtsp.audio import AacDepacketizer
from ninjacam.sources.rtsp.h264 import H264Depacketizer
from ninjacam.sources.rtsp.h265 import H265Depacketizer
from ninjacam.sources.rtsp.jpeg import JpegDepacketizer
from ninjacam.sources.rtsp.payload_codec import codec_of_payload
from ninjacam.sources.rtsp.rtp import Depacketizer, RtpReceiver
from ninjacam.sources.track_clock import TrackClock
from ninjacam.testing.clock import FakeClock
from tests.unit.sources.rtp_support import (
    IDR,
    OTHER_SPS,
    PPS,
    SLICE,
    SPS,
    SSRC,
    fu_a,
    interleaved,
    rtp,
    stap_a,
)
from tests.unit.sources.test_h264 import field, interlaced_sps
from tests.unit.sources.test_rtsp_parts import IDR5, PPS5, SPS5, VPS5

CODE = b"\0\0\0\1"
_JPEG = bytes([0, 0, 0, 0, 1, 50, 8, 6])
_ADTS = bytes([0xFF, 0xF1, 0x60, 0x40, 1, 0x3F, 0xFC])
PARTS = {
    "h264": [
        SPS, OTHER_SPS, PPS, IDR, SLICE, b"\x06\x06\x01\x84\x80", b"\x06\x06\x02\x0a\x40\x80", b"\x09\xf0",
        interlaced_sps(), field(5, 0, bottom=False), field(1, 0, bottom=True), b"\x41\x20abc", b"\x0c\xff", b"\x0a",
        CODE + SPS + CODE + PPS + CODE + IDR, b"", b"\x41", stap_a(SPS, PPS, IDR[:20]), b"\x1f\x01\x02",
        b"\x19\0\1\0\5" + SLICE[:5], b"\x1a\0\1\0\5\0\0\0" + SLICE[:5], b"\x7d\x85\0\1abc",
        *fu_a(IDR, 40), *fu_a(SLICE, 30), *fu_a(SPS + CODE + PPS + CODE + IDR, 30),
    ],
    "h265": [
        VPS5, SPS5, PPS5, IDR5, b"\x02\x01\xd0abc", b"\x02\x01\x50abc", b"\x4e\x01\x06\x01\x80", b"\x48\x01", b"",
        b"\x02", CODE + SPS5, b"\x62\x01\x93" + IDR5[2:], b"\x62\x01\x13abc", b"\x62\x01\x53", b"\x60\x01\0\5abcde",
    ],
    "jpeg": [
        _JPEG + b"ab" * 9, _JPEG[:3] + b"\x12" + _JPEG[4:] + b"cd", bytes([0, 0, 0, 0, 1, 255, 0, 0, 0, 0, 0, 64]),
        bytes([0, 0, 0, 0, 65, 255, 8, 6, 0, 4, 255, 255, 0, 3, 0, 192]) + bytes(192) + b"x",
    ],
    "aac": [b"\x00\x10\0\x30abcdef", _ADTS + bytes(60), b"\0\x20" + b"\0\x18" * 2 + b"abcdef", b"\0\x10\7\xf8abc"],
}  # fmt: skip
HEALTHY = {
    "h264": [stap_a(SPS, PPS, IDR), SLICE, SLICE],
    "h265": [b"\x60\x01" + b"".join(len(n).to_bytes(2, "big") + n for n in (VPS5, SPS5, PPS5, IDR5))],
    "jpeg": [_JPEG + b"scan\xff\xd9"],
    "aac": [b"\x00\x10\0\x30abcdef"],
}
_CODECS = {"h264": Codec.H264, "h265": Codec.H265}
_OTHERS = {"h264": "h265", "h265": "h264"}
_JPEG_EXTENSION = b"\xff\xd8\0\5\xff\xc0\0\x11\x08\1\0\1\0\3\1\x22\0\2\x11\1"


def _depacketizer(
    name: str, emit: Callable[[Packet], None], stats: SourceStats, chance: random.Random
) -> Depacketizer:
    clock = TrackClock(90_000)
    if name == "h264":
        return H264Depacketizer(Codec.H264, ParameterSetCache(Codec.H264), emit, stats, clock)
    if name == "h265":
        return H265Depacketizer(ParameterSetCache(Codec.H265), emit, stats, clock)
    if name == "jpeg":
        return JpegDepacketizer(emit, stats, clock, chance.choice([(0, 0), (64, 48)]))
    return AacDepacketizer(16_000, emit, stats, clock, size_bits=13, index_bits=3)


def _damaged(part: bytes, chance: random.Random) -> bytes:
    out = bytearray(part)
    for _ in range(chance.choice([0, 0, 0, 1, 3])):
        if out:
            out[chance.randrange(len(out))] = chance.randrange(256)
    return bytes(out[: chance.randrange(len(out) + 1)] if chance.random() < 0.1 else out)


def run_fuzz(name: str, seed: int) -> int:
    """Return the number of packets. Raises: any unexpected exception."""
    chance = random.Random(f"{name} {seed}")
    stats = SourceStats()
    timeline = PacketClock(FakeClock())
    timeline.set_reorder_depth(chance.choice([0, 2, None]))
    emitted = 0

    def emit(packet: Packet) -> None:
        nonlocal emitted
        emitted += 1
        assert 0 < len(packet.data) < 2 * MAX_ACCESS_UNIT_BYTES
        timeline.repair(packet)

    depacketizer = _depacketizer(name, emit, stats, chance)
    receiver = RtpReceiver(96, 90_000, depacketizer, TrackClock(90_000), stats, ordered=chance.random() < 0.8)
    if name in _OTHERS:  # the camera may send the other codec, with another payload type or the same
        by_codec: dict[Codec | None, Depacketizer] = {
            _CODECS[name]: depacketizer,
            _CODECS[_OTHERS[name]]: _depacketizer(_OTHERS[name], emit, stats, chance),
        }
        receiver.offer(97, by_codec[_CODECS[_OTHERS[name]]])
        receiver.doubt(lambda payload: by_codec.get(codec_of_payload(payload)))
    if chance.random() < 0.5:
        receiver.announce(chance.choice([SSRC, 9]), chance.choice([None, 7]))
    sequence, timestamp, now_ns = chance.randrange(1 << 16), chance.randrange(1 << 32), 10**12
    count = chance.randrange(5, 60)

    def put(packets: list[bytes]) -> None:
        data = memoryview(interleaved(packets))
        at = 0
        while at < len(data):
            stop = at + 4 + int.from_bytes(data[at + 2 : at + 4], "big")
            at = receiver.receive(data, at + 4, stop, len(data), now_ns)

    for _ in range(count):
        packet = rtp(
            sequence,
            timestamp,
            _damaged(
                chance.choice(PARTS[_OTHERS.get(name, name) if chance.random() < 0.02 else name]), chance
            ),
            marker=chance.random() < 0.4,
            kind=chance.choice([96] * 30 + [97, 72, 50]),
            ssrc=chance.choice([SSRC] * 20 + [9, 10]),
        )
        if chance.random() < 0.05:
            packet = bytes([0x80 | chance.randrange(64)]) + packet[1:]
        elif chance.random() < 0.03:
            packet = b"\x90" + packet[1:12] + _JPEG_EXTENSION + packet[12:]
        put([packet] * chance.randrange(1, 3))
        sequence += chance.choice([1] * 20 + [0, 2, 5000, -3])
        now_ns += chance.choice([0, 10**7, 10**8, 2 * 10**9])
        if chance.random() < 0.4:
            timestamp += chance.choice([3600, 3600, 1, -3600, 10**9])
        if chance.random() < 0.05:
            receiver.settle(now_ns)
        if chance.random() < 0.02:
            receiver.resync()
    before = emitted
    for number in range(120):
        sequence, timestamp, now_ns = sequence + 1, timestamp + 3600, now_ns + 40_000_000
        healthy = HEALTHY[name]
        put([rtp(sequence, timestamp, healthy[number % len(healthy)], marker=True)])
    assert emitted - before > 30, f"a healthy stream did not come through: {emitted - before} of 120, {stats}"
    return count + 120
