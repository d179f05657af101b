"""The ports for publishers, with real sockets in one event loop: refusals, limits and broken publishers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ninjacam.capture.publishing import Publishing
from ninjacam.conf import parse_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import SourceEndedError
from ninjacam.sources import publish, publisher_port
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.publish import Places, PublishPorts, hash_key
from ninjacam.sources.publisher_port import MAX_OPENING_OF_ADDRESS, Connection, PublisherPort
from ninjacam.sources.rtmp.amf import write_values
from ninjacam.sources.rtmp.chunks import MAX_MESSAGE_BYTES, MessageType, write_message
from ninjacam.sources.rtmp.publisher import RtmpPublisher
from ninjacam.sources.rtsp.publisher import RtspPublisher
from tests.harness.processes import free_port

SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:streamid=0\r\n"
)
URI = "rtsp://127.0.0.1/publish/right"


@pytest.fixture(autouse=True)
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline for opening connections must not close connections that another rule should close."""
    monkeypatch.setattr(publish, "CLAIM_S", 0.5)
    monkeypatch.setattr(publisher_port, "OPENING_S", 600.0)


class Ports:
    def __init__(self) -> None:
        self.places = Places()
        self.made: list[Connection] = []
        self.rtmp = PublisherPort("RTMP", "127.0.0.1", 0, self._rtmp, lambda: None)
        self.rtsp = PublisherPort("RTSP", "127.0.0.1", 0, self._rtsp, lambda: None)

    def _rtmp(self) -> tuple[Connection, asyncio.BaseProtocol]:
        publisher = RtmpPublisher(self.places, SYSTEM_CLOCK)
        self.made.append(publisher)
        return publisher, publisher

    def _rtsp(self) -> tuple[Connection, asyncio.BaseProtocol]:
        publisher = RtspPublisher(self.places, SYSTEM_CLOCK)
        self.made.append(publisher)
        return publisher, publisher.connection


@asynccontextmanager
async def ports() -> AsyncIterator[Ports]:
    opened = Ports()
    opened.places.add(SourceConfig("push:", publish_keys=(hash_key("right"),)))
    await opened.rtmp.start()
    await opened.rtsp.start()
    try:
        yield opened
    finally:
        for connection in opened.made:
            connection.end(SourceEndedError("The test is over."))
        await opened.rtmp.close()
        await opened.rtsp.close()


