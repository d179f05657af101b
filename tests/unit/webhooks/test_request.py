"""One request, to real servers that misbehave."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

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
