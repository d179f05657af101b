"""The ASGI application: Ninjacam's for its paths, Django's (or the given application) for all others."""

import asyncio
import logging

from django.core.handlers.asgi import ASGIHandler

from ninjacam.asgi.deflate import WARNING, compresses
from ninjacam.asgi.health import serve_health, serve_metrics
from ninjacam.asgi.shutdown import chain_signals
from ninjacam.front_door.front_door import FrontDoor
from ninjacam.front_door.messages import Application, Message, Receive, Scope, Send
from ninjacam.front_door.mount import Mount, Target, path_info
from ninjacam.front_door.responses import respond_problem
from ninjacam.live.mjpeg import AllParts, serve_mjpeg
from ninjacam.live.snapshot import serve_snapshot
from ninjacam.live.websocket import serve_socket
from ninjacam.playback.exports import serve_export
from ninjacam.playback.playback import PLAYBACK
from ninjacam.problems import Problem
from ninjacam.viewers.worker import Worker

logger = logging.getLogger("ninjacam.live")

_RECORDED = {**PLAYBACK, "export": serve_export}

_REFUSED: dict[str, Problem] = {
    "nothing": Problem(404, "not_found", "No such camera, recording or export."),
    "ws": Problem(426, "upgrade_required", "This URL requires a WebSocket.", ((b"upgrade", b"websocket"),)),
}
_BAD_METHOD = Problem(405, "method_not_allowed", "Use GET or HEAD.", ((b"allow", b"GET, HEAD"),))


class LiveApplication:
    """One per worker process. Starts nothing before the server has started, because servers fork."""

    def __init__(self, inner: Application, *, limit_all: bool = False) -> None:
        self._inner = inner
        self._limit_all = limit_all
        self._door: FrontDoor | None = None
        self._mount: Mount | None = None
        self._worker: Worker | None = None
        self._parts: AllParts | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._warned = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["type"] in ("http", "websocket"):
            door = self._begin()
            if self._mount is None:
                self._mount = Mount()
            target = self._mount.find(scope)
            if target is not None and (scope["type"] == "http" or target.place == "ws"):
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
            self._parts = AllParts(self._worker)
        return self._worker

    async def _serve(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            if not self._warned and compresses(scope, send):
                self._warned = True
                logger.warning(WARNING)
            await serve_socket(self.worker, scope, receive, send)
            return
        head = scope["method"] == "HEAD"
        if scope["method"] not in ("GET", "HEAD"):
            await respond_problem(send, _BAD_METHOD)
            return
        if target.place in _REFUSED:
            await respond_problem(send, _REFUSED[target.place], head=head)
            return
        try:
            await self._serve_http(target, scope, receive, send)
        except Problem as problem:
            await respond_problem(send, problem, head=head)

    async def _serve_http(self, target: Target, scope: Scope, receive: Receive, send: Send) -> None:
        worker = self.worker
        assert self._parts is not None
        if target.place == "mjpeg":
            await serve_mjpeg(self._parts, scope, receive, send, target.slug)
        elif target.place == "snapshot.jpg":
            await serve_snapshot(worker, scope, send, target.slug)
        elif target.place == "healthz":
            await serve_health(worker, scope, send)
        elif target.place in _RECORDED:
            await _RECORDED[target.place](worker, scope, receive, send, target)
        else:
            await serve_metrics(worker, scope, send)

    # --- lifecycle ---

    def _begin(self, lifespan_send: Send | None = None) -> FrontDoor:
        """Called when the server starts, or at the first request: from now on, handle signals too."""
        loop = asyncio.get_running_loop()
        if self._door is None or self._loop is not loop:
            self._loop = loop
            self._worker = None  # A previous event loop has ended with everything in it (tests).
            self._door = FrontDoor(self, lifespan_send)
            chain_signals(loop, self._stop)
        return self._door

    def _stop(self) -> None:
        self.worker.begin_stop()
        if self._door is not None:
            self._door.begin_stop()

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Our lifespan around the inner application's; alone if that has none (Django)."""
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
            # ASGI: an application signals by any exception that it does not support lifespan.
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
