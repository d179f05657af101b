"""The multiplexed WebSocket: one for a page, any number of cameras and views in it."""

import asyncio
import json
import logging
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ninjacam.core.packets import Codec
from ninjacam.hub.request import Request
from ninjacam.live import auth
from ninjacam.live.abort import abort_connection
from ninjacam.live.annotations import AnnotationsMember
from ninjacam.live.encodings import Encoding, Format, Member, text_message
from ninjacam.live.feeds import Feed
from ninjacam.live.messages import Message, Receive, Scope, Send
from ninjacam.live.mount import SLUG
from ninjacam.live.problems import Problem, camera_not_found
from ninjacam.live.sink import Sink
from ninjacam.live.worker import Worker

if TYPE_CHECKING:
    from ninjacam.auth import Principal
    from ninjacam.models import Camera

logger = logging.getLogger("ninjacam.live")

MOST_SUBSCRIPTIONS = 64
"""To pictures, and four times as many to annotations: a page has some for each picture."""
MOST_MESSAGE_CHARS = 64 << 10
MESSAGES_PER_S = 50.0
MESSAGES_BURST = 300.0
MOST_WIDTH_PX = 7680
CLOSE_GRACE_S = 0.5

GOING_AWAY, POLICY, TOO_BIG, TRY_LATER = 1001, 1008, 1009, 1013
NOT_AUTHENTICATED, REFUSED, TOO_SLOW = 4401, 4403, 4408

_KNOWN_CODECS = frozenset(codec.label for codec in (Codec.H264, Codec.H265, Codec.MJPEG))


@dataclass(frozen=True, slots=True)
class Wish:
    """A "subscribe" message, checked."""

    id: int
    camera: str
    view: str
    format: Format | Literal["annotations"]
    codecs: frozenset[str]
    width_px: int

    @classmethod
    def parse(cls, message: dict[str, Any]) -> "Wish":
        """Raises: Problem 400."""
        camera, view = message.get("camera"), message.get("view") or ""
        form, codecs, width = (
            message.get("format", "annexb"),
            message.get("codecs", ["h264"]),
            message.get("width"),
        )
        number = message.get("id")
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 53:
            raise Problem(400, "bad_request", "'id' must be a whole number.")
        if not isinstance(camera, str) or not isinstance(view, str) or len(view) > 100:
            raise Problem(400, "bad_request", "'camera' and 'view' must be strings.")
        if not SLUG.fullmatch(camera):
            raise camera_not_found(camera[:50])
        if form not in ("annexb", "fmp4", "annotations"):
            raise Problem(400, "bad_request", '\'format\' must be "annexb", "fmp4" or "annotations".')
        if form == "annotations" and view in ("", "raw"):
            raise Problem(400, "bad_request", "'view' must say whose annotations.")
        if not isinstance(codecs, list) or not all(isinstance(codec, str) for codec in codecs):
            raise Problem(400, "bad_request", "'codecs' must be a list of strings.")
        if width is not None and not (
            _is_number(width) and int(width) == width and 0 <= width <= MOST_WIDTH_PX
        ):
            raise Problem(
                400, "bad_request", f"'width' must be null or a whole number up to {MOST_WIDTH_PX}."
            )
        known = _KNOWN_CODECS.intersection(codecs)
        if not known:
            raise Problem(
                400, "unsupported_codec", f"'codecs' must name one of {', '.join(sorted(_KNOWN_CODECS))}."
            )
        return cls(number, camera, "" if view == "raw" else view, form, known, int(width or 0))


def _is_number(value: Any) -> bool:
    """Such as JSON can carry back: neither a bool nor NaN nor beyond all measure."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


class _Chooser:
    """Waits until the codec of a camera's own stream is known, to decide between passing it through and transcoding."""

    def __init__(self, member: "SocketMember") -> None:
        self._member = member

    def on_packet(self, packet: object) -> None:
        self._member.choose()

    def on_state(self) -> None:
        self._member.choose()

    def on_refused(self, error: dict[str, Any]) -> None:
        self._member.refused(error)


