"""The talk socket of the web worker, without a camera."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam.core.errors import ConnectionRefusedSourceError
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


@pytest.mark.parametrize("details", [False, True])
def test_only_users_who_may_configure_a_camera_read_its_address_in_errors(
    monkeypatch: pytest.MonkeyPatch, details: bool
) -> None:
    text, sent = "10.0.0.5 refuses port 554.", list[Message]()

    async def refuse(*_: Any) -> None:
        raise ConnectionRefusedSourceError(text)

    async def authorise(*_: Any) -> Any:
        user = SimpleNamespace(get_username=lambda: "ann")
        camera = SimpleNamespace(slug="door")
        return SimpleNamespace(principal=SimpleNamespace(user=user), camera=camera, details=details)

    messages = [{"type": "websocket.connect"}]

    async def receive() -> Message:
        if not messages:
            await asyncio.Event().wait()
        return messages.pop()

    async def send(message: Message) -> None:
        sent.append(message)

    async def run() -> None:
        worker = SimpleNamespace(
            database=SimpleNamespace(run=authorise),
            settings=SimpleNamespace(run_dir=None),
            add=lambda _: None,
            remove=lambda _: None,
        )
        target = cast(Any, SimpleNamespace(slug="door"))
        await serve_talk(cast(Any, worker), {}, receive, send, target)

    monkeypatch.setattr("ninjacam.live.talk.TalkConnection.open", refuse)
    asyncio.run(run())
    (answer,) = (json.loads(each["text"]) for each in sent if each.get("text"))
    assert answer["code"] == "connection_refused"
    assert answer["message"] == (text if details else "The camera refuses the connection.")