class Client:
    """`status` of -1: the connection was closed without a response."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.cseq = 0

    @classmethod
    async def connect(cls, port: int) -> "Client":
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def ask(self, method: str, uri: str = URI, body: str = "", **headers: str) -> int:
        self.cseq += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self.cseq}", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
        try:
            answer = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 20)
        except asyncio.IncompleteReadError:
            return -1
        return int(answer.split()[1])

    async def is_closed(self) -> bool:
        try:
            async with asyncio.timeout(20):
                while await self.reader.read(65_536):
                    pass
        except ConnectionError:
            pass
        except TimeoutError:
            return False
        return True

    async def close(self) -> None:
        self.writer.close()
        await asyncio.gather(self.writer.wait_closed(), return_exceptions=True)


def in_client(scenario: Callable[[Ports, Client], Awaitable[None]], *, rtsp: bool = True) -> None:
    async def run() -> None:
        async with ports() as opened:
            client = await Client.connect(opened.rtsp.port if rtsp else opened.rtmp.port)
            await scenario(opened, client)
            await client.close()

    asyncio.run(run())


TCP = "RTP/AVP/TCP;unicast;interleaved=0-1;mode=record"


def test_rtsp_publishers_are_led_through_the_methods_in_order() -> None:
    async def scenario(_: Ports, client: Client) -> None:
        assert await client.ask("OPTIONS") == 200
        assert await client.ask("SETUP", Transport=TCP) == 455
        assert await client.ask("RECORD") == 455
        assert await client.ask("ANNOUNCE", body=SDP) == 200
        assert await client.ask("ANNOUNCE", body=SDP) == 455
        assert await client.ask("RECORD") == 455
        udp = "RTP/AVP;unicast;client_port=5000-5001;mode=record"
        assert await client.ask("SETUP", f"{URI}/streamid=0", Transport=udp) == 461
        bad = "RTP/AVP/TCP;unicast;interleaved=x"
        assert await client.ask("SETUP", f"{URI}/streamid=0", Transport=bad) == 400
        assert await client.ask("SETUP", f"{URI}/streamid=0", Transport=TCP) == 200
        assert await client.ask("PAUSE") == 501
        assert await client.ask("RECORD") == 200

    in_client(scenario)


@pytest.mark.parametrize(
    ("uri", "body", "status"),
    [
        ("rtsp://127.0.0.1/publish/wrong", SDP, 403),
        ("rtsp://127.0.0.1/live/right", SDP, 404),
        (URI, "v=0\r\n", 415),
        (URI, SDP.replace("H264", "VP8"), 415),
    ],
)
def test_what_cannot_be_published_is_refused(uri: str, body: str, status: int) -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        assert await client.ask("ANNOUNCE", uri, body) == status
        if status != 404:
            assert await client.is_closed()
        place = opened.places.find("right")
        assert place is not None and place.publisher is None

    in_client(scenario)


def test_a_publisher_that_ends_before_it_sends_leaves_its_place() -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        assert await client.ask("ANNOUNCE", body=SDP) == 200
        place = opened.places.find("right")
        assert place is not None and place.publisher is not None
        assert await client.ask("TEARDOWN") in (200, -1)
        assert await client.is_closed() and place.publisher is None

    in_client(scenario)


def test_a_second_publisher_is_refused_and_the_first_one_continues() -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        assert await client.ask("ANNOUNCE", body=SDP) == 200
        second = await Client.connect(opened.rtsp.port)
        assert await second.ask("ANNOUNCE", body=SDP) == 503
        assert await second.is_closed()
        await second.close()
        assert await client.ask("SETUP", f"{URI}/streamid=0", Transport=TCP) == 200
        assert await client.ask("RECORD") == 200

    in_client(scenario)


@pytest.mark.parametrize("garbage", [b"\xff", b"$\x09\xff\xff", b"PLAY rtsp://x/ RTSP/1.0\r\n"])
def test_garbage_ends_the_connection_of_a_publisher_and_frees_its_place(garbage: bytes) -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        assert await client.ask("ANNOUNCE", body=SDP) == 200
        client.writer.write(garbage * (1_000_000 // len(garbage)))
        assert await client.is_closed()
        place = opened.places.find("right")
        assert place is not None and place.publisher is None

    in_client(scenario)


def test_a_flood_of_requests_ends_the_connection() -> None:
    async def scenario(_: Ports, client: Client) -> None:
        client.writer.write(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n" * 1000)
        assert await client.is_closed()

    in_client(scenario)


HANDSHAKE = b"\x03" + bytes(1536) + bytes(1536)


def command(name: str, *values: object) -> bytes:
    return write_message(MessageType.COMMAND, write_values(name, 1, *values))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        HANDSHAKE + b"\xff" * 100,
        HANDSHAKE + write_message(MessageType.VIDEO, b"\x17\x01\0\0\0"),
        HANDSHAKE + command("createStream", None) * 100,
        HANDSHAKE + command("connect", {"app": "publish"}, *["a" * 20_000] * 4),
        HANDSHAKE + write_message(MessageType.COMMAND, write_values("connect")),
        HANDSHAKE + b"\x03\0\0\0" + (MAX_MESSAGE_BYTES + 1).to_bytes(3, "big") + b"\x14" + bytes(4),
        HANDSHAKE + command("connect", {"app": "publish"}) + command("play", None, "right"),
        HANDSHAKE + command("connect", {"app": "other"}) + command("publish", None, "right", "live"),
        HANDSHAKE + command("connect", {"app": "publish"}) + command("publish", None, "wrong", "live"),
    ],
)
def test_rtmp_that_is_not_a_publisher_is_closed(data: bytes) -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        client.writer.write(data)
        assert await client.is_closed()
        place = opened.places.find("right")
        assert place is not None and place.publisher is None

    in_client(scenario, rtsp=False)


def test_a_publisher_without_encryption_causes_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(_: Ports, client: Client) -> None:
        assert await client.ask("OPTIONS") == 200

    in_client(scenario)
    (record,) = [each for each in caplog.records if "without encryption" in each.getMessage()]
    assert record.levelname == "WARNING" and record.getMessage().startswith("RTSP: 127.0.0.1 ")


def test_ports_are_closed_unless_they_are_enabled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not parse_settings({"DATA_DIR": tmp_path}).publish_ports.is_open
    listen, opened = publisher_port._listen, list[int]()

    def note(host: str, port: int) -> socket.socket:
        opened.append(port)
        return listen(host, port)

    monkeypatch.setattr(publisher_port, "_listen", note)

    async def open_ports(ports: PublishPorts) -> None:
        publishing = Publishing(tmp_path)
        await publishing.open(ports)
        await asyncio.sleep(0.1)
        await publishing.close()

    asyncio.run(open_ports(PublishPorts()))
    assert opened == []
    port = free_port()
    asyncio.run(open_ports(PublishPorts("127.0.0.1", rtsp_port=port)))
    assert opened == [port]


def test_tls_without_a_certificate_is_refused_with_the_reason(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(opened: Ports, client: Client) -> None:
        client.writer.write(b"\x16\x03\x01")
        assert await client.is_closed() and not opened.made

    in_client(scenario, rtsp=False)
    assert "uses TLS, but there is no certificate" in caplog.text


def test_an_address_has_few_connections_that_do_not_publish(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        publisher_port, "OPENING_S", 600.0
    )  # The limit on their number ends the last one, not the deadline.

    async def scenario(opened: Ports, client: Client) -> None:
        others = [await Client.connect(opened.rtmp.port) for _ in range(MAX_OPENING_OF_ADDRESS)]
        assert await others[-1].is_closed()
        for each in others:
            await each.close()

    in_client(scenario, rtsp=False)


def test_all_addresses_together_have_few_connections_that_do_not_publish(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(publisher_port, "OPENING_S", 600.0)
    monkeypatch.setattr(publisher_port, "MAX_OPENING", MAX_OPENING_OF_ADDRESS - 2)

    async def scenario(opened: Ports, client: Client) -> None:
        others = [await Client.connect(opened.rtmp.port) for _ in range(publisher_port.MAX_OPENING)]
        assert await others[-1].is_closed()
        for each in others:
            await each.close()

    in_client(scenario, rtsp=False)


def test_a_connection_that_never_publishes_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher_port, "OPENING_S", 0.3)

    async def scenario(opened: Ports, client: Client) -> None:
        silent = await Client.connect(opened.rtsp.port)
        client.writer.write(HANDSHAKE)
        assert await client.is_closed() and await silent.is_closed()
        await silent.close()

    in_client(scenario, rtsp=False)
