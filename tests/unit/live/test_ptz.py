"""Held movements of a WebSocket, in the web worker."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam.core.json_lines import decode
from ninjacam.devices.messages import socket_path
from ninjacam.front_door.messages import Message
from ninjacam.live.ptz import HeldMovements

REFUSED = {"code": "connection_refused", "message": "10.0.0.5 refuses port 80.", "retryable": True}


class FailingConnection:
    """A connection to a device that refuses each movement."""

    def __init__(self, on_error: Callable[[dict[str, Any]], None], on_lost: Callable[[], None]) -> None:
        self._on_error = on_error

    async def open(self, run_dir: Path, slug: str) -> None: ...

    def move(self, velocity: object) -> None:
        asyncio.get_running_loop().call_soon(self._on_error, REFUSED)

    def close(self) -> None: ...


@pytest.mark.parametrize("details", [False, True])
def test_only_users_who_may_configure_a_camera_read_its_address_in_errors(
    monkeypatch: pytest.MonkeyPatch, details: bool
) -> None:
    monkeypatch.setattr("ninjacam.live.ptz.DeviceConnection", FailingConnection)
    sent: list[Message] = []

    async def authorise(*_: Any) -> bool:
        return details

    async def run() -> None:
        settings = SimpleNamespace(reauth_s=5.0, run_dir=Path("/nowhere"))
        worker = SimpleNamespace(database=SimpleNamespace(run=authorise), settings=settings)
        movements = HeldMovements(cast(Any, worker), cast(Any, None), sent.append)
        await movements.take({"op": "ptz", "camera": "door", "pan": 1})
        await asyncio.sleep(0)
        movements.close()

    asyncio.run(run())
    (answer,) = (json.loads(each["text"]) for each in sent)
    assert answer["code"] == "connection_refused"
    assert answer["message"] == (REFUSED["message"] if details else "The camera refuses the connection.")


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
