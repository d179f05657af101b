"""The server of line-based Unix sockets, over real ones."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest

from ninjacam.core.unix_sockets import UnixServer


@pytest.mark.parametrize("steps", range(5))
def test_no_connection_is_served_after_the_end_of_the_server(tmp_path: Path, steps: int) -> None:
    """A connection that was accepted just before is closed."""
    ended_with: list[bool] = []
    path = tmp_path / "door.device"

    async def run() -> None:
        closed = False

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await reader.read()
            finally:
                ended_with.append(closed)

        server = UnixServer(path, serve, max_connections=4, max_line_bytes=100)
        await server.start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.setblocking(False)
            for _ in range(steps):
                await asyncio.sleep(0)
            await server.close()
            closed = True
            async with asyncio.timeout(10):
                with contextlib.suppress(ConnectionResetError):
                    assert await asyncio.get_running_loop().sock_recv(client, 1) == b""

    asyncio.run(run())
    assert True not in ended_with
    assert not path.exists()
