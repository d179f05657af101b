"""A fake server closes what it has accepted, also a connection that is accepted as it stops."""

import asyncio
import contextlib
import socket

import pytest

from ninjacam.testing.server_thread import ServerThread


class _Silent(ServerThread):
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()


@pytest.mark.parametrize("steps", range(8))
def test_a_connection_ends_with_the_server_however_late_it_was_accepted(steps: int) -> None:
    async def run() -> socket.socket:
        server = _Silent("127.0.0.1", 0, None)
        ready = asyncio.Event()
        serving = asyncio.create_task(server.serve(ready.set))
        await ready.wait()
        client = socket.create_connection(("127.0.0.1", server.port))
        for _ in range(steps):
            await asyncio.sleep(0)
        server.request_stop()
        await serving
        return client

    with asyncio.run(run()) as client:
        client.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert client.recv(1) == b""
