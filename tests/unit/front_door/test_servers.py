import asyncio
import logging
from typing import Any, cast

import pytest
from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from ninjacam.front_door import log_limits, servers
from ninjacam.front_door.connections import Connections
from ninjacam.front_door.messages import Send
from ninjacam.front_door.uvicorn_protocol import MAX_PIPELINED, LimitedHttpToolsProtocol, announcing
from ninjacam.front_door.uvicorn_websocket import SharedFrameProtocol


class ASGIWorker:
    """Has the name of gunicorn's class."""

    async def _serve(self) -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return "shut down"
        return "slept"


class StoppingWorker:
    async def _serve(self) -> None:
        await self._shut_down()

    async def _shut_down(self) -> None:
        await asyncio.sleep(60)

    _serve.__qualname__ = "ASGIWorker._serve"


class Application:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Lifespan:
    """Servers keep the application that they call in `config`, `app` or `callable`."""

    def __init__(self, **where: Any) -> None:
        self.__dict__.update(where)

    async def send(self, message: Any) -> None: ...


class Around:
    def __init__(self, app: Any, **more: Any) -> None:
        self.app = app
        self.__dict__.update(more)


def test_only_the_sleep_of_gunicorn_is_shortened() -> None:
    async def run() -> None:
        worker = asyncio.ensure_future(ASGIWorker()._serve())
        stopping = asyncio.ensure_future(StoppingWorker()._serve())
        other = asyncio.ensure_future(asyncio.sleep(60))
        await asyncio.sleep(0)
        servers.hasten_exit()
        assert await worker == "shut down"
        assert not other.done()
        await asyncio.sleep(0)
        assert not stopping.done()
        other.cancel()
        stopping.cancel()

    asyncio.run(run())


def test_a_direct_call_by_the_server_is_detected() -> None:
    application = Application()
    uvicorn = Lifespan(config=Around(None, loaded_app=Around(application)))
    assert servers.calls_directly(uvicorn.send, application)
    assert servers.calls_directly(Lifespan(app=application).send, application)
    assert servers.calls_directly(Lifespan(callable=application).send, application)
    assert not servers.calls_directly(Lifespan(app=Application()).send, application)
    assert not servers.calls_directly(None, application)


def test_uvicorn_serves_with_our_protocols() -> None:
    config = Config(Application(), http="httptools", ws="websockets-sansio")
    config.load()
    servers.harden(cast(Send, LifespanOn(config).send), Connections(10, lambda _address: False))
    assert issubclass(cast(type, config.http_protocol_class), LimitedHttpToolsProtocol)
    assert config.ws_protocol_class is SharedFrameProtocol


def test_a_connection_is_announced_when_it_is_accepted_and_not_after_its_tls_handshake() -> None:
    seen: list[str] = []
    config = Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    make = announcing(lambda: seen.append("announced"))
    asyncio.run(_make(make, config))  # asyncio and uvloop create the protocol before the handshake
    assert seen == ["announced"]


async def _make(protocol: type[LimitedHttpToolsProtocol], config: Config) -> None:
    protocol(config=config, server_state=ServerState(), app_state={})


class Transport:
    """A connection that has just been accepted."""

    def __init__(self) -> None:
        self.is_closed = False
        self.written = b""

    def get_extra_info(self, _name: str) -> None:
        return None

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        pass


def pipeline(requests: int) -> Transport:
    """Return the connection of a client that has sent so many requests at once, before any of them is served."""
    config = Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    transport = Transport()

    async def receive() -> None:
        protocol = LimitedHttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(cast(asyncio.Transport, transport))
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * requests)
        for task in protocol.tasks:
            task.cancel()

    asyncio.run(receive())
    return transport


def test_a_connection_with_many_pipelined_requests_is_closed() -> None:
    assert not pipeline(1 + MAX_PIPELINED).is_closed
    assert pipeline(2 + MAX_PIPELINED).is_closed


def test_a_refused_head_is_logged_once_a_minute(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(log_limits, "_rarely", log_limits.Rarely())
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            pipeline(100)
    assert [record.getMessage() for record in caplog.records] == ["Refused a request head: Too Many Requests"]
