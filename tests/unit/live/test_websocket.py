"""Limits of one WebSocket, with subscriptions that do nothing."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ninjacam.front_door.messages import Message
from ninjacam.live import websocket
from ninjacam.live.websocket import LiveSocket


class Subscription:
    def __init__(self, socket: LiveSocket, request: Any, *_: Any, **__: Any) -> None:
        self.id = request.id
        self.request = request

    def begin(self) -> None: ...
    def close(self) -> None: ...


def test_replacing_annotations_by_frames_does_not_exceed_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MAX_SUBSCRIPTIONS", 2)
    monkeypatch.setattr(websocket, "FramesSubscription", Subscription)
    monkeypatch.setattr(websocket, "AnnotationsSubscription", Subscription)
    errors: list[dict[str, Any]] = []

    async def send(message: Message) -> None:
        errors.append(json.loads(message["text"]))

    async def authorise(*_: Any) -> tuple[None, bool]:
        return None, False

    async def run() -> None:
        worker = cast(Any, SimpleNamespace(database=SimpleNamespace(run=authorise)))
        socket = LiveSocket(worker, cast(Any, None), {}, cast(Any, None), send)

        async def subscribe(number: int, form: str) -> None:
            message = {"op": "subscribe", "id": number, "camera": "door", "view": "v", "format": form}
            await socket._handle_message(json.dumps(message))

        for number in range(8):
            await subscribe(number, "annotations")
        for number in range(3):
            await subscribe(number, "annexb")
        await subscribe(1, "annexb")
        assert [(each["id"], each["code"]) for each in errors] == [(2, "limit")]

    asyncio.run(run())
