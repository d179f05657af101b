"""MPEG transport streams over UDP on the loopback interface: senders, groups, RTP, floods and garbage."""

import asyncio
import io
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_address
from itertools import pairwise

import av
import pytest

from ninjacam.core import errors
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.packets import Codec, Packet
from ninjacam.core.redact import split_credentials
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.multicast import is_media_group
from ninjacam.sources.registry import check_url, open_source, runs_native_code
from ninjacam.sources.transport_stream import PACKET_BYTES, packets_in_datagram
from ninjacam.sources.udp import (
    MAX_DATAGRAMS_PER_S,
    _Allowance,
    _Datagrams,
    _find_sender,
    _listen,
    open_udp,
    parse_udp,
)
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.unit.sources.collected_packets import Packets
from tests.unit.sources.test_publish import in_loop

GROUP = "239.255.77.8"
FRAMES = 60


@pytest.fixture(scope="module")
def stream() -> bytes:
    """A transport stream of H.264, with a key frame every ten frames."""
    clip = make_clip(SceneOptions(width=160, height=120, seconds=FRAMES / 25, gop=10))
    raw = io.BytesIO(b"".join(unit.data for unit in clip.video.units))
    made = io.BytesIO()
    with av.open(raw, "r", format="h264") as template, av.open(made, "w", format="mpegts") as output:
        track = output.add_stream_from_template(template.streams.video[0])
        for number, unit in enumerate(clip.video.units):
            packet = av.Packet(unit.data)
            packet.stream, packet.time_base = track, Fraction(1, 25)
            packet.pts = packet.dts = number
            packet.is_keyframe = unit.key
            output.mux(packet)
    return made.getvalue()


def datagrams(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 7 * PACKET_BYTES):
        yield data[at : at + 7 * PACKET_BYTES]


def in_rtp(data: bytes, number: int, payload_type: int = 33) -> bytes:
    """With a contributing source and an extension."""
    head = struct.pack(">BBHIII", 0x91, 0x80 | payload_type, number, number * 3600, 7, 9)
    return head + struct.pack(">HHI", 0xABAC, 1, 5) + data


@contextmanager
def free_port() -> Iterator[int]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as found:
        found.bind(("127.0.0.1", 0))
        port = int(found.getsockname()[1])
    yield port


def sender_at(address: str = "127.0.0.1") -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind((address, 0))
    made.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, ip_address("127.0.0.1").packed)
    return made


def config(port: int, host: str = "127.0.0.1", query: str = "", **changes: object) -> SourceConfig:
    made = SourceConfig(f"udp://{host}:{port}{query}", open_timeout_s=5, read_timeout_s=3)
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


async def receive(
    source_config: SourceConfig, send: Iterator[tuple[socket.socket, bytes]], to: str, count: int
) -> tuple[list[Packet], Exception | None]:
    """Send a datagram every 2 ms while the source is open. Return the packets, up to `count`, and its error."""
    port = parse_udp(source_config.url).port

    async def feed() -> None:
        for made, data in send:
            made.sendto(data, (to, port))
            await asyncio.sleep(0.002)

    packets = Packets(count)
    feeding = asyncio.ensure_future(feed())
    try:
        source = await open_source(source_config)
        running = asyncio.ensure_future(source.run(packets.take))
        waiting = asyncio.ensure_future(packets.enough.wait())
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        ended_by_itself = running.done()
        await source.close()
        (error,) = await asyncio.gather(running, return_exceptions=True)
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    assert isinstance(error, errors.SourceError)
    return packets, error if ended_by_itself else None


def is_port_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
    return True


# URLs -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "address", "port"),
    [
        ("udp://:5000", "0.0.0.0", 5000),
        ("udp://@:5000", "0.0.0.0", 5000),
        ("udp://@239.1.2.3:1234", "239.1.2.3", 1234),
        ("udp://239.1.2.3:1234?pkt_size=1316&fifo_size=1000", "239.1.2.3", 1234),
        ("udp://192.168.1.5:5000", "192.168.1.5", 5000),
        ("udp://[::]:5000", "::", 5000),
        ("udp://[ff15::1234]:5000", "ff15::1234", 5000),
    ],
)
def test_a_url_names_where_to_listen(url: str, address: str, port: int) -> None:
    check_url(url)
    target = parse_udp(split_credentials(url)[0])
    assert (str(target.address), target.port, target.sender) == (address, port, None)


def test_a_url_names_the_sender_and_the_interface() -> None:
    target = parse_udp("udp://@239.1.2.3:1234?sources=192.168.1.20&localaddr=192.168.1.5")
    assert (str(target.sender), target.interface) == ("192.168.1.20", "192.168.1.5")


