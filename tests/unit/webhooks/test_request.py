"""One request, to real servers that misbehave."""

import asyncio
import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ninjacam.sources import addresses
from ninjacam.webhooks.request import DeliveryError, post
from tests.harness.async_server import listening
from tests.harness.receiver import Receiver

BODY = b'{"id":"1"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


def send(url: str, timeout_s: float = 2.0, headers: dict[str, str] | None = None) -> int:
    return asyncio.run(post(url, BODY, headers or {}, verify_tls=True, timeout_s=timeout_s))


def failure(url: str, timeout_s: float = 2.0) -> DeliveryError:
    with pytest.raises(DeliveryError) as raised:
        send(url, timeout_s)
    assert "camera" not in raised.value.message and url not in raised.value.message
    return raised.value


def test_the_body_arrives_with_its_headers(receiver: Receiver) -> None:
    receiver.status = 202
    assert send(f"{receiver.url}?a=ä b".replace(" ", "%20"), headers={"Idempotency-Key": "k"}) == 202
    (received,) = receiver.received
    assert received.body == BODY and received.path == "/hook?a=%C3%A4%20b" and received.key == "k"
    assert received.headers["content-type"] == "application/json"
    assert received.headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize("status", [400, 401, 404, 410, 429, 500, 503])
def test_other_statuses_are_failures(receiver: Receiver, status: int) -> None:
    receiver.status = status
    error = failure(receiver.url)
    assert error.status == status and str(status) in error.message


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(receiver: Receiver, status: int) -> None:
    receiver.status, receiver.location = status, "http://169.254.169.254/"
    error = failure(receiver.url)
    assert error.status == status and "redirects" in error.message and len(receiver.received) == 1


def test_a_receiver_that_never_answers_is_given_up(receiver: Receiver) -> None:
    receiver.silent = True
    began = time.monotonic()
    assert "within 0.3 s" in failure(receiver.url, 0.3).message
    assert time.monotonic() - began < 1


def test_a_closed_port_is_reported() -> None:
    assert "refuses connections" in failure(Receiver().url).message


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/", "http://[::ffff:a9fe:a9fe]/", "http://100.100.100.200/", "http://[fe80::1]/"],
)
def test_metadata_and_link_local_addresses_are_refused(url: str) -> None:
    assert "not allowed" in failure(url).message


def test_a_name_that_resolves_to_a_forbidden_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(None, None, None, "", ("10.0.0.1", 80)), (None, None, None, "", ("169.254.169.254", 80))]

    monkeypatch.setattr("socket.getaddrinfo", resolve)
    assert "not allowed" in failure("http://home.example/").message


@pytest.mark.parametrize(
    "response",
    [
        b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 OK\r\n\r\n", b"HTTP/1.1 99 Low\r\n\r\n", b"\0" * 70_000,
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 5000,
    ],
    ids=["nothing", "ssh", "no number", "too low", "zeros", "long header", "many headers"],
)  # fmt: skip
def test_a_malformed_response_is_a_failure(response: bytes) -> None:
    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(BODY)
            writer.write(response)

        async with listening(answer) as port:
            with pytest.raises(DeliveryError) as raised:
                await post(f"http://127.0.0.1:{port}/", BODY, {}, verify_tls=True, timeout_s=2)
        assert raised.value.status is None and "camera" not in raised.value.message

    asyncio.run(run())


def test_an_endless_body_is_not_read(receiver: Receiver) -> None:
    async def run() -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(BODY)
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while True:
                writer.write(b"x" * 65_536)
                await writer.drain()

        async with listening(answer) as port:
            return await post(f"http://127.0.0.1:{port}/", BODY, {}, verify_tls=True, timeout_s=2)

    assert asyncio.run(run()) == 200


def test_a_slow_body_does_not_make_a_response_late() -> None:
    """The head arrives just before the deadline, and the body never ends."""

    async def run() -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(BODY)
            await asyncio.sleep(0.4)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
            while True:
                writer.write(b"x")
                await asyncio.sleep(0.02)

        async with listening(answer) as port:
            return await post(f"http://127.0.0.1:{port}/", BODY, {}, verify_tls=True, timeout_s=0.5)

    assert asyncio.run(run()) == 200


def test_a_slow_head_is_late() -> None:
    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(BODY)
            writer.write(b"HTTP/1.1 200 OK\r\n")
            while True:
                writer.write(b"X-Slow: 1\r\n")
                await asyncio.sleep(0.02)

        async with listening(answer) as port:
            with pytest.raises(DeliveryError, match=r"within 0.3 s"):
                await post(f"http://127.0.0.1:{port}/", BODY, {}, verify_tls=True, timeout_s=0.3)

    asyncio.run(run())


def test_a_response_counts_even_if_the_connection_was_reset_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = asyncio.Event()
    connect = addresses.connect

    async def connect_late(*arguments: Any, **options: Any) -> Any:
        made = await connect(*arguments, **options)
        await ended.wait()
        await asyncio.sleep(0.05)  # The response and the reset arrive before the first read.
        return made

    async def run() -> int:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            await asyncio.sleep(0.05)
            connection = writer.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            ended.set()

        async with listening(answer) as port:
            return await post(f"http://127.0.0.1:{port}/", BODY, {}, verify_tls=True, timeout_s=2)

    monkeypatch.setattr(addresses, "connect", connect_late)
    assert asyncio.run(run()) == 204


@pytest.mark.parametrize(
    "url",
    [
        "http://ada:secret@127.0.0.1/", "http://secret@127.0.0.1/", "http://127.0.0.1@169.254.169.254/",
        "http://2852039166/", "http://0xa9fea9fe/", "http://0/", "http://[::]/", "http://[64:ff9b::a9fe:a9fe]/",
        "http://[fd00:ec2::254]/", "http://[::ffff:100.100.100.200]/"
    ],
)  # fmt: skip
def test_addresses_in_disguise_are_refused_without_being_repeated(url: str) -> None:
    error = failure(url)
    assert "secret" not in error.message and error.status is None
    assert "not allowed" in error.message or "must not contain a user" in error.message
