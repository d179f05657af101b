"""The ASGI application: routes requests to Ninjacam or to Django (or the given application)."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from django.core.handlers.asgi import ASGIHandler
from django.utils.module_loading import import_string
from django.utils.translation import override

from ninjacam.asgi.deflate import WARNING, compresses
from ninjacam.asgi.shutdown import chain_signals
from ninjacam.front_door.abort import has_left
from ninjacam.front_door.front_door import FrontDoor
from ninjacam.front_door.messages import Application, Message, Receive, Scope, Send
from ninjacam.front_door.mount import MountPoint, Target, path_info
from ninjacam.front_door.responses import respond, respond_problem
from ninjacam.languages import language_of
from ninjacam.problems import Problem
from ninjacam.routes import ROUTES
from ninjacam.viewers.worker import Worker

logger = logging.getLogger("ninjacam.asgi")

Handler = Callable[[Worker, Scope, Receive, Send, Target], Awaitable[None]]

_NOTHING = Problem(404, "not_found", "No such camera, recording or export.")
_NO_UPGRADE = Problem(
    426, "upgrade_required", "This URL requires a WebSocket.", ((b"upgrade", b"websocket"),)
)
_BAD_METHOD = Problem(405, "method_not_allowed", "Use GET or HEAD.", ((b"allow", b"GET, HEAD"),))


def _is_socket(target: Target) -> bool:
    return target.route is not None and target.route.protocol == "websocket"


class LiveApplication:
    """The application of one worker process. Starts no task before the server has started, because servers fork."""

    def __init__(self, inner: Application, *, limit_all: bool = False) -> None:
        self._inner = inner
        self._limit_all = limit_all
        self._door: FrontDoor | None = None
        self._mount: MountPoint | None = None
        self._worker: Worker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._warned = False
        # Import handlers now, not at the first request: a server that forks shares modules imported before.
        self._handlers: dict[str, Handler] = {route.name: import_string(route.handler) for route in ROUTES}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["type"] == "http" and has_left(send):
            # Servers report a request without a response as an error.
            await respond(send, 503, b"text/plain", b"")
            return
        if scope["type"] in ("http", "websocket"):
            door = self._begin()
            if self._mount is None:
                self._mount = MountPoint()
            target = self._mount.find(scope)
            if target is not None and (scope["type"] == "http" or _is_socket(target)):
                await door.pass_stream(scope, send, lambda: self._serve(target, scope, receive, send))
            elif scope["type"] == "websocket" and isinstance(self._inner, ASGIHandler):
                await receive()
                await send({"type": "websocket.close", "code": 4404})  # Django alone would log a traceback.
            elif scope["type"] == "http" and (self._limit_all or self._mount.owns(scope)):
                await door.pass_django(self._inner, scope, receive, send, path_info(scope))
            else:
                await door.pass_unlimited(self._inner, scope, receive, send)
            return
        await self._inner(scope, receive, send)

    # --- Ninjacam's requests ---

    @property
    def worker(self) -> Worker:
        if self._worker is None:
            self._worker = Worker()
        return self._worker

    async def _serve(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and not self._warned and compresses(scope, send):
            self._warned = True
            logger.warning(WARNING)
        head = scope["type"] == "http" and scope["method"] == "HEAD"
        try:
            handler = self._handler(target, scope)
            with override(language_of(scope["headers"])):  # Of this task: errors are sent in it.
                await handler(self.worker, scope, receive, send, target)
        except Problem as problem:
            await respond_problem(send, problem, head=head)

    def _handler(self, target: Target, scope: Scope) -> Handler:
        """Raises: Problem 404, 405, 426."""
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD"):
            raise _BAD_METHOD
        if target.route is None:
            raise _NOTHING
        if target.route.protocol != scope["type"]:
            raise _NO_UPGRADE
        return self._handlers[target.route.name]

    # --- lifecycle ---

    def _begin(self, lifespan_send: Send | None = None) -> FrontDoor:
        """Create the front door, and handle signals. Called when the server starts, or at the first request."""
        loop = asyncio.get_running_loop()
        if self._door is None or self._loop is not loop:
            self._loop = loop
            self._worker = None  # A previous event loop has ended with its tasks (tests).
            self._door = FrontDoor(self, lifespan_send)
            chain_signals(loop, self._stop)
        return self._door

    def _stop(self) -> None:
        self.worker.begin_stop()
        if self._door is not None:
            self._door.begin_stop()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run our lifespan around the inner application's, or alone if it has none (Django)."""
        heard: set[str] = set()
        answered: set[str] = set()

        async def hear() -> Message:
            message = await receive()
            heard.add(message["type"])
            if message["type"] == "lifespan.startup":
                self._begin(send)
            elif message["type"] == "lifespan.shutdown":
                self._end()
            return message

        async def reply(message: Message) -> None:
            answered.add(message["type"].rpartition(".")[0])
            await send(message)

        if not isinstance(self._inner, ASGIHandler):
            try:
                await self._inner(scope, hear, reply)
            # ASGI: an application may raise any exception to signal that it does not support lifespan.
            except Exception:
                if "lifespan.startup" in answered:
                    raise
                logger.debug("the inner application has no lifespan")
        if "lifespan.startup" not in answered:
            if "lifespan.startup" not in heard:
                await hear()
            await send({"type": "lifespan.startup.complete"})
            await hear()
        if "lifespan.shutdown" not in answered:
            await send({"type": "lifespan.shutdown.complete"})

    def _end(self) -> None:
        if self._door is not None:
            self._door.close()
        if self._worker is not None:
            self._worker.close()
