"""Rubbish into every parser: bounded time, bounded memory, and no error but our own."""

import asyncio
import random

import pytest

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, SourceError
from ninjacam.core.packets import Codec
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceStats
from ninjacam.sources.parameter_sets import ParameterSetCache
from ninjacam.sources.rtsp.audio import AacDepacketizer
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.h264 import H264Depacketizer
from ninjacam.sources.rtsp.h265 import H265Depacketizer
from ninjacam.sources.rtsp.jpeg import JpegDepacketizer
from ninjacam.sources.rtsp.messages import parse_head
from ninjacam.sources.rtsp.rtcp import parse_rtcp
from ninjacam.sources.rtsp.rtp import Depacketizer, RtpReceiver
from ninjacam.sources.rtsp.sdp import parse_sdp, sprop_annexb
from ninjacam.sources.rtsp.tracks import choose_tracks
from ninjacam.sources.track_clock import TrackClock
from ninjacam.sources.urls import parse_url
from ninjacam.testing.clock import FakeClock
from tests.unit.sources.rtp_support import IDR, PPS, SLICE, SPS, Sink, fu_a, interleaved, rtp, stap_a
from tests.unit.sources.test_rtsp_parts import IDR5, PPS5, SDP, SPS5, VPS5, jpeg_payload

ROUNDS = 300


def mutated(data: bytes, chance: random.Random) -> bytes:
    """Bytes changed, cut out, doubled and inserted."""
    broken = bytearray(data)
    for _ in range(chance.randrange(1, 8)):
        at = chance.randrange(len(broken))
        match chance.randrange(4):
            case 0:
                broken[at] = chance.randrange(256)
            case 1:
                del broken[at : at + chance.randrange(1, 40)]
            case 2:
                broken[at:at] = chance.randbytes(chance.randrange(1, 40))
            case _:
                broken[at:at] = broken[at : at + chance.randrange(1, 40)]
        if not broken:
            return b"\x00"
    return bytes(broken)


def stream_of(payloads: list[bytes]) -> bytes:
    last = len(payloads) - 1
    pictures = [
        rtp(number * len(payloads) + index, number * 3600, payload, marker=index == last)
        for number in range(6)
        for index, payload in enumerate(payloads)
    ]
    return interleaved(pictures)


def depacketizer_of(codec: Codec, sink: Sink, stats: SourceStats) -> Depacketizer:
    clock = TrackClock(90_000)
    if codec is Codec.H264:
        return H264Depacketizer(codec, ParameterSetCache(codec), sink, stats, clock)
    if codec is Codec.H265:
        return H265Depacketizer(ParameterSetCache(codec), sink, stats, clock)
    if codec is Codec.AAC:
        return AacDepacketizer(48_000, sink, stats, clock)
    return JpegDepacketizer(sink, stats, clock)


PAYLOADS = {
    Codec.H264: [stap_a(SPS, PPS), *fu_a(IDR, 60), SLICE],
    Codec.H265: [VPS5, SPS5, PPS5, b"\x62\x01\x93" + IDR5[2:40], b"\x62\x01\x53" + IDR5[40:]],
    Codec.MJPEG: [jpeg_payload(0, b"abcd", kind=65, quality=200, extra=b"\x00\x04\xff\xff\x00\x00\x00\x40" + bytes(64)),
                  jpeg_payload(4, b"efgh")],
    Codec.AAC: [b"\x00\x10\x00\x18abc", b"\x00\x20\x00\x18\x00\x20abcdefg"],
}  # fmt: skip