@pytest.mark.parametrize(
    "url",
    [
        "udp://239.1.2.3",
        "udp://:80",
        "udp://:99999",
        "udp://224.0.0.251:5353",  # mDNS
        "udp://[ff02::fb]:5353",
        "udp://255.255.255.255:5000",
        "udp://240.0.0.1:5000",
        "udp://camera.lan:5000",
        "udp://bob:hunter2@239.1.2.3:1234",
        "udp://192.168.1.20@239.1.2.3:1234",
        "udp://:5000?sources=camera",
        "udp://[::5000",
        "udp://@239.1.2.3:1234?localaddr=fe80::1",
        "udp://[ff05::1234]:5000?localaddr=192.168.1.5",
        "udp://@239.1.2.3:1234?sources=2001:db8::1",
        "udp://:5000?sources=2001:db8::1",
    ],
)
def test_other_urls_are_refused_with_a_sentence(url: str) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        check_url(url)
    assert "hunter2" not in caught.value.message


def test_groups_of_routing_and_naming_protocols_are_never_joined() -> None:
    joined = ("239.1.2.3", "232.1.1.1", "224.1.1.1", "ff05::2", "ff3e::1")
    assert all(is_media_group(ip_address(text)) for text in joined)
    refused = ("224.0.0.1", "224.0.0.251", "ff02::1", "ff01::1", "10.0.0.1", "::1")
    assert not any(is_media_group(ip_address(text)) for text in refused)


# Datagrams ------------------------------------------------------------------------------------------------------------


def test_only_whole_transport_packets_are_taken_from_a_datagram() -> None:
    packets = (b"G" + bytes(PACKET_BYTES - 1)) * 3
    assert packets_in_datagram(packets) == packets
    assert packets_in_datagram(packets + b"Gxyz") == packets
    assert packets_in_datagram(in_rtp(packets, 1)) == packets
    padded = bytes([0xB1]) + in_rtp(packets, 1)[1:] + b"\0\0\0\4"
    assert packets_in_datagram(padded) == packets
    for other in (
        b"",
        b"G",
        b"G" * 187,
        bytes(376),
        packets[:188] + bytes(188),
        in_rtp(packets, 1, payload_type=96),
        in_rtp(b"", 1),
        in_rtp(packets, 1)[:14],
        b"\xbf\x21" + b"\xff" * 40,
    ):
        assert packets_in_datagram(other) == b""


def test_datagrams_beyond_the_limit_of_a_second_wait_for_the_next_one() -> None:
    clock = FakeClock()
    allowance = _Allowance(clock)
    clock.advance(0.25)
    assert {allowance.take() for _ in range(MAX_DATAGRAMS_PER_S)} == {0.0}
    assert allowance.take() == pytest.approx(0.75)
    clock.advance(0.75)
    assert {allowance.take() for _ in range(MAX_DATAGRAMS_PER_S)} == {0.0}


# Streams --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_rtp", [False, True])
@in_loop
async def test_a_unicast_stream_is_played(stream: bytes, is_rtp: bool) -> None:
    with free_port() as port, sender_at() as made:
        parts = datagrams(stream)
        sent = ((made, in_rtp(data, number) if is_rtp else data) for number, data in enumerate(parts))
        settings = config(port)
        assert runs_native_code(settings)
        packets, error = await receive(settings, sent, "127.0.0.1", 30)
        assert is_port_free(port)  # As soon as the source is closed.
    assert error is None and packets[0].is_key
    assert {packet.codec for packet in packets} == {Codec.H264}
    assert {b.pts - a.pts for a, b in pairwise(packets)} == {3600}


@in_loop
async def test_a_multicast_stream_is_played(stream: bytes) -> None:
    with free_port() as port, sender_at() as made:
        sent = ((made, data) for data in datagrams(stream))
        packets, error = await receive(config(port, GROUP, "?localaddr=127.0.0.1"), sent, GROUP, 30)
    assert error is None and len(packets) >= 30


@in_loop
async def test_a_second_sender_is_ignored(stream: bytes) -> None:
    """Its garbage would damage every frame."""
    chance = random.Random(1)
    with free_port() as port, sender_at() as made, sender_at("127.0.0.2") as other:

        def both() -> Iterator[tuple[socket.socket, bytes]]:
            for data in datagrams(stream):
                yield made, data
                yield other, (b"G\x41\x00\x10" + chance.randbytes(184)) * 7

        packets, error = await receive(config(port), both(), "127.0.0.1", 30)
    assert error is None
    assert {b.pts - a.pts for a, b in pairwise(packets)} == {3600}


@in_loop
async def test_only_the_named_sender_is_accepted(stream: bytes) -> None:
    with free_port() as port, sender_at() as made, sender_at("127.0.0.2") as other:
        receiver = _listen(parse_udp(f"udp://127.0.0.1:{port}?sources=127.0.0.2"))
        try:
            data = next(datagrams(stream))
            for each in (made, made, other, made):
                each.sendto(data, ("127.0.0.1", port))
            target = parse_udp(f"udp://127.0.0.1:{port}?sources=127.0.0.2")
            found = await _find_sender(receiver, target, config(port), SYSTEM_CLOCK)
            assert found == other.getsockname()
        finally:
            receiver.close()


