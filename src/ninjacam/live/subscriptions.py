"""Subscriptions of a WebSocket: to the frames of a view, or to the annotations of its processor."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ninjacam.core.packets import CameraState, Codec, Packet
from ninjacam.core.streams import MAIN, RAW_VIEW
from ninjacam.hub.request import StreamRequest
from ninjacam.live.encodings import Encoding, Encodings, Format, Subscriber
from ninjacam.live.sink import Sink
from ninjacam.problems import Problem, problem_of
from ninjacam.routes import MAX_WIDTH_PX, SLUG
from ninjacam.viewers.auth import LiveAccess
from ninjacam.viewers.feeds import Feed, FeedKey
from ninjacam.viewers.worker import Worker

_BROKEN = (CameraState.RECONNECTING, CameraState.FAILED)
_COMING = (CameraState.IDLE, CameraState.CONNECTING, CameraState.ASLEEP)
_KNOWN_CODECS = frozenset(codec.label for codec in (Codec.H264, Codec.H265, Codec.MJPEG))


@dataclass(frozen=True, slots=True)
class SubscribeRequest:
    """A validated "subscribe" message."""

    id: int
    camera: str
    view: str
    stream: str
    """Name of a stream; "": chosen by `width_px`."""
    format: Format
    codecs: frozenset[str]
    width_px: int
    annotations: bool
    """Annotations of the view, instead of its frames."""

    @classmethod
    def parse(cls, message: dict[str, Any]) -> "SubscribeRequest":
        """Raises: Problem 400."""
        number: Any = message.get("id")
        camera: Any = message.get("camera")
        view, form = message.get("view") or "", message.get("format", "annexb")
        stream = message.get("stream") or ""
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < 1 << 53:
            raise Problem(400, "bad_request", "'id' must be an integer.")
        if not all(isinstance(text, str) for text in (camera, view, stream)) or len(view) > 100:
            raise Problem(400, "bad_request", "'camera', 'view' and 'stream' must be strings.")
        if not re.fullmatch(SLUG, camera):
            raise _no_camera(camera)
        annotations = form == "annotations"
        if annotations:
            form = "annexb"
        if form not in ("annexb", "fmp4"):
            raise Problem(400, "bad_request", '\'format\' must be "annexb", "fmp4" or "annotations".')
        view = "" if view == RAW_VIEW else view
        if annotations and not view:
            raise Problem(400, "bad_request", "'view' must name the processor whose annotations to send.")
        width_px = _parse_width(message.get("width"))
        codecs = _parse_codecs(message.get("codecs", ["h264"]))
        return cls(number, camera, view, stream, form, codecs, width_px, annotations)


def _parse_width(width: Any) -> int:
    """Raises: Problem 400."""
    if width is None:
        return 0
    if not (is_number(width) and int(width) == width and 0 <= width <= MAX_WIDTH_PX):
        raise Problem(400, "bad_request", f"'width' must be null or an integer up to {MAX_WIDTH_PX}.")
    return int(width)


def _parse_codecs(codecs: Any) -> frozenset[str]:
    """Return those that we know. Raises: Problem 400."""
    if not isinstance(codecs, list) or not all(isinstance(codec, str) for codec in codecs):
        raise Problem(400, "bad_request", "'codecs' must be a list of strings.")
    known = _KNOWN_CODECS.intersection(codecs)
    if not known:
        raise Problem(
            400, "unsupported_codec", f"'codecs' must name one of {', '.join(sorted(_KNOWN_CODECS))}."
        )
    return known


def _no_camera(slug: str) -> Problem:
    """The same as for a slug that a camera could have."""
    # Imports the models, which an asgi.py may not have loaded yet.
    from ninjacam.queries.cameras import missing_camera

    return problem_of(missing_camera(slug))


def is_number(value: Any) -> bool:
    """Return whether JSON can return it unchanged: not a bool, not NaN, not out of range."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e18


class SubscribedSocket(Protocol):
    """The WebSocket that its subscriptions belong to: `LiveSocket`."""

    @property
    def worker(self) -> Worker: ...
    @property
    def sink(self) -> Sink: ...

    def encodings_in_use(self) -> set[Encoding]: ...

    def drop(self, member: "SocketSubscription") -> None:
        """Close the subscription and forget it."""


class SocketSubscription(Subscriber):
    """One subscription of one socket, which creates, starts and closes it. `stream`: whose sockets it uses."""

    __slots__ = ("_socket", "access", "encoding", "request", "stream")

    def __init__(
        self, socket: SubscribedSocket, request: SubscribeRequest, access: LiveAccess, *, details: bool
    ) -> None:
        super().__init__(request.id, socket.sink, request.codecs, details=details)
        self._socket = socket
        self.request = request
        self.access = access
        self.stream = access.stream
        self.encoding: Encoding | None = None

    def begin(self) -> None:
        raise NotImplementedError

    def refused(self, error: Mapping[str, Any]) -> None:
        error = self.access.refusal(error)
        self.over(str(error.get("code", "error")), str(error.get("message", "")))

    def over(self, code: str, message: str) -> None:
        self.send_message(op="error", code=code, message=message)
        self._socket.drop(self)

    def close(self) -> None:
        """Idempotent. Frees everything at once."""
        raise NotImplementedError


