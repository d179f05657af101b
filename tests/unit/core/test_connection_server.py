"""A `ConnectionServer` closes what it has accepted, in whichever state the connection is."""

import asyncio
import contextlib
import socket
import ssl

import pytest

from ninjacam.core.connection_server import Handler
from ninjacam.testing.tls import server_context
from tests.harness.async_server import listening


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(100):
        writer.write(data)


async def _connect_and_leave(handler: Handler, steps: int, tls: ssl.SSLContext | None = None) -> None:
    """Connect so many steps of the event loop before the server ends; the connection must end with it."""
    async with listening(handler, tls=tls) as port:
        client = socket.create_connection(("127.0.0.1", port))
        for _ in range(steps):
            await asyncio.sleep(0)
    with client:
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""


@pytest.mark.parametrize("steps", range(8))
def test_a_connection_ends_with_the_server_however_late_it_was_accepted(steps: int) -> None:
    asyncio.run(_connect_and_leave(echo, steps))


@pytest.mark.parametrize("steps", range(8))
def test_a_tls_handshake_that_has_not_ended_ends_with_the_server(steps: int) -> None:
    asyncio.run(_connect_and_leave(echo, steps, server_context()))


def test_connections_are_served_and_closed_when_the_handler_returns() -> None:
    async def run() -> None:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"x" * 1_000_000)

        async with listening(greet) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert len(await reader.read()) == 1_000_000
            writer.close()
            await writer.wait_closed()

    asyncio.run(run())


def test_an_error_of_the_handler_fails_the_test() -> None:
    async def run() -> None:
        async def fail(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            raise ValueError("a bug of the test")

        async with listening(fail) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    with pytest.raises(ValueError, match="a bug of the test"):
        asyncio.run(run())
