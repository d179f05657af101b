"""Searches of this host's loopback interface, where fake and hostile devices listen. Nothing is sent elsewhere."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from ninjacam.core.connection_server import Handler
from ninjacam.core.errors import ConfigError
from ninjacam.discovery import inbox, search
from ninjacam.discovery.devices import Evidence
from ninjacam.discovery.inbox import MAX_DATAGRAMS, MAX_PARSED_PER_SENDER, Inbox
from ninjacam.discovery.networks import Scope, parse_network
from ninjacam.discovery.search import Search, SearchConfig, World
from tests.harness.async_server import listening
from tests.harness.lan_devices import probe_matches, rtsp, silent, webcam
from tests.unit.discovery.messages import MDNS, PROBE_MATCHES

HERE = "127.0.0.1"


@dataclass
class Found:
    """`events`: all, in order. `done`: the result."""

    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    done: dict[str, Any] = field(default_factory=dict)

    @property
    def devices(self) -> dict[str, dict[str, Any]]:
        return {event["address"]: event for kind, event in self.events if kind == "device"}

    @property
    def device(self) -> dict[str, Any]:
        (only,) = self.devices.values()
        return only


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is late on loopback."""
    monkeypatch.setattr(search, "LISTEN_S", 0.3)


def run(*, rtsp_server: Handler | None = None, web_server: Handler | None = None, **options: Any) -> Found:
    """Search 127.0.0.1, where these listen."""

    async def main() -> Found:
        async with AsyncExitStack() as servers:

            async def listen(handler: Handler | None) -> int:
                if handler is None:
                    return 1  # tcpmux: nothing listens there
                return await servers.enter_async_context(listening(handler, HERE))

            world = World(
                attached=list,
                neighbours=dict,
                rtsp_ports=(await listen(rtsp_server),),
                http_ports=(await listen(web_server),),
                probe_port=options.pop("probe_port", 9),
            )
            found = Found()
            config = SearchConfig(f"{HERE}/32", **{"timeout_s": 20, **options})
            search = Search(config, lambda kind, event: found.events.append((kind, event)), world)
            found.done = await search.run()
        return found

    return asyncio.run(main())


def test_an_open_camera_is_described_with_codec_and_size() -> None:
    found = run(rtsp_server=rtsp("/Streaming/Channels/101", ""))
    (stream,) = found.device["streams"]
    assert stream["url"].endswith("/Streaming/Channels/101") and stream["state"] == "verified"
    assert (stream["codec"], stream["width_px"], stream["height_px"]) == ("h264", 640, 360)
    assert found.device["needs_password"] is False and found.device["is_final"]
    assert found.done["is_complete"] and found.done["found"] == 1


def test_a_locked_camera_is_known_by_its_realm_and_no_password_is_tried() -> None:
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            sequence = heads[-1].partition(b"CSeq: ")[2].partition(b"\r\n")[0]
            writer.write(
                b"RTSP/1.0 401 Unauthorized\r\nCSeq: " + sequence + b"\r\n"
                b'WWW-Authenticate: Digest realm="BC Streaming Media", nonce="1"\r\n\r\n'
            )

    found = run(rtsp_server=serve)
    assert found.device["maker"] == "Reolink" and found.device["needs_password"] is True
    assert [stream["name"] for stream in found.device["streams"]] == ["main", "sub"]
    assert all(stream["state"] == "locked" for stream in found.device["streams"])
    assert heads and not any(b"authorization" in head.lower() for head in heads)
    assert sum(head.startswith(b"DESCRIBE") for head in heads) == 1


def test_a_phone_app_is_found_by_its_page() -> None:
    found = run(web_server=webcam)
    assert (found.device["kind"], found.device["model"]) == ("phone", "IP Webcam")
    assert found.device["streams"][0]["url"].endswith("/video")
    assert found.device["streams"][0]["state"] == "verified"


def test_an_onvif_answer_by_unicast_is_merged_with_rtsp() -> None:
    class Answer(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            self.transport.sendto(b"\xff\x00 noise", addr)
            self.transport.sendto(b"".join(PROBE_MATCHES), addr)

    async def main() -> Found:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Answer, local_addr=(HERE, 0))
        port = transport.get_extra_info("sockname")[1]
        found = await asyncio.to_thread(run, rtsp_server=rtsp("/", "IP Camera(1)"), probe_port=port)
        transport.close()
        return found

    found = asyncio.run(main())
    assert set(found.device["evidence"]) == {"onvif_camera", "rtsp_locked"}
    assert found.device["certainty"] > 0.95 and found.device["maker"] == "Hikvision"


