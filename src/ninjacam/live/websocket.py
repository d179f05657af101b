"""The multiplexed WebSocket: one per page, with any number of cameras and views."""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ninjacam.front_door.abort import abort_connection
from ninjacam.front_door.messages import Message, Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.live.allowance import Allowance
from ninjacam.live.encodings import Encoding, text_message
from ninjacam.live.ptz import HeldMovements
from ninjacam.live.sink import Sink
from ninjacam.live.subscriptions import (
    AnnotationsSubscription,
    FramesSubscription,
    SocketSubscription,
    SubscribeRequest,
    is_number,
)
from ninjacam.problems import Problem
from ninjacam.viewers import auth
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera

logger = logging.getLogger("ninjacam.live")

MAX_SUBSCRIPTIONS = 64
"""Maximum number of subscriptions to frames. Four times as many are allowed for annotations, because a page may show
several per view.
"""
MAX_MESSAGE_CHARS = 64 << 10
MESSAGES_PER_S = 50.0
MESSAGES_BURST = 300.0
CLOSE_GRACE_S = 0.5

GOING_AWAY, POLICY, TOO_BIG, TRY_LATER = 1001, 1008, 1009, 1013
NOT_AUTHENTICATED, REFUSED, TOO_SLOW = 4401, 4403, 4408


class LiveSocket:
    """One accepted WebSocket. Its task only receives messages of the client; feeds send the frames."""

    def __init__(
        self, worker: Worker, principal: "Principal", scope: Scope, receive: Receive, send: Send
    ) -> None:
        self.worker = worker
        self.principal = principal
        self.role = "view"
        self.sink = Sink(
            send,
            on_overflow=self._overflowed,
            on_broken=lambda: self.end(None),
            give_up=lambda: abort_connection(scope, send),
        )
        self._receive = receive
        self._members: dict[int, SocketSubscription] = {}
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._allowance = Allowance(MESSAGES_PER_S, MESSAGES_BURST)
        self._movements = HeldMovements(worker, principal, self.sink.put)

    # --- Viewer ---

    def watching(self) -> Iterable[auth.Watched]:
        return [(self.principal, *member.access.watched[1:]) for member in self._members.values()]

    def revoked(self, camera: "Camera") -> None:
        for member in list(self._members.values()):
            if member.access.camera is camera:
                member.over("forbidden", "You may no longer view this camera.")

    def too_slow(self) -> None:
        self.end(TOO_SLOW)

    def stop(self) -> None:
        self.end(GOING_AWAY)

    # --- lifecycle ---

    def end(self, code: int | None) -> None:
        """`code`: the close code to send; None: the connection is already closed."""
        if not self._ended.done():
            self._ended.set_result(code)

    async def serve(self) -> None:
        listening = asyncio.get_running_loop().create_task(self._listen(), name="live-socket")
        code: int | None = None
        try:
            await asyncio.wait((listening, self._ended), return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                code = self._ended.result()
            else:
                listening.result()
        finally:
            listening.cancel()
            # Retrieved, even if it failed.
            listening.add_done_callback(lambda task: task.cancelled() or task.exception())
            for member in list(self._members.values()):
                member.close()
            self._members.clear()
            self._movements.close()
            last: list[Message] = [] if code is None else [{"type": "websocket.close", "code": code}]
            await self.sink.close(*last, grace_s=CLOSE_GRACE_S)

    async def _listen(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                self.end(None)
                return
            if message["type"] != "websocket.receive":
                continue
            text = message.get("text")
            if text is None or len(text) > MAX_MESSAGE_CHARS:
                self.end(TOO_BIG if text is not None else POLICY)
                return
            if not self._allowance.take():
                self.end(POLICY)
                return
            await self._handle_message(text)

    async def _handle_message(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._error(None, "bad_request", "A message must be a JSON object.")
            return
        op = message.get("op")
        if op == "ping":
            sent = message.get("t")
            self.sink.put(
                text_message(
                    op="pong",
                    t=sent if is_number(sent) else None,
                    now_us=time.time_ns() // 1000,
                )
            )
        elif op == "unsubscribe":
            number = message.get("id")
            member = self._members.get(number) if isinstance(number, int) else None
            if member is not None:
                self.drop(member)
        elif op == "ptz":
            await self._movements.take(message)
        elif op == "subscribe":
            try:
                await self._subscribe(SubscribeRequest.parse(message))
            except Problem as problem:
                self._error(message.get("id"), problem.code, problem.detail)
        else:
            self._error(message.get("id"), "bad_request", "'op' must be subscribe, unsubscribe, ptz or ping.")

    def _error(self, number: Any, code: str, message: str) -> None:
        shown = number if isinstance(number, int) and not isinstance(number, bool) else None
        self.sink.put(text_message(op="error", id=shown, code=code, message=message))

    async def _subscribe(self, request: SubscribeRequest) -> None:
        """Raises: Problem."""
        most = MAX_SUBSCRIPTIONS * (4 if request.annotations else 1)
        # Without the one that it replaces, which may be of the other kind.
        others = [member for member in self._members.values() if member.id != request.id]
        if sum(member.request.annotations is request.annotations for member in others) >= most:
            what = "annotations" if request.annotations else "frames"
            raise Problem(429, "limit", f"One socket carries at most {most} subscriptions to {what}.")
        access, details = await self.worker.database.run(
            auth.authorise_again,
            self.principal,
            request.camera,
            request.view,
            request.stream,
            request.width_px,
        )
        if self._ended.done():
            return
        before = self._members.get(request.id)
        if before is not None:
            self.drop(before)
        kind = AnnotationsSubscription if request.annotations else FramesSubscription
        member = kind(self, request, access, details=details)
        self._members[request.id] = member
        member.begin()

    def drop(self, member: SocketSubscription) -> None:
        if self._members.get(member.id) is member:
            del self._members[member.id]
        member.close()

    def encodings_in_use(self) -> set[Encoding]:
        return {member.encoding for member in self._members.values() if member.encoding is not None}

    def _overflowed(self) -> None:
        for member in self._members.values():
            member.wants = 2


def close_code(problem: Problem) -> int:
    """Return the close code of a refused WebSocket."""
    if problem.code == "stopping":
        return GOING_AWAY
    return {401: NOT_AUTHENTICATED, 429: TRY_LATER, 503: TRY_LATER}.get(problem.status, REFUSED)


async def serve_socket(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Handle one WebSocket from its handshake to its end."""
    await receive()  # websocket.connect
    try:
        principal = await worker.database.run(auth.authorise_socket, scope)
    except Problem as problem:
        # Accept first: browsers reveal the close code only of a WebSocket that was open.
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": close_code(problem), "reason": problem.detail[:100]})
        return
    socket = LiveSocket(worker, principal, scope, receive, send)
    await send({"type": "websocket.accept"})
    try:
        worker.add(socket)
    except Problem as problem:
        await send({"type": "websocket.close", "code": close_code(problem), "reason": problem.detail[:100]})
        return
    try:
        await socket.serve()
    finally:
        worker.remove(socket)
