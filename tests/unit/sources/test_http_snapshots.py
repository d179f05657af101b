"""Cameras that return one image per request, by a server that follows a script and a clock that does not wait."""

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest

from ninjacam.core import errors
from ninjacam.core.packets import Flags, Packet
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.http_mjpeg import open_http
from ninjacam.sources.http_snapshots import MAX_FAILURES, interval_of
from ninjacam.sources.multipart import MAX_IMAGE_BYTES
from ninjacam.testing.clock import FakeClock
from tests.harness.async_server import listening
from tests.unit.sources.collected_packets import Packets
from tests.unit.sources.test_multipart import jpeg
from tests.unit.sources.test_publish import in_loop

IMAGES = [jpeg(number) for number in range(1, 7)]
LOGIN = "Authorization: Basic " + base64.b64encode(b"admin:secret").decode()


class HurriedClock(FakeClock):
    """Sleeping takes no time, but is noted."""

    def __init__(self) -> None:
        super().__init__()
        self.slept_s: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(round(seconds, 3))
        self.advance(seconds)
        await asyncio.sleep(0)


@dataclass
class Answer:
    """`length` -1: no Content-Length, and the connection is closed."""

    body: bytes = b""
    status: str = "200 OK"
    content_type: str = "image/jpeg"
    headers: tuple[str, ...] = ()
    length: int | None = None
    drip: bool = False

    def encode(self) -> bytes:
        lines = [f"HTTP/1.1 {self.status}", f"Content-Type: {self.content_type}", *self.headers]
        if self.length != -1:
            lines.append(f"Content-Length: {len(self.body) if self.length is None else self.length}")
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass
class SnapshotServer:
    """Answers request number n with `answers[n]`, and all later ones with the last answer."""

    answers: list[Answer]
    requests: list[str] = field(default_factory=list)
    connections: int = 0
    port: int = 0
    outstanding: int = 0
    max_outstanding: int = 0
    on_request: Callable[[], None] = lambda: None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode()
            answer = self.answers[min(len(self.requests), len(self.answers) - 1)]
            self.requests.append(request)
            self.outstanding += 1
            self.max_outstanding = max(self.max_outstanding, self.outstanding)
            self.on_request()
            await asyncio.sleep(0)
            self.outstanding -= 1
            data = answer.encode()
            if answer.drip:
                for at in range(len(data)):
                    writer.write(data[at : at + 1])
                    await writer.drain()
                    await asyncio.sleep(0.02)
            writer.write(data)
            await writer.drain()
            if answer.length == -1 or "Connection: close" in request:
                return


@asynccontextmanager
async def serving(*answers: Answer) -> AsyncIterator[SnapshotServer]:
    script = SnapshotServer(list(answers))
    async with listening(script.serve) as script.port:
        yield script


def config(server: SnapshotServer, **changes: object) -> SourceConfig:
    made = SourceConfig(f"http://127.0.0.1:{server.port}/capture", open_timeout_s=5, read_timeout_s=5)
    return replace(made, **changes)  # type: ignore[arg-type]  # a test's own


async def receive(
    source_config: SourceConfig, clock: FakeClock, count: int
) -> tuple[list[Packet], errors.SourceError | None, Source]:
    """Return the packets, up to `count`, and the error if the source ended before."""
    source = await open_http(source_config, clock=clock)
    packets = Packets(count)
    running = asyncio.ensure_future(source.run(packets.take))
    waiting = asyncio.ensure_future(packets.enough.wait())
    async with asyncio.timeout(10):
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    ended_by_itself = running.done()
    await source.close()
    (error,) = await asyncio.gather(running, return_exceptions=True)
    assert isinstance(error, errors.SourceError)
    return packets[:count], error if ended_by_itself else None, source


def images(bodies: Iterable[bytes] = IMAGES) -> list[Answer]:
    return [Answer(body) for body in bodies]


@in_loop
async def test_a_url_with_a_single_image_is_polled_over_one_connection() -> None:
    clock = HurriedClock()
    async with serving(*images()) as server:
        packets, error, source = await receive(config(server), clock, 5)
    assert error is None
    assert [packet.data for packet in packets] == IMAGES[:5]
    assert packets[0].flags & Flags.CONFIG and all(packet.is_key for packet in packets)
    assert [packet.pts for packet in packets[1:]] == [packets[0].pts + n * 90_000 for n in range(1, 5)]
    assert set(clock.slept_s) == {1.0}
    assert server.connections == 2  # The first request does not know yet that others follow.
    assert all("GET /capture HTTP/1.1" in request for request in server.requests)
    assert source.media_ns() > 0