class _Chooser:
    """Waits until the codec of a camera's own stream is known, to choose between passthrough and transcoding."""

    def __init__(self, member: "FramesSubscription") -> None:
        self._member = member

    def on_packet(self, packet: object) -> None:
        self._member.choose()

    def on_state(self) -> None:
        self._member.choose()

    def on_refused(self, error: dict[str, Any]) -> None:
        self._member.refused(error)


class FramesSubscription(SocketSubscription):
    """Uses an encoding that the client can play, shared with all that request the same."""

    __slots__ = ("_chooser", "_waiting")

    def __init__(
        self, socket: SubscribedSocket, request: SubscribeRequest, access: LiveAccess, *, details: bool
    ) -> None:
        super().__init__(socket, request, access, details=details)
        self._waiting: Feed | None = None
        self._chooser: _Chooser | None = None

    def begin(self) -> None:
        if self.access.view:
            self._watch_pixels()
            return
        self._wait_for_codec()

    def _wait_for_codec(self) -> None:
        pool = self._socket.worker.pool
        self._chooser = _Chooser(self)
        self._waiting = pool.join(*pool.packets_of(self.access, self.stream), self._chooser)
        self.choose()

    def choose(self) -> None:
        feed = self._waiting
        if feed is None:
            return
        may_fall_back = self.stream != MAIN and not self.request.stream
        if may_fall_back and feed.state in _BROKEN:
            asyncio.get_running_loop().call_soon(self._fall_back)  # A feed's listeners must not leave it.
            return
        if feed.codec is Codec.NONE or (may_fall_back and feed.state in _COMING):
            self.send_state(feed)
            return
        if feed.codec.label in self.codecs:
            self._watch((feed.path, feed.request))
        else:
            self._watch_pixels()
        self._stop_waiting()

    def _fall_back(self) -> None:
        """The stream that was chosen by its width cannot be connected: use `main`."""
        if self._waiting is not None and self.stream != MAIN:
            self._stop_waiting()
            self.stream = MAIN
            self._wait_for_codec()

    def _watch_pixels(self) -> None:
        codec = Codec.H264 if Codec.H264.label in self.codecs else Codec.MJPEG
        if codec.label not in self.codecs:
            self.over("unsupported_codec", "The browser can decode neither H.264 nor JPEG.")
            return
        # A player that shows the camera's own video requests its own width. A view is made once for all its viewers.
        is_other = self.access.view != self.request.view
        request = StreamRequest(
            codec=codec,
            width_px=0 if is_other else self.request.width_px,
            quality=self._socket.worker.settings.mjpeg_quality,
        )
        self._watch(self._socket.worker.pool.pixels_of(self.access, request.snapped(), self.stream))

    def _watch(self, key: FeedKey) -> None:
        encoding = self._socket.worker.shared(Encodings).get(
            *key, self.request.format, taken=self._socket.encodings_in_use()
        )
        self.encoding = encoding
        encoding.add(self)

    def _stop_waiting(self) -> None:
        if self._waiting is not None and self._chooser is not None:
            self._socket.worker.pool.leave(self._waiting, self._chooser)
            self._waiting = self._chooser = None

    def unplayable(self) -> None:
        self._leave()
        self._watch_pixels()

    def _leave(self) -> None:
        encoding, self.encoding = self.encoding, None
        if encoding is not None:
            encoding.remove(self)

    def close(self) -> None:
        self._leave()
        self._stop_waiting()


class AnnotationsSubscription(SocketSubscription):
    """Sends the annotations of each frame, and only the latest ones to a slow client."""

    __slots__ = ("_feed", "_head")

    def __init__(
        self, socket: SubscribedSocket, request: SubscribeRequest, access: LiveAccess, *, details: bool
    ) -> None:
        super().__init__(socket, request, access, details=details)
        self._head = f'{{"op":"annotations","id":{request.id},'
        self._feed: Feed | None = None

    def begin(self) -> None:
        pool = self._socket.worker.pool
        key = pool.pixels_of(self.access, StreamRequest(codec=Codec.ANNOTATIONS).snapped())
        self._feed = pool.join(*key, self)
        self.on_state()
        for packet in self._feed.gop:
            self.on_packet(packet)

    def on_packet(self, packet: Packet) -> None:
        text = self._head + packet.data[1:].decode()
        self.sink.put({"type": "websocket.send", "text": text}, len(text), self)

    def on_state(self) -> None:
        if self._feed is not None:
            self.send_state(self._feed)

    def on_refused(self, error: dict[str, Any]) -> None:
        self.refused(error)

    def close(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            self._socket.worker.pool.leave(feed, self)
