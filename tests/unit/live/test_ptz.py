"""Held movements of a WebSocket, in the web worker."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from ninjacam.core.json_lines import decode
from ninjacam.devices.messages import socket_path
from ninjacam.live.ptz import HeldMovements


def test_the_end_of_a_socket_closes_its_connection_to_the_device_at_once(tmp_path: Path) -> None:
    """The capture process stops the camera when this connection ends, without waiting for the end of the hold."""
    received: list[bytes] = []

    async def run() -> None:
        moving, is_closed = asyncio.Event(), asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            received.append(await reader.readline())
            moving.set()
            await reader.read()
            is_closed.set()
            writer.close()

        async def database(*_: Any) -> bool:
            return True

        settings = SimpleNamespace(run_dir=tmp_path, reauth_s=5)
        worker = SimpleNamespace(settings=settings, database=SimpleNamespace(run=database))
        held = HeldMovements(cast(Any, worker), cast(Any, None), lambda _: None)
        async with await asyncio.start_unix_server(serve, socket_path(tmp_path, "dome")), asyncio.timeout(20):
            await held.take({"op": "ptz", "camera": "dome", "pan": 1})
            await moving.wait()
            held.close()
            await is_closed.wait()

    asyncio.run(run())
    assert decode(received[0]) == {"op": "move", "pan": 1, "tilt": None, "zoom": None}