@pytest.mark.parametrize("codec", list(PAYLOADS))
def test_a_mutated_stream_yields_only_packets_or_our_errors(codec: Codec) -> None:
    chance = random.Random(11)
    whole = stream_of(PAYLOADS[codec])

    async def play() -> int:
        delivered = 0
        for _ in range(ROUNDS):
            connection = RtspConnection(SYSTEM_CLOCK, "camera")
            sink, stats = Sink(), SourceStats()
            receiver = RtpReceiver(96, 90_000, depacketizer_of(codec, sink, stats), TrackClock(90_000), stats)
            connection.handle(0, receiver.receive)
            data = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n" + mutated(whole, chance)
            while data and not connection.ended.done():
                piece, data = data[:500], data[500:]
                connection.get_buffer(-1)[: len(piece)] = piece
                connection.buffer_updated(len(piece))
            if connection.ended.done():
                assert isinstance(connection.ended.exception(), SourceError)
            receiver.receiver_report(1, 10**12)
            delivered += len(sink.packets)
        return delivered

    assert asyncio.run(play()) > ROUNDS  # most of each stream survives


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
def test_packets_read_in_one_batch_equal_those_read_one_by_one(codec: Codec) -> None:
    chance = random.Random(17)
    if codec is Codec.H264:
        picture = [stap_a(SPS, PPS), *fu_a(IDR + chance.randbytes(1_000), 60)]
    else:
        body = chance.randbytes(960)
        middles = [b"\x62\x01\x13" + body[at : at + 60] for at in range(0, 960, 60)]
        picture = [VPS5, SPS5, PPS5, b"\x62\x01\x93" + IDR5[2:40], *middles, b"\x62\x01\x53" + IDR5[40:]]

    async def play(packets: list[bytes], *, at_once: bool) -> tuple[list[bytes], int, int]:
        connection = RtspConnection(SYSTEM_CLOCK, "camera")
        sink, stats = Sink(), SourceStats()
        receiver = RtpReceiver(96, 90_000, depacketizer_of(codec, sink, stats), TrackClock(90_000), stats)
        connection.handle(0, receiver.receive)
        for piece in [b"".join(packets)] if at_once else packets:
            connection.get_buffer(-1)[: len(piece)] = piece
            connection.buffer_updated(len(piece))
        assert not connection.ended.done()
        return sink.data, stats.packets_lost, receiver.reception.packets

    for _ in range(200):
        packets = []
        for number, payload in enumerate(picture * 4):
            stamp = number // len(picture) * 3600
            packets.append(interleaved([rtp(65_500 + number, stamp, payload, marker=payload is picture[-1])]))
        for _ in range(chance.choice((0, 0, 1, 3))):
            at = chance.randrange(len(packets) - 1)
            match chance.choice(("lost", "twice", "swapped")):
                case "lost":
                    del packets[at]
                case "twice":
                    packets.insert(at, packets[at])
                case _:
                    packets[at : at + 2] = packets[at + 1], packets[at]
        one_by_one = asyncio.run(play(packets, at_once=False))
        assert asyncio.run(play(packets, at_once=True)) == one_by_one
        assert len(one_by_one[0]) >= 1


def test_pure_noise_on_the_wire_ends_the_connection() -> None:
    async def play() -> None:
        chance = random.Random(5)
        connection = RtspConnection(SYSTEM_CLOCK, "camera")
        answer = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n"
        connection.get_buffer(-1)[: len(answer)] = answer
        connection.buffer_updated(len(answer))
        connection.handle(0, lambda data, start, stop, end, received_ns: stop)
        for _ in range(300):
            room = connection.get_buffer(-1)
            assert len(room) > 0
            noise = chance.randbytes(min(len(room), 4096))
            room[: len(noise)] = noise
            connection.buffer_updated(len(noise))
            if connection.ended.done():
                break
        assert isinstance(connection.ended.exception(), SourceError)

    asyncio.run(play())


def test_messages_without_an_end_are_refused() -> None:
    async def play(data: bytes) -> None:
        connection = RtspConnection(SYSTEM_CLOCK, "camera")
        for _ in range(4_000):
            room = connection.get_buffer(-1)
            size = min(len(room), len(data))
            room[:size] = data[:size]
            connection.buffer_updated(size)
            if connection.ended.done():
                break
        assert isinstance(connection.ended.exception(), SourceError)

    for data in (
        b"RTSP/1.0 200 OK\r\n" + b"X: y\r\n" * 500,
        b"RTSP/1.0 200 OK\r\nContent-Length: 900000\r\n\r\n",
    ):
        asyncio.run(play(data))


