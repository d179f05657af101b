"""RTSP over HTTP against a scripted camera: what it receives on which connection, and how each refusal ends."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from ninjacam.core import errors
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.packets import Packet
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import check_url, open_source, runs_native_code
from ninjacam.sources.urls import binding_of, parse_url
from ninjacam.testing.tls import server_context
from tests.harness.async_server import listening
from tests.unit.sources.collected_packets import Packets
from tests.unit.sources.rtp_support import IDR, PPS, SLICE, SPS, interleaved, rtp, stap_a
from tests.unit.sources.test_publish import in_loop

SDP = b"v=0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=control:track\r\n"
OK = b"HTTP/1.0 200 OK\r\nContent-Type: application/x-rtsp-tunnelled\r\n\r\n"


@dataclass
class TunnelCamera:
    """Opens a tunnel for each GET, and answers the requests that arrive in the POST with the same cookie.

    `answer`: to each GET; `post_answer`: to each POST. b"": none, and the connection stays open.
    """

    answer: bytes = OK
    post_answer: bytes = b""
    close_post: bool = False
    challenge: bytes = b""
    port: int = 0
    connections: int = 0
    """Number of those that are open."""
    heads: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tunnels: dict[str, asyncio.StreamWriter] = field(default_factory=dict)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self._serve(reader, writer)
        finally:
            self.connections -= 1

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        cookie = next(line for line in head.split("\r\n") if line.startswith("x-sessioncookie"))
        if head.startswith("GET"):
            if self.challenge and "Authorization" not in head:
                writer.write(b"HTTP/1.0 401 No\r\nWWW-Authenticate: " + self.challenge + b"\r\n\r\n")
                return
            self.tunnels[cookie] = writer
            writer.write(self.answer)
            await reader.read()
            return
        writer.write(self.post_answer)
        if self.close_post:
            return
        data = b""
        while piece := await reader.read(4096):
            data += piece
            whole = len(data) - len(data) % 4
            request, data = base64.b64decode(data[:whole]).decode("latin-1"), data[whole:]
            if request.startswith("$"):
                continue
            self.requests.append(request.partition("\r\n")[0])
            self._answer(self.tunnels[cookie], request)

    def _answer(self, writer: asyncio.StreamWriter, request: str) -> None:
        method = request.partition(" ")[0]
        cseq = next(line for line in request.split("\r\n") if line.startswith("CSeq"))
        extra, body = "", b""
        if method == "DESCRIBE":
            extra, body = f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n", SDP
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;interleaved=0-1\r\nSession: 7\r\n"
        writer.write(f"RTSP/1.0 200 OK\r\n{cseq}\r\n{extra}\r\n".encode() + body)
        if method == "PLAY":
            pictures = [stap_a(SPS, PPS), IDR, SLICE, SLICE, SLICE]
            packets = [
                rtp(number, max(0, number - 1) * 3600, picture, marker=number > 0)
                for number, picture in enumerate(pictures)
            ]
            writer.write(interleaved(packets))


@asynccontextmanager
async def tunnel_camera(*, tls: bool = False, **changes: object) -> AsyncIterator[TunnelCamera]:
    camera = replace(TunnelCamera(), **changes)  # type: ignore[arg-type]  # a test's own
    async with listening(camera.serve, tls=server_context() if tls else None) as camera.port:
        yield camera


def config(camera: TunnelCamera, **changes: object) -> SourceConfig:
    made = SourceConfig(f"rtsp+http://127.0.0.1:{camera.port}/live?x=1", open_timeout_s=3)
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


async def first_packets(source_config: SourceConfig, count: int) -> list[Packet]:
    source = await open_source(source_config)
    packets = Packets(count)
    running = asyncio.ensure_future(source.run(packets.take))
    try:
        async with asyncio.timeout(5):
            await packets.enough.wait()
    finally:
        await source.close()
        await asyncio.gather(running, return_exceptions=True)
    return packets


def test_a_tunnel_has_the_port_of_http_and_requests_of_rtsp() -> None:
    check_url("rtsp+http://camera/live")
    assert not runs_native_code(SourceConfig("rtsp+https://camera/live"))
    target = parse_url("rtsp+http://user:secret@camera/live")
    assert (target.scheme, target.tunnel, target.port, target.is_tls) == ("rtsp", "http", 80, False)
    assert (target.uri, target.http_authority) == ("rtsp://camera:80/live", "camera")
    assert parse_url("rtsp+https://camera/live").is_tls
    assert binding_of("rtsp+https://camera/", verify_tls=True) == "rtsp+https://camera:443 verified"
    assert binding_of("rtsp+http://camera/", verify_tls=True) != binding_of(
        "rtsp://camera:80/", verify_tls=True
    )
    assert not parse_url("http+rtsp://camera/").tunnel


@in_loop
async def test_requests_go_in_base64_through_the_post_with_the_cookie_of_the_get() -> None:
    async with tunnel_camera() as camera:
        packets = await first_packets(config(camera), 3)
        assert packets[0].is_key
        get, post = camera.heads
        assert get.startswith("GET /live?x=1 HTTP/1.0\r\n") and post.startswith("POST /live?x=1 HTTP/1.0\r\n")
        cookies = {line for head in (get, post) for line in head.split("\r\n") if "cookie" in line}
        assert len(cookies) == 1
        assert camera.requests[1] == f"DESCRIBE rtsp://127.0.0.1:{camera.port}/live?x=1 RTSP/1.0"
        assert camera.requests[-1].startswith("TEARDOWN")


@in_loop
async def test_a_tunnel_over_https_plays_and_its_certificate_is_verified() -> None:
    async with tunnel_camera(tls=True) as camera:
        url = f"rtsp+https://127.0.0.1:{camera.port}/live"
        assert len(await first_packets(config(camera, url=url, verify_tls=False), 3)) >= 3
        with pytest.raises(errors.ProtocolError, match="certificate"):
            await open_source(config(camera, url=url))


@pytest.mark.parametrize("challenge", [b'Basic realm="x"', b'Digest realm="x", nonce="1"'])
@in_loop
async def test_the_login_is_sent_with_both_requests(challenge: bytes) -> None:
    async with tunnel_camera(challenge=challenge) as camera:
        assert await first_packets(config(camera, username="admin", password="hunter2"), 1)
        logins = [head.split(" ")[0] for head in camera.heads if "Authorization" in head]
        assert logins == ["GET", "POST"]
        with pytest.raises(errors.AuthenticationError, match="requires a user name"):
            await open_source(config(camera))


REFUSALS = {
    "another status": (b"HTTP/1.0 404 Not Found\r\n\r\n", errors.ProtocolError, "status 404"),
    "a page": (
        b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>",
        errors.NotACameraError,
        "without RTSP over HTTP",
    ),
    "a redirect": (
        b"HTTP/1.0 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n",
        errors.ProtocolError,
        "status 302",
    ),
    "RTSP itself": (
        b"RTSP/1.0 400 Bad Request\r\n\r\n",
        errors.NotACameraError,
        "does not answer as a web camera",
    ),
    "an endless header": (
        b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 9_000,
        errors.NotACameraError,
        "check the port",
    ),
    "no RTSP in it": (OK + b"<html>" * 100, errors.NotACameraError, "web server responds"),
}


@pytest.mark.parametrize("kind", REFUSALS)
@in_loop
async def test_a_camera_without_a_tunnel_is_a_typed_error(kind: str) -> None:
    answer, error, message = REFUSALS[kind]
    async with tunnel_camera(answer=answer) as camera:
        with pytest.raises(error, match=message):
            await open_source(config(camera))
        assert len(camera.heads) <= 4


@in_loop
async def test_a_refused_or_closed_post_ends_the_tunnel() -> None:
    async with tunnel_camera(post_answer=b"HTTP/1.0 401 No\r\n\r\n") as camera:
        with pytest.raises(errors.AuthenticationError):
            await open_source(config(camera))
    async with tunnel_camera(post_answer=b"HTTP/1.1 503 Busy\r\n\r\n") as camera:
        with pytest.raises(errors.ProtocolError, match="refuses the requests"):
            await open_source(config(camera))
    async with tunnel_camera(close_post=True) as camera:
        with pytest.raises(errors.SourceEndedError):
            await open_source(config(camera))


@in_loop
async def test_a_silent_camera_is_a_timeout_and_leaves_no_connection() -> None:
    async with tunnel_camera(answer=b"") as camera:
        with pytest.raises(errors.SourceTimeoutError):
            await open_source(config(camera, open_timeout_s=0.3))
        async with asyncio.timeout(3):
            while camera.connections:  # noqa: ASYNC110 (it is a number)
                await asyncio.sleep(0.01)
        assert camera.heads


@in_loop
async def test_a_tunnel_works_over_tcp_only_and_to_allowed_addresses_only() -> None:
    async with tunnel_camera() as camera:
        with pytest.raises(errors.ConfigError, match="TCP only"):
            await open_source(config(camera, transport="udp"))
        with pytest.raises(errors.ForbiddenAddressError):
            await open_source(config(camera, allowed_networks=("10.0.0.0/8",)))
        assert not camera.heads
    with pytest.raises(errors.ForbiddenAddressError):
        await open_source(SourceConfig("rtsp+http://169.254.169.254/live"), clock=SYSTEM_CLOCK)