async def _garbage(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 40)


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    start = (
        b"RTSP/1.0 200 OK\r\n"
        if (await reader.readline()).endswith(b"RTSP/1.0\r\n")
        else b"HTTP/1.1 200 OK\r\n"
    )
    writer.write(start)
    while True:
        writer.write(b"X-Filler: " + b"a" * 1000 + b"\r\n")
        await writer.drain()


async def _huge(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: 999999999\r\n\r\n" + b"v=0\r\n" * 100_000)
    await writer.drain()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readline()


@pytest.mark.parametrize("handler", [_garbage, _endless, _huge, _hang_up, silent])
def test_a_hostile_device_neither_ends_nor_delays_a_search(handler: Handler) -> None:
    found = run(rtsp_server=handler, web_server=handler, timeout_s=30)
    assert found.done["is_complete"]
    assert not any(event["streams"] for event in found.devices.values())


def test_a_search_ends_at_its_time_limit_with_what_it_has() -> None:
    found = run(rtsp_server=silent, web_server=webcam, timeout_s=1)
    assert not found.done["is_complete"]
    assert found.done["connections"] > 0


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ninjacam.discovery.search.Dialer", lambda scope: _limited(scope))
    found = run(rtsp_server=rtsp("/", ""), web_server=webcam)
    assert found.done["connections"] == 2


def _limited(scope: Scope) -> Any:
    from ninjacam.discovery.dialer import Dialer

    return Dialer(scope, max_connections=2)


def test_a_cancelled_search_closes_its_connections() -> None:
    ended = asyncio.Event

    async def main() -> None:
        open_now = 0
        begun, closed = ended(), ended()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal open_now
            open_now += 1
            begun.set()
            while await reader.read(1000):
                pass
            open_now -= 1
            if not open_now:
                closed.set()

        async with listening(serve, HERE) as port:
            world = World(
                attached=list, neighbours=dict, rtsp_ports=(port,), http_ports=(port,), probe_port=9
            )
            task = asyncio.create_task(Search(SearchConfig(f"{HERE}/32"), lambda *_: None, world).run())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with asyncio.timeout(60):
                await closed.wait()

    asyncio.run(main())


def test_a_flood_of_answers_is_read_only_in_part() -> None:
    found: list[Evidence] = []
    scope = Scope([], parse_network("192.168.1.0/24"), ())
    made = Inbox(scope, found.append, lambda *_: None)
    answer = probe_matches({"address": "192.168.1.9", "scopes": "onvif://www.onvif.org/name/x"})(
        b"NetworkVideoTransmitter"
    )
    assert answer is not None
    for number in range(MAX_DATAGRAMS + 5_000):
        made.datagram_received(answer, ("192.168.1.9" if number % 2 else "8.8.8.8", 3702))
    assert len(found) == MAX_PARSED_PER_SENDER
    assert {each.address for each in found} == {"192.168.1.9"}
    made.datagram_received(answer, ("192.168.1.10", 3702))
    assert len(found) == MAX_PARSED_PER_SENDER  # The sockets are closed.
    fresh = Inbox(scope, found.append, lambda *_: None)
    fresh.datagram_received(answer + b" " * inbox.MAX_DATAGRAM_BYTES, ("192.168.1.10", 3702))
    assert len(found) == MAX_PARSED_PER_SENDER


@pytest.mark.parametrize(("network", "count"), [("192.168.1.0/28", 0), ("192.168.1.0/24", 1)])
def test_an_answer_about_a_host_outside_of_the_search_is_ignored(network: str, count: int) -> None:
    found: list[Evidence] = []
    made = Inbox(Scope([], parse_network(network), ()), found.append, lambda *_: None)
    made.datagram_received(b"".join(MDNS), ("192.168.1.5", 5353))
    assert len(found) == count


@pytest.mark.parametrize(
    "config", [{"timeout_s": 0}, {"timeout_s": 31}, {"timeout_s": float("nan")}, {"network": "8.8.8.0/24"}]
)
def test_the_configuration_is_checked(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        SearchConfig(**config)