class SocketMember(Member):
    """One subscription of one socket, from the wish to the encoding that serves it."""

    __slots__ = ("_chooser", "_socket", "_waiting", "camera", "encoding", "wish")

    def __init__(self, socket: "LiveSocket", wish: Wish, camera: "Camera") -> None:
        super().__init__(wish.id, socket.sink, wish.codecs)
        self._socket = socket
        self.wish = wish
        self.camera = camera
        self.encoding: Encoding | None = None
        self._waiting: Feed | None = None
        self._chooser: _Chooser | None = None

    def begin(self) -> None:
        if self.wish.view:
            self._watch_pixels()
            return
        pool = self._socket.worker.pool
        self._chooser = _Chooser(self)
        self._waiting = pool.join(pool.packets_path(self.camera.slug), Request(), self._chooser)
        self.choose()

    def choose(self) -> None:
        feed = self._waiting
        if feed is None:
            return
        if feed.codec is Codec.NONE:
            self._tell_waiting(feed)
            return
        if feed.codec.label in self.codecs:
            self._watch(feed.path, feed.request)
        else:
            self._watch_pixels()
        self._stop_waiting()

    def _tell_waiting(self, feed: Feed) -> None:
        state = (feed.state.value, feed.message, None)
        if feed.has_state and state != self.state_sent:
            self.state_sent = state
            self.tell(op="state", state=state[0], message=state[1], view_error=None)

    def _watch_pixels(self) -> None:
        codec = Codec.H264 if Codec.H264.label in self.codecs else Codec.MJPEG
        if codec.label not in self.codecs:
            self.over("unsupported_codec", "The browser can decode neither H.264 nor JPEG.")
            return
        request = Request(
            view=self.wish.view,
            codec=codec,
            width_px=self.wish.width_px,
            quality=self._socket.worker.settings.mjpeg_quality,
        )
        self._watch(self._socket.worker.pool.pixels_path(self.camera.slug), request.snapped())

    def _watch(self, path: Any, request: Request) -> None:
        assert self.wish.format != "annotations"
        encoding = self._socket.worker.encodings.get(
            path, request, self.wish.format, taken=self._socket.encodings_in_use()
        )
        self.encoding = encoding
        encoding.add(self)

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._chooser is not None:
            self._socket.worker.pool.leave(self._waiting, self._chooser)
            self._waiting = self._chooser = None

    # --- what the encoding says ---

    def unplayable(self) -> None:
        self._leave()
        self._watch_pixels()

    def refused(self, error: dict[str, Any]) -> None:
        self.over(str(error.get("code", "error")), str(error.get("message", "")))

    def _leave(self) -> None:
        encoding, self.encoding = self.encoding, None
        if encoding is not None:
            encoding.remove(self)

    def over(self, code: str, message: str) -> None:
        self.tell(op="error", code=code, message=message)
        self._socket.drop(self)

    def close(self) -> None:
        """Idempotent. Frees everything at once."""
        self._leave()
        self._stop_waiting()


@dataclass(slots=True)
class _Allowance:
    """A token bucket for what the client sends."""

    left: float = MESSAGES_BURST
    at: float = field(default_factory=time.monotonic)

    def take(self) -> bool:
        now = time.monotonic()
        self.left = min(MESSAGES_BURST, self.left + (now - self.at) * MESSAGES_PER_S)
        self.at = now
        self.left -= 1
        return self.left >= 0


