"""The optimized path of uvicorn's WebSocket protocol writes the same bytes as the original."""

import asyncio
from typing import Any

import pytest
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import Frame, Opcode

from ninjacam.front_door.messages import Message, Receive, Scope, Send
from ninjacam.front_door.uvicorn_websocket import SharedFrameProtocol, binary_frame

HANDSHAKE = (
    b"GET /live/ws HTTP/1.1\r\nHost: camera.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def write(self, data: Any) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...


class _Connection:
    """An accepted WebSocket. `send`: the application's send callable."""

    def __init__(self, kind: type[WebSocketsSansIOProtocol]) -> None:
        self.transport = _Transport()
        self.over = asyncio.Event()
        config = Config(
            self._application, ws_per_message_deflate=False, interface="asgi3", log_level="critical"
        )
        config.load()
        self.protocol = kind(config, ServerState(), {}, asyncio.get_running_loop())

    async def _application(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        self.opened.set_result(send)
        await self.over.wait()

    async def open(self) -> Send:
        self.opened: asyncio.Future[Send] = asyncio.get_running_loop().create_future()
        self.protocol.connection_made(self.transport)
        self.protocol.data_received(HANDSHAKE)
        send = await self.opened
        self.transport.written.clear()
        return send

    async def end(self) -> None:
        self.over.set()
        self.protocol.connection_lost(None)
        await asyncio.gather(*self.protocol.tasks)


def picture(size_bytes: int = 20_000) -> Message:
    return {"type": "websocket.send", "bytes": bytes(range(256)) * (size_bytes // 256 + 1)}


@pytest.mark.parametrize("size_bytes", [0, 1, 125, 126, 65_535, 65_536, 1 << 20])
def test_a_frame_equals_that_of_the_library(size_bytes: int) -> None:
    data = bytes(size_bytes)

    assert binary_frame(data) == Frame(Opcode.BINARY, data).serialize(mask=False)


def test_both_ways_write_the_same_bytes() -> None:
    async def run() -> None:
        written = []
        for kind in (WebSocketsSansIOProtocol, SharedFrameProtocol):
            connection = _Connection(kind)
            send = await connection.open()
            await send(picture())
            await send({"type": "websocket.send", "text": '{"op":"pong"}'})
            await send(picture(10))
            await send({"type": "websocket.close", "code": 1001})
            written.append(b"".join(connection.transport.written))
            await connection.end()

        assert written[0] == written[1]
        assert len(written[0]) > 20_000

    asyncio.run(run())


def test_viewers_of_one_image_share_its_frame() -> None:
    async def run() -> None:
        connections = [_Connection(SharedFrameProtocol) for _ in range(2)]
        message = picture()
        for connection in connections:
            send = await connection.open()
            await send(message)

        first, second = (connection.transport.written for connection in connections)
        assert len(first) == len(second) == 1
        assert first[0] is second[0]
        for connection in connections:
            await connection.end()

    asyncio.run(run())


def test_an_image_waits_until_the_client_reads_more() -> None:
    async def run() -> None:
        connection = _Connection(SharedFrameProtocol)
        send = await connection.open()
        connection.protocol.pause_writing()
        sending = asyncio.ensure_future(send(picture()))
        await asyncio.sleep(0)
        assert not connection.transport.written

        connection.protocol.resume_writing()
        await sending

        assert len(connection.transport.written) == 1
        await connection.end()

    asyncio.run(run())


def test_an_image_for_a_disconnected_client_is_an_error() -> None:
    async def run() -> None:
        connection = _Connection(SharedFrameProtocol)
        send = await connection.open()
        await connection.end()

        with pytest.raises(ClientDisconnected):
            await send(picture())

        assert not connection.transport.written

    asyncio.run(run())


def test_nothing_is_sent_after_a_close() -> None:
    async def run() -> None:
        connection = _Connection(SharedFrameProtocol)
        send = await connection.open()
        await send({"type": "websocket.close", "code": 1001})
        connection.transport.written.clear()

        with pytest.raises(RuntimeError, match="after sending"):
            await send(picture())

        assert not connection.transport.written
        connection.protocol.close_timer.cancel()  # type: ignore[union-attr]
        await connection.end()

    asyncio.run(run())
