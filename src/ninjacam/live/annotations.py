"""One WebSocket subscription to what a processor sees, for players that draw it over the camera's own picture."""

from typing import TYPE_CHECKING, Any

from ninjacam.core.packets import Codec, Packet
from ninjacam.hub.request import Request
from ninjacam.live.encodings import Member
from ninjacam.live.feeds import Feed

if TYPE_CHECKING:
    from ninjacam.live.websocket import LiveSocket, Wish
    from ninjacam.models import Camera


class AnnotationsMember(Member):
    """Each picture's annotations as they come, and only the latest for a client that is slow."""

    __slots__ = ("_feed", "_head", "_socket", "camera", "encoding")

    def __init__(self, socket: "LiveSocket", wish: "Wish", camera: "Camera") -> None:
        super().__init__(wish.id, socket.sink, frozenset())
        self._socket = socket
        self._head = f'{{"op":"annotations","id":{wish.id},'
        self.camera = camera
        self.encoding = None
        pool = socket.worker.pool
        request = Request(view=wish.view, codec=Codec.ANNOTATIONS, quality=0)
        self._feed: Feed | None = pool.join(pool.pixels_path(camera.slug), request, self)

    def begin(self) -> None:
        assert self._feed is not None
        self.on_state()
        for packet in self._feed.gop:
            self.on_packet(packet)

    def on_packet(self, packet: Packet) -> None:
        text = self._head + packet.data[1:].decode()
        self.sink.put({"type": "websocket.send", "text": text}, len(text), self)

    def on_state(self) -> None:
        feed = self._feed
        if feed is not None and feed.has_state:
            state = (feed.state.value, feed.message, feed.view_error)
            if state != self.state_sent:
                self.state_sent = state
                self.tell(op="state", state=state[0], message=state[1], view_error=state[2])

    def on_refused(self, error: dict[str, Any]) -> None:
        self.over(str(error.get("code", "error")), str(error.get("message", "")))

    def over(self, code: str, message: str) -> None:
        self.tell(op="error", code=code, message=message)
        self._socket.drop(self)

    def close(self) -> None:
        """Idempotent."""
        feed, self._feed = self._feed, None
        if feed is not None:
            self._socket.worker.pool.leave(feed, self)