class LiveSocket:
    """One accepted WebSocket. Its task only listens to the client; pictures are sent by whoever brings them."""

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
        self._members: dict[int, SocketMember | AnnotationsMember] = {}
        self._ended: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()
        self._allowance = _Allowance()

    # --- Viewer ---

    def watching(self) -> "Iterable[tuple[Principal, Camera]]":
        return [(self.principal, member.camera) for member in self._members.values()]

    def revoked(self, camera: "Camera") -> None:
        for member in list(self._members.values()):
            if member.camera is camera:
                member.over("forbidden", "You may not watch this camera any more.")

    def too_slow(self) -> None:
        self.end(TOO_SLOW)

    def stop(self) -> None:
        self.end(GOING_AWAY)

    # --- life ---

    def end(self, code: int | None) -> None:
        """`code`: how to close; None: the connection is gone."""
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
            listening.add_done_callback(
                lambda task: task.cancelled() or task.exception()
            )  # heard, if it failed too
            for member in list(self._members.values()):
                member.close()
            self._members.clear()
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
            if text is None or len(text) > MOST_MESSAGE_CHARS:
                self.end(TOO_BIG if text is not None else POLICY)
                return
            if not self._allowance.take():
                self.end(POLICY)
                return
            await self._told(text)

    async def _told(self, text: str) -> None:
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
                    t=sent if _is_number(sent) else None,
                    now_us=time.time_ns() // 1000,
                )
            )
        elif op == "unsubscribe":
            number = message.get("id")
            member = self._members.get(number) if isinstance(number, int) else None
            if member is not None:
                self.drop(member)
        elif op == "subscribe":
            try:
                await self._subscribe(Wish.parse(message))
            except Problem as problem:
                self._error(message.get("id"), problem.code, problem.detail)
        else:
            self._error(message.get("id"), "bad_request", "'op' must be subscribe, unsubscribe or ping.")

    def _error(self, number: Any, code: str, message: str) -> None:
        shown = number if isinstance(number, int) and not isinstance(number, bool) else None
        self.sink.put(text_message(op="error", id=shown, code=code, message=message))

    async def _subscribe(self, wish: Wish) -> None:
        """Raises: Problem."""
        kind = AnnotationsMember if wish.format == "annotations" else SocketMember
        most = MOST_SUBSCRIPTIONS * (4 if kind is AnnotationsMember else 1)
        present = sum(type(member) is kind for member in self._members.values())
        if present >= most and wish.id not in self._members:
            what = "annotations" if kind is AnnotationsMember else "pictures"
            raise Problem(429, "limit", f"One socket carries at most {most} subscriptions to {what}.")
        camera = await self.worker.database.run(auth.authorise_again, self.principal, wish.camera, wish.view)
        if self._ended.done():
            return
        before = self._members.get(wish.id)
        if before is not None:
            self.drop(before)
        member = kind(self, wish, camera)
        self._members[wish.id] = member
        member.begin()

    def drop(self, member: SocketMember | AnnotationsMember) -> None:
        if self._members.get(member.id) is member:
            del self._members[member.id]
        member.close()

    def encodings_in_use(self) -> set[Encoding]:
        return {member.encoding for member in self._members.values() if member.encoding is not None}

    def _overflowed(self) -> None:
        for member in self._members.values():
            member.wants = 2


async def serve_socket(worker: Worker, scope: Scope, receive: Receive, send: Send) -> None:
    """One WebSocket from its handshake to its end."""
    await receive()  # websocket.connect
    try:
        principal = await worker.database.run(auth.authorise_socket, scope)
    except Problem as problem:
        code = {401: NOT_AUTHENTICATED, 503: TRY_LATER}.get(problem.status, REFUSED)
        # accepted first: browsers show a page the close code only of a WebSocket that was open
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.close", "code": code, "reason": problem.detail[:100]})
        return
    socket = LiveSocket(worker, principal, scope, receive, send)
    await send({"type": "websocket.accept"})
    try:
        worker.add(socket)
    except Problem as problem:
        code = GOING_AWAY if problem.code == "stopping" else TRY_LATER
        await send({"type": "websocket.close", "code": code, "reason": problem.detail[:100]})
        return
    try:
        await socket.serve()
    finally:
        worker.remove(socket)
