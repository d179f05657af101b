"""Applies the limits on headers, bodies, time and numbers to every request, under any ASGI server.

docs/design/0006-front-door.md lists where each limit is enforced under each server.
"""

import asyncio
import contextlib
import logging
import resource
from collections.abc import Awaitable, Callable, Iterator

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.front_door import servers
from ninjacam.front_door.abort import abort_connection, transport_of
from ninjacam.front_door.bodies import (
    NONE,
    Bodies,
    announced_bytes,
    counted,
    limit_of,
    replay,
)
from ninjacam.front_door.connections import Connections
from ninjacam.front_door.gate import Gate, Place
from ninjacam.front_door.limits import MAX_HEAD_BYTES, MAX_HEADERS, MAX_URL_BYTES
from ninjacam.front_door.messages import STOPPING, Application, Message, Receive, Scope, Send
from ninjacam.front_door.peers import claimed_user, client_network, socket_peer
from ninjacam.front_door.responses import respond_problem
from ninjacam.problems import Problem
from ninjacam.throttle import is_trusted

logger = logging.getLogger("ninjacam.front_door")

SEND_DEADLINE_S = 30.0
"""Seconds for a client to accept a part of Django's response. For streams, NINJACAM["SEND_TIMEOUT_S"] applies.
"""
MAX_OPEN_FILES = 65_536
RESERVED_FILES = 256
"""Open files reserved for the database, recordings and local streams."""

Serve = Callable[[], Awaitable[None]]


class FrontDoor:
    """One per worker process, created in its event loop. Owner: the LiveApplication."""

    def __init__(self, application: object, send: Send | None) -> None:
        """Create it. `send`: of the lifespan; reveals the server and whether it calls `application` directly."""
        files = _raise_open_files()
        most = _max_connections()
        self.connections = Connections(min(most, max(64, files - RESERVED_FILES)), is_trusted)
        self._stopping = asyncio.Event()
        self._bodies = Bodies()
        self._gate = Gate()
        if most and servers.calls_directly(send, application):
            servers.harden(send, self.connections)
            self.connections.start()
        else:
            logger.debug("The number of connections is not limited.")

    def begin_stop(self) -> None:
        """Idempotent."""
        if not self._stopping.is_set():
            self._stopping.set()
            self.connections.begin_stop()
            servers.hasten_exit()

    def close(self) -> None:
        self.connections.close()

    async def pass_stream(self, scope: Scope, send: Send, serve: Serve) -> None:
        """Serve a request of Ninjacam's streams, which accept no body, and have their own deadlines."""
        problem = refused_head(scope)
        if problem is None and scope["type"] == "http" and announced_bytes(scope) != 0:
            problem = NONE.too_large()
        with self.connections.request(socket_peer(scope, send)), _hang_ups_are_no_errors(send):
            if problem is None:
                await serve()
            else:
                await _refuse(scope, send, problem)

    async def pass_django(
        self, inner: Application, scope: Scope, receive: Receive, send: Send, path: str
    ) -> None:
        """Serve a request of Django, with all limits. `path`: without the script name."""
        peer = socket_peer(scope, send)
        with self.connections.request(peer), _hang_ups_are_no_errors(send):
            problem = refused_head(scope)
            if problem is not None:
                await _refuse(scope, send, problem)
                return
            answer = _Answer(send)
            group = client_network(scope)
            try:
                scope[STOPPING] = self._stopping
                with self.connections.body(peer):
                    receive = await self._take_body(scope, receive, path, group)
                async with self._gate.place(group, claimed_user(scope)) as place:
                    answer.place = place
                    await inner(scope, receive, answer.send)
            except Problem as refused:
                if not answer.begun:
                    await respond_problem(send, refused, head=scope["method"] == "HEAD")
            except _TooSlowError:
                self.connections.abort(peer)
                abort_connection(scope, send)
                await asyncio.sleep(0)  # Let the server detect it before we return.

    async def pass_unlimited(self, inner: Application, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve another view of the project."""
        with self.connections.request(socket_peer(scope, send)):
            await inner(scope, receive, send)

    async def _take_body(self, scope: Scope, receive: Receive, path: str, group: str) -> Receive:
        """Return a `receive` with the limited body. Raises: Problem."""
        size_bytes = announced_bytes(scope)
        if size_bytes == 0:
            return receive
        limit = limit_of(path)
        if size_bytes is not None and size_bytes > limit.max_bytes:
            raise limit.too_large()
        if limit.is_large:
            return counted(receive, limit)
        return replay(await self._bodies.read(receive, limit, group), receive)


class _TooSlowError(Exception):
    """The client does not accept the response."""


class _Answer:
    """The `send` of one request: releases its slot in the gate when Django responds, and then applies a deadline."""

    def __init__(self, send: Send) -> None:
        self.place: Place | None = None
        self.begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        if not self.begun:
            self.begun = True
            if self.place is not None:
                self.place.leave()
        try:
            async with asyncio.timeout(SEND_DEADLINE_S):
                await self._send(message)
        except TimeoutError as exc:
            raise _TooSlowError from exc


@contextlib.contextmanager
def _hang_ups_are_no_errors(send: Send) -> Iterator[None]:
    """Suppress errors of servers for writing to a client that has disconnected, which would be logged with a
    traceback."""
    try:
        yield
    except (OSError, RuntimeError) as exc:
        transport = transport_of(send)
        if transport is None or not transport.is_closing():
            raise
        logger.debug("the client disconnected: %s", exc)


def refused_head(scope: Scope) -> Problem | None:
    """Return the problem of a request head that exceeds a limit. Servers have their own limits; these apply under
    all servers."""
    url_bytes = len(scope.get("raw_path") or scope["path"].encode()) + len(scope.get("query_string", b""))
    if url_bytes > MAX_URL_BYTES:
        return Problem(414, "url_too_long", f"The URL is too long. Use at most {MAX_URL_BYTES} bytes.")
    headers = scope["headers"]
    if len(headers) > MAX_HEADERS or sum(len(name) + len(value) for name, value in headers) > MAX_HEAD_BYTES:
        text = f"The request has too many headers. Send at most {MAX_HEADERS}, and {MAX_HEAD_BYTES} bytes of them."
        return Problem(431, "headers_too_large", text)
    return None


async def _refuse(scope: Scope, send: Send, problem: Problem) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": problem.detail[:100]})
        return
    await respond_problem(send, problem, head=scope["method"] == "HEAD")


def _max_connections() -> int:
    """Return the maximum number of connections; 0 if the setting NINJACAM is invalid, because the project's other
    pages must still work."""
    try:
        return get_settings().max_connections_per_worker
    except ConfigError as exc:
        logger.error("connections are not limited: %s", exc)  # noqa: TRY400
        return 0


def _raise_open_files() -> int:
    """Raise the limit on open files, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MAX_OPEN_FILES if soft == resource.RLIM_INFINITY else soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (ValueError, OSError) as exc:
        logger.warning("the limit of open files stays at %d: %s", soft, exc)
        return soft
    return wanted
