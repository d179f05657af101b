"""`/live/<slug>/talk`: a WebSocket that carries a user's voice to the camera. One socket is one press of the button.

docs/websocket.md describes the messages. The camera's capture process speaks to the camera (`ninjacam.talk`).
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ninjacam.core.errors import NinjacamError
from ninjacam.core.viewer_errors import without_details
from ninjacam.front_door.abort import abort_connection
from ninjacam.front_door.messages import Message, Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.live.allowance import Allowance
from ninjacam.live.background import BackgroundWrites
from ninjacam.live.encodings import text_message
from ninjacam.live.sink import Sink
from ninjacam.live.websocket import CLOSE_GRACE_S, GOING_AWAY, POLICY, TOO_BIG, TOO_SLOW, close_code
from ninjacam.problems import Problem, problem_of
from ninjacam.talk.client import Ready, Refusal, TalkConnection
from ninjacam.talk.messages import SAMPLE_BYTES
from ninjacam.viewers import auth
from ninjacam.viewers.auth import TalkPermission
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera

logger = logging.getLogger("ninjacam.live")

ENDED = 1000
MAX_CHUNK_BYTES = 16_384
MIN_CHUNK_BYTES = 256
"""A smaller message counts as this much."""
MAX_BYTES_PER_S = 200_000.0
"""Twice the highest rate, 48 kHz."""
BURST_BYTES = 1_000_000.0
"""What arrives at once after the network has stalled."""


class TalkSocket:
    """One accepted WebSocket: a `Viewer` that sends. Thread: the event loop."""

    role = "control"

    def __init__(
        self, worker: Worker, permission: TalkPermission, scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.principal: Principal = permission.principal
        self.sink = Sink(
            send,
            on_overflow=lambda: None,
            on_broken=lambda: self._end("disconnected", None),
            give_up=lambda: abort_connection(scope, send),
        )
        self._worker = worker
        self._permission = permission
        self._receive = receive
        self._connection = TalkConnection(self._ready, self._ended_by_itself)
        self._allowance = Allowance(MAX_BYTES_PER_S, BURST_BYTES)
        self._is_ready = False
        self._records = BackgroundWrites(worker)
        self._ended: asyncio.Future[tuple[str, int | None]] = asyncio.get_running_loop().create_future()
        """Why the talk has ended, and the close code to send; None: the socket is already closed."""

    # --- Viewer ---

    def watching(self) -> Iterable[auth.Watched]:
        return [(self.principal, self._permission.camera, None)]

    def revoked(self, camera: "Camera") -> None:
        self._refuse(Problem(403, "forbidden", "You may no longer talk to this camera."), "revoked")

    def too_slow(self) -> None:
        self._end("disconnected", TOO_SLOW)

    def stop(self) -> None:
        self._end("stopped", GOING_AWAY)

    # --- lifecycle ---

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        listening = loop.create_task(self._listen(), name="talk-socket")
        began_s = loop.time()
        reason, code = "failed", None
        try:
            await self._open()
            await asyncio.wait((listening, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                reason, code = self._ended.result()
            else:
                listening.result()
        finally:
            listening.cancel()
            # Retrieved, even if it failed.
            listening.add_done_callback(lambda task: task.cancelled() or task.exception())
            self._connection.close()
            if self._is_ready:
                self._record("end", reason=reason, seconds=round(loop.time() - began_s, 1))
            last: list[Message] = [] if code is None else [{"type": "websocket.close", "code": code}]
            await self.sink.close(*last, grace_s=CLOSE_GRACE_S)

    async def _open(self) -> None:
        camera, by = self._permission.camera, self.principal.user.get_username()
        try:
            await self._connection.open(self._worker.settings.run_dir, camera.slug, by)
        except NinjacamError as error:
            self._fail(error)

    def _end(self, reason: str, code: int | None) -> None:
        if not self._ended.done():
            self._ended.set_result((reason, code))

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Send why, and end."""
        if not self._ended.done():
            self.sink.put(text_message(op="error", code=problem.code, message=problem.detail))
            self._end(reason, ENDED)

    def _fail(self, error: NinjacamError) -> None:
        if not self._is_ready:
            self._record("start", result=error.code)
        shown = error if self._permission.details else without_details(error)
        self._refuse(problem_of(shown), "failed")

    # --- the capture process ---

    def _ready(self, ready: Ready) -> None:
        self._is_ready = True
        self._record("start", result="ok")
        self.sink.put(text_message(op="ready", rate_hz=ready.rate_hz, codec=ready.codec))

    def _ended_by_itself(self, refusal: Refusal | None) -> None:
        if refusal is None:
            message = "The process that talks to this camera has ended. Try again in a moment."
            self._refuse(Problem(503, "stream_unavailable", message), "failed")
        elif refusal.speaker and self._permission.may_see_users:
            message = f"“{refusal.speaker}” is talking through this camera."
            self._record("start", result=refusal.error.code)
            self._refuse(Problem(409, refusal.error.code, message), "failed")
        else:
            self._fail(refusal.error)

    # --- the client ---

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self._end("released", None)
                return
            if message["type"] != "websocket.receive":
                continue
            pcm = message.get("bytes")
            if (
                pcm is None
                or len(pcm) % SAMPLE_BYTES
                or not self._allowance.take(max(len(pcm), MIN_CHUNK_BYTES))
            ):
                self._end("failed", POLICY)
                return
            if len(pcm) > MAX_CHUNK_BYTES:
                self._end("failed", TOO_BIG)
                return
            if self._is_ready:
                self._connection.send(pcm)

    # --- audit ---

    def _record(self, verb: str, **details: object) -> None:
        """Record the start or the end of a talk, without delaying it."""
        self._records.write(auth.record_talk, self.principal, self._permission.camera.slug, verb, details)


async def serve_talk(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Handle one WebSocket from its handshake to its end."""
    await receive()  # websocket.connect
    try:
        permission = await worker.database.run(auth.authorise_talk, scope, target.slug)
        socket = TalkSocket(worker, permission, scope, receive, send)
        worker.add(socket)
    except Problem as problem:
        # Accept first: browsers reveal messages and the close code only of a WebSocket that was open.
        await send({"type": "websocket.accept"})
        await send(text_message(op="error", code=problem.code, message=problem.detail))
        await send({"type": "websocket.close", "code": close_code(problem), "reason": problem.detail[:100]})
        return
    try:
        await send({"type": "websocket.accept"})  # Raises if the client has left meanwhile.
        await socket.serve()
    finally:
        worker.remove(socket)
