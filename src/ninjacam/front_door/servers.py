"""Support for ASGI servers: uvicorn, gunicorn and granian. They are detected, because none announces itself.

`send` is always that of the lifespan, an attribute of an object of the server.
"""

import asyncio
import logging
from typing import Any

from ninjacam.front_door.connections import Connections
from ninjacam.front_door.log_limits import StrangersFilter
from ninjacam.front_door.messages import Send

logger = logging.getLogger("ninjacam.front_door")

_CAUSED_BY_STRANGERS = {
    "uvicorn.error": (
        "Invalid HTTP request received",
        "Unsupported upgrade request",
        "No supported WebSocket library",
        "Exceeded concurrency limit",
        "Invalid UTF-8 sequence received",
        "ASGI callable returned without completing response",
    ),
    "asyncio": ("socket.send() raised exception", "socket.accept() out of system resource"),
    "gunicorn.error": ("Invalid request",),
    "_granian": ("Failed to close websocket", "Websocket handshake failed"),
}
"""Loggers of servers, and the beginnings of lines that a client can cause by its data or by disconnecting."""


def calls_directly(send: Send | None, application: object) -> bool:
    """Return whether the server calls `application` directly, so that nothing else serves its connections."""
    owner = getattr(send, "__self__", None)
    config = getattr(owner, "config", None)
    called = (
        getattr(config, "loaded_app", None)  # uvicorn's LifespanOn
        or getattr(owner, "app", None)  # gunicorn's LifespanManager
        or getattr(owner, "callable", None)  # granian's LifespanProtocol
    )
    for _ in range(3):  # uvicorn's own middleware: proxy headers, message logging.
        if called is application:
            return True
        called = getattr(called, "app", None)
    return False


def harden(send: Send | None, connections: Connections) -> None:
    """Limit the request head in the server's parser, and the log lines that anonymous clients can cause.

    Gunicorn and granian have such limits. Uvicorn with httptools has none, and gets our protocol, which also
    announces its connections to `connections`.
    """
    for name, beginnings in _CAUSED_BY_STRANGERS.items():
        target = logging.getLogger(name)
        if not any(isinstance(each, StrangersFilter) for each in target.filters):
            target.addFilter(StrangersFilter(beginnings))
    config: Any = getattr(getattr(send, "__self__", None), "config", None)
    protocol = getattr(config, "http_protocol_class", None)
    if getattr(protocol, "__module__", "") == "uvicorn.protocols.http.httptools_impl":
        from ninjacam.front_door.uvicorn_protocol import announcing

        config.http_protocol_class = announcing(connections.expect_announcements())
    socket_protocol = getattr(config, "ws_protocol_class", None)
    if getattr(socket_protocol, "__module__", "") == "uvicorn.protocols.websockets.websockets_sansio_impl":
        from ninjacam.front_door.uvicorn_websocket import SharedFrameProtocol

        config.ws_protocol_class = SharedFrameProtocol


def hasten_exit() -> None:
    """Wake up gunicorn's asgi worker, which checks once a second whether it must stop. Call it in its event loop.

    Tested with gunicorn 27.0, whose main loop treats a cancellation as a graceful shutdown. Remove it when gunicorn
    wakes up by itself.
    """
    for task in asyncio.all_tasks():
        coroutine = task.get_coro()
        naps = getattr(getattr(coroutine, "cr_await", None), "__qualname__", "") == "sleep"
        # It is neither starting nor stopping.
        if naps and getattr(coroutine, "__qualname__", "") == "ASGIWorker._serve":
            task.cancel()
