"""The talk socket of the web worker, without a camera."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam.front_door.messages import Message
from ninjacam.live.talk import serve_talk


def test_a_client_that_leaves_during_the_handshake_occupies_no_slot() -> None:
    viewers: set[Any] = set()

    async def authorise(*_: Any) -> Any:
        return SimpleNamespace(principal=None, camera=None)

    worker = SimpleNamespace(
        database=SimpleNamespace(run=authorise), add=viewers.add, remove=viewers.discard, viewers=viewers
    )

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        assert viewers
        raise OSError("the client has disconnected")

    async def run() -> None:
        target = cast(Any, SimpleNamespace(slug="door"))
        with pytest.raises(OSError, match="disconnected"):
            await serve_talk(cast(Any, worker), {}, receive, send, target)

    asyncio.run(run())
    assert not viewers