def test_text_parsers_raise_no_other_errors() -> None:
    chance = random.Random(3)
    head = b'RTSP/1.0 401 Unauthorized\r\nCSeq: 2\r\nWWW-Authenticate: Digest realm="x", nonce="1", qop="auth"\r\n'
    report = bytes.fromhex("80c80006000000078000000080000000000023280000000100000002") + bytes.fromhex(
        "81cb000100000007"
    )
    for _ in range(ROUNDS * 3):
        try:
            message, _ = parse_head(mutated(head, chance))
            login = Authenticator("u", "p")
            login.take_challenge(message.headers.get("www-authenticate", []))
            login.header("GET", "/")
        except SourceError:
            pass
        try:
            description = parse_sdp(mutated(SDP, chance))
            for media in description.media:
                for form in media.formats:
                    sprop_annexb(form)
            choose_tracks(description, Sink(), SourceStats(), audio=True)
        except SourceError:
            pass
        parse_rtcp(mutated(report, chance))
        try:
            parse_url(mutated(b"rtsp://u:p@[::1]:554/a?b=c", chance).decode("latin-1"))
        except ConfigError:
            continue


@pytest.mark.parametrize("marker", [False, True])
def test_a_flood_of_parameter_sets_without_pictures_has_a_constant_cost_each(marker: bool) -> None:
    """Sixteen cameras share a process: one of them must not hold its event loop for seconds."""
    sink, stats = Sink(), SourceStats()
    clock = TrackClock(90_000)
    depacketizer = H264Depacketizer(Codec.H264, ParameterSetCache(Codec.H264), sink, stats, clock)
    for number in range(5_000):
        depacketizer.push(memoryview(SPS), 0, len(SPS), number * 10, marker, 0)
        assert len(depacketizer._starts) <= 40
    depacketizer.push(memoryview(stap_a(SPS, PPS)), 0, len(stap_a(SPS, PPS)), 10**6, False, 0)
    depacketizer.push(memoryview(IDR), 0, len(IDR), 10**6, True, 0)
    depacketizer.settle(10**10)
    assert len(sink.packets) == 1


@pytest.mark.parametrize(
    "talk", [b"\r\n", b"OPTIONS * RTSP/1.0\r\n\r\n", b"RTSP/1.0 200 OK\r\nCSeq: 9\r\n\r\n"]
)
def test_endless_unsolicited_messages_end_the_connection(talk: bytes) -> None:
    async def play() -> None:
        connection = RtspConnection(SYSTEM_CLOCK, "camera")
        connection._spoke = True
        data = talk * (65_536 // len(talk))
        for _ in range(4):
            connection.get_buffer(-1)[: len(data)] = data
            connection.buffer_updated(len(data))
        assert isinstance(connection.ended.exception(), SourceError)

    asyncio.run(play())


def test_a_camera_that_costs_too_much_pauses_for_as_long_as_it_ran() -> None:
    class Transport(asyncio.Transport):
        reading = True

        def is_closing(self) -> bool:
            return False

        def pause_reading(self) -> None:
            self.reading = False

        def resume_reading(self) -> None:
            self.reading = True

    async def play() -> None:
        clock = FakeClock()
        connection = RtspConnection(clock, "camera")
        transport = Transport()
        connection.connection_made(transport)

        def take_long(data: memoryview, start: int, stop: int, end: int, received_ns: int) -> int:
            clock.advance(0.03)
            return stop

        connection.handle(0, take_long)
        packet = interleaved([rtp(1, 1, b"x")])
        connection.get_buffer(-1)[: len(packet)] = packet
        connection.buffer_updated(len(packet))
        assert not transport.reading
        await asyncio.sleep(0.1)
        assert transport.reading

    asyncio.run(play())