@in_loop
async def test_the_fragment_sets_the_interval_and_is_not_sent() -> None:
    clock = HurriedClock()
    async with serving(*images()) as server:
        url = f"http://127.0.0.1:{server.port}/capture?flash=0#interval=0.25"
        packets, _, _ = await receive(config(server, url=url), clock, 4)
    assert len(packets) == 4 and set(clock.slept_s) == {0.25}
    assert all(request.startswith("GET /capture?flash=0 HTTP") for request in server.requests)


@pytest.mark.parametrize("text", ["0", "0.09", "10.1", "-1", "1e0", "nan", "", "\u0661"])
def test_an_interval_outside_of_the_limits_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigError, match=r"0\.1 to 10"):
        interval_of(f"http://camera/capture#interval={text}")


@in_loop
async def test_a_slow_camera_has_one_outstanding_request_and_no_backlog() -> None:
    clock = HurriedClock()
    async with serving(*images()) as server:
        server.on_request = lambda: clock.advance(3.3)
        packets, _, _ = await receive(config(server), clock, 5)
    assert len(packets) == 5 and server.max_outstanding == 1
    # Each answer takes longer than the interval, so the next request follows at once.
    assert set(clock.slept_s[1:]) == {0.0}


@in_loop
async def test_an_unchanged_image_is_delivered_again_without_being_transferred() -> None:
    tagged = Answer(IMAGES[0], headers=('ETag: "v1"',))
    async with serving(images()[0], tagged, Answer(status="304 Not Modified")) as server:
        packets, error, source = await receive(config(server), HurriedClock(), 4)
    assert error is None and [packet.data for packet in packets] == [IMAGES[0]] * 4
    assert "If-None-Match" not in server.requests[1]
    assert 'If-None-Match: "v1"' in server.requests[2] and 'If-None-Match: "v1"' in server.requests[3]
    assert source.stats.bytes_received == 2 * len(IMAGES[0])


@in_loop
async def test_a_malformed_entity_tag_is_not_sent_back() -> None:
    tagged = [Answer(image, headers=("ETag: v\x7f1 " + "x" * 500,)) for image in IMAGES]
    async with serving(*tagged) as server:
        packets, _, _ = await receive(config(server), HurriedClock(), 4)
    assert len(packets) == 4 and not any("If-None-Match" in request for request in server.requests)


@in_loop
async def test_a_camera_that_closes_each_connection_is_polled() -> None:
    answers = [Answer(image, length=-1) for image in IMAGES]
    async with serving(*answers) as server:
        packets, error, _ = await receive(config(server), HurriedClock(), 5)
    assert error is None and [packet.data for packet in packets] == IMAGES[:5]
    assert server.max_outstanding == 1


@in_loop
async def test_an_incomplete_image_is_dropped_and_polling_continues() -> None:
    answers = images()
    answers[2] = Answer(IMAGES[2][:-20])
    async with serving(*answers) as server:
        packets, error, source = await receive(config(server), HurriedClock(), 4)
    assert error is None
    assert [packet.data for packet in packets] == [IMAGES[0], IMAGES[1], IMAGES[3], IMAGES[4]]
    assert source.stats.access_units_dropped == 1 and packets[2].flags & Flags.DISCONT


@pytest.mark.parametrize(
    "answer",
    [
        Answer(IMAGES[0][:-20]),
        Answer(b"<html>Log in</html>", content_type="text/html"),
        Answer(b"busy", status="503 Busy"),
        Answer(IMAGES[1], status="500 Error"),
        Answer(b""),
        Answer(b"\x89PNG\r\n\x1a\n" + bytes(500), content_type="image/png"),
    ],
)
@in_loop
async def test_responses_without_an_image_end_the_source(answer: Answer) -> None:
    async with serving(Answer(IMAGES[0]), answer) as server:
        packets, error, _ = await receive(config(server), HurriedClock(), 50)
    assert len(packets) == 1 and isinstance(error, errors.ProtocolError) and error.retryable
    assert len(server.requests) == 1 + MAX_FAILURES


@in_loop
async def test_an_image_that_is_not_jpeg_is_an_error_that_says_so() -> None:
    async with serving(Answer(b"\x89PNG\r\n\x1a\n" + bytes(500), content_type="image/png")) as server:
        with pytest.raises(errors.NoVideoError, match="not JPEG"):
            await open_http(config(server), clock=HurriedClock())