@in_loop
async def test_after_the_first_transport_packets_only_their_sender_is_received(stream: bytes) -> None:
    first, second, third = list(datagrams(stream))[:3]
    with free_port() as port, sender_at() as made, sender_at("127.0.0.2") as other:
        target = parse_udp(f"udp://127.0.0.1:{port}")
        receiver = _listen(target)
        try:
            for sender, data in ((other, b"noise" * 50), (made, first), (other, second), (made, third)):
                sender.sendto(data, ("127.0.0.1", port))
            found = await _find_sender(receiver, target, config(port), SYSTEM_CLOCK)
            assert found == made.getsockname()
            # What was queued before is discarded by its address, what comes now by the kernel.
            received = _Datagrams(receiver, found, SYSTEM_CLOCK)
            assert await asyncio.to_thread(received.read, 1 << 16) == third
            other.sendto(second, ("127.0.0.1", port))
            receiver.setblocking(False)
            with pytest.raises(BlockingIOError):
                receiver.recv(100)
        finally:
            receiver.close()


@in_loop
async def test_a_flood_waits_for_the_next_second() -> None:
    slept_s: list[float] = []

    class Clock(FakeClock):
        async def sleep(self, seconds: float) -> None:
            slept_s.append(seconds)
            self.advance(seconds)

    class Flooded(socket.socket):
        left = 2 * MAX_DATAGRAMS_PER_S + 10

        def recvfrom(self, *_: object) -> tuple[bytes, tuple[str, int]]:
            self.left -= 1
            return (b"noise" if self.left else b"G" + bytes(187)), ("127.0.0.1", 9)

    with Flooded(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        await _find_sender(receiver, parse_udp("udp://:5000"), config(5000), Clock())
    assert sum(slept_s) == pytest.approx(2)


@in_loop
async def test_senders_outside_of_the_allowed_networks_are_ignored(stream: bytes) -> None:
    with free_port() as port, sender_at() as made:
        sent = ((made, data) for data in datagrams(stream))
        settings = config(port, allowed_networks=("10.0.0.0/8",), open_timeout_s=0.3)
        with pytest.raises(errors.SourceTimeoutError, match=f"has arrived at UDP port {port}"):
            await receive(settings, sent, "127.0.0.1", 1)
        named = config(port, query="?sources=169.254.169.254")
        with pytest.raises(errors.ForbiddenAddressError):
            await open_udp(named, clock=SYSTEM_CLOCK)


@in_loop
async def test_a_flood_of_other_data_is_a_timeout_and_does_not_block_the_loop(stream: bytes) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    with free_port() as port, sender_at() as made:
        sent = ((made, b"noise" * 100) for _ in iter(int, 1))
        counting = asyncio.ensure_future(count())
        with pytest.raises(errors.SourceTimeoutError):
            await receive(config(port, open_timeout_s=0.3), sent, "127.0.0.1", 1)
        counting.cancel()
        assert is_port_free(port)
    assert turns > 100


@in_loop
async def test_a_stream_without_tables_is_an_error(stream: bytes) -> None:
    """Packets of random PIDs."""
    chance = random.Random(2)
    with free_port() as port, sender_at() as made:
        garbage = (
            b"".join(b"G" + chance.randbytes(187) for _ in range(7)) for _ in iter(int, 1)
        )  # Without an end.
        sent = ((made, data) for data in garbage)
        with pytest.raises(errors.SourceError):
            await receive(config(port, open_timeout_s=2), sent, "127.0.0.1", 1)
        assert is_port_free(port)


@in_loop
async def test_a_sender_that_stops_is_stalled(stream: bytes) -> None:
    with free_port() as port, sender_at() as made:
        sent = ((made, data) for data in datagrams(stream))
        packets, error = await receive(config(port, read_timeout_s=0.5), sent, "127.0.0.1", 10_000)
    assert isinstance(error, errors.SourceStalledError) and packets


@in_loop
async def test_a_port_in_use_and_a_foreign_address_are_errors_that_say_so() -> None:
    with sender_at() as other:
        port = other.getsockname()[1]
        with pytest.raises(errors.SourceBusyError, match="in use"):
            await open_udp(config(port), clock=SYSTEM_CLOCK)
    with pytest.raises(errors.HostNotFoundError, match=r"use udp://:5000"):
        await open_udp(config(5000, "192.0.2.1"), clock=SYSTEM_CLOCK)
    with pytest.raises(errors.HostNotFoundError, match="localaddr"):
        await open_udp(config(5000, GROUP, "?localaddr=192.0.2.1"), clock=SYSTEM_CLOCK)
