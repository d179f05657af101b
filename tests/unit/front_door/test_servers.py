import asyncio
import socket
from typing import Any, cast

from uvicorn import Config
from uvicorn.lifespan.on import LifespanOn
from uvicorn.server import ServerState

from ninjacam.front_door import servers
from ninjacam.front_door.connections import Connections
from ninjacam.front_door.messages import Send
from ninjacam.front_door.uvicorn_protocol import LimitedHttpToolsProtocol, announcing
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


def test_responses_are_sent_at_once_on_a_socket_that_the_server_does_not_know_to_be_tcp() -> None:
    """`uvicorn --fd` declares its socket a Unix socket, so asyncio leaves Nagle's algorithm enabled."""
    config = Config(lambda: None, http="httptools", lifespan="off")
    config.load()
    assert asyncio.run(_find_nodelay(config)) == 1


async def _find_nodelay(config: Config) -> int:
    found = asyncio.get_running_loop().create_future()

    class Observed(LimitedHttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            connection = transport.get_extra_info("socket")
            found.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        declared = socket.fromfd(listener.fileno(), socket.AF_UNIX, socket.SOCK_STREAM)
        server = await asyncio.get_running_loop().create_server(
            lambda: Observed(config=config, server_state=ServerState(), app_state={}), sock=declared
        )
        _, writer = await asyncio.open_connection(*listener.getsockname())
        nodelay: int = await asyncio.wait_for(found, 10)
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
    return nodelay