@pytest.mark.parametrize("length", [10 << 20, 10**17])
@in_loop
async def test_an_image_that_is_too_large_is_refused_before_it_is_read(length: int) -> None:
    async with serving(Answer(IMAGES[0]), Answer(IMAGES[1], length=length)) as server:
        packets, error, source = await receive(config(server), HurriedClock(), 50)
    assert len(packets) == 1 and isinstance(error, errors.ProtocolError) and "longer than" in error.message
    assert source.stats.bytes_received == len(IMAGES[0])


@pytest.mark.parametrize("number", [0, 1])
@in_loop
async def test_an_image_without_an_end_is_refused(number: int) -> None:
    endless = Answer(IMAGES[1][:-2] + bytes(MAX_IMAGE_BYTES + 1), length=-1)
    async with serving(*[Answer(IMAGES[0])][:number], endless) as server:
        packets, error, _ = await receive(config(server), HurriedClock(), 50)
    assert len(packets) == number and isinstance(error, errors.ProtocolError)


@in_loop
async def test_a_response_that_drips_is_a_timeout() -> None:
    async with serving(Answer(IMAGES[0]), Answer(IMAGES[1], drip=True)) as server:
        _, error, _ = await receive(config(server, read_timeout_s=0.3), HurriedClock(), 50)
    assert isinstance(error, errors.SourceTimeoutError)


@in_loop
async def test_an_endless_header_is_refused() -> None:
    endless = Answer(status="200 OK\r\n" + "X: y\r\n" * 10_000)
    async with serving(Answer(IMAGES[0]), endless) as server:
        _, error, _ = await receive(config(server), HurriedClock(), 50)
    assert isinstance(error, errors.SourceError) and not isinstance(error, errors.SourceTimeoutError)


@in_loop
async def test_the_login_is_sent_by_basic_and_a_changed_password_is_an_error() -> None:
    challenge = Answer(status="401 No", headers=('WWW-Authenticate: Basic realm="cam"',))
    first = [challenge, Answer(IMAGES[0]), challenge, Answer(IMAGES[1]), Answer(IMAGES[2])]
    async with serving(*first, challenge) as server:
        settings = config(server, username="admin", password="secret")
        packets, error, _ = await receive(settings, HurriedClock(), 50)
    assert [packet.data for packet in packets] == IMAGES[:3]
    assert LOGIN in server.requests[3] and LOGIN in server.requests[4]
    assert isinstance(error, errors.AuthenticationError) and "secret" not in error.message


@in_loop
async def test_a_redirect_to_another_host_is_not_followed_while_polling() -> None:
    for location in ("http://127.0.0.2/capture", "http://169.254.169.254/latest", "ftp://127.0.0.1/x"):
        away = Answer(status="302 Found", headers=(f"Location: {location}",))
        async with serving(Answer(IMAGES[0]), away) as server:
            _, error, _ = await receive(config(server), HurriedClock(), 50)
        assert isinstance(error, errors.ProtocolError) and "redirects to" in error.message


@in_loop
async def test_the_target_of_a_redirect_is_polled_without_the_login_of_another_host() -> None:
    async with serving(*images()) as other:
        away = Answer(status="302 Found", headers=(f"Location: http://localhost:{other.port}/shot",))
        async with serving(away) as server:
            settings = config(server, username="admin", password="secret")
            packets, error, _ = await receive(settings, HurriedClock(), 3)
    assert error is None and len(packets) == 3 and len(server.requests) == 1
    assert not any("Authorization" in request for request in other.requests)


@in_loop
async def test_closing_ends_a_request_that_is_not_answered() -> None:
    async with serving(Answer(IMAGES[0]), Answer(IMAGES[1], drip=True)) as server:
        source = await open_http(config(server), clock=HurriedClock())
        second = asyncio.Event()
        server.on_request = second.set
        running = asyncio.ensure_future(source.run(lambda _: None))
        async with asyncio.timeout(5):
            await second.wait()
            await source.close()
            with pytest.raises(errors.SourceEndedError, match="was closed"):
                await running


@in_loop
async def test_a_stream_that_ends_is_not_polled() -> None:
    part = b"--x\r\nContent-Type: image/jpeg\r\n\r\n"
    stream = Answer(part + IMAGES[0], content_type="multipart/x-mixed-replace; boundary=x", length=-1)
    async with serving(stream) as server:
        packets, error, _ = await receive(config(server), HurriedClock(), 50)
    assert len(packets) == 1 and isinstance(error, errors.SourceEndedError) and len(server.requests) == 1
