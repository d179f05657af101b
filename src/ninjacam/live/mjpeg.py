"""`/live/<slug>/mjpeg`: an endless multipart response in which the latest frame wins."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ninjacam.core.packets import CameraState, Codec, Kind, Packet
from ninjacam.core.streams import MAIN
from ninjacam.front_door.abort import abort_connection
from ninjacam.front_door.messages import Message, Receive, Scope, Send, wait_for_disconnect
from ninjacam.front_door.mount import Target
from ninjacam.front_door.responses import NO_STORE
from ninjacam.live.sink import Sink
from ninjacam.outputs.mjpeg import CONTENT_TYPE, PREAMBLE, encode_part
from ninjacam.problems import problem_of_stream, stopping
from ninjacam.viewers import auth
from ninjacam.viewers.feeds import Feed, FeedKey, FrameWaiter
from ninjacam.viewers.frame_parameters import FrameParameters
from ninjacam.viewers.worker import Worker

if TYPE_CHECKING:
    from ninjacam.models import Camera

FIRST_FRAME_S = 5.0
CLOSE_GRACE_S = 0.5

_HEADERS = (
    (b"content-type", CONTENT_TYPE),
    *NO_STORE,
    (b"pragma", b"no-cache"),
    (b"content-encoding", b"identity"),  # Keeps compressing middleware and proxies from buffering.
    (b"x-accel-buffering", b"no"),
)
_END: Message = {"type": "http.response.body", "body": b"", "more_body": False}


class Parts:
    """A feed of JPEGs as multipart parts, made once for all its viewers of this worker."""

    def __init__(self, feed_key: FeedKey, all_parts: "AllParts") -> None:
        self.key = feed_key
        self.viewers: tuple[MjpegViewer, ...] = ()
        self._all = all_parts
        self.feed: Feed = all_parts.worker.pool.join(*feed_key, self)

    def on_packet(self, packet: Packet) -> None:
        if packet.kind is not Kind.VIDEO:
            return
        if packet.codec is not Codec.MJPEG:  # The camera was reconfigured to another codec.
            for viewer in self.viewers:
                viewer.passthrough_ended()
            return
        message = self.part(packet)
        size = len(packet.data)
        for viewer in self.viewers:
            viewer.sink.put(message, size, viewer)

    def on_state(self) -> None:
        if self.feed.is_off:
            for viewer in self.viewers:
                viewer.end()
        elif self.key[1].codec is Codec.NONE and self.feed.state not in (
            CameraState.LIVE,
            CameraState.CONNECTING,
        ):
            for viewer in self.viewers:
                viewer.passthrough_ended()

    def on_refused(self, error: dict[str, Any]) -> None:
        for viewer in self.viewers:
            viewer.end()

    def part(self, packet: Packet) -> Message:
        return {"type": "http.response.body", "body": encode_part(packet, self.feed.state), "more_body": True}

    def add(self, viewer: "MjpegViewer") -> None:
        self.viewers = (*self.viewers, viewer)

    def remove(self, viewer: "MjpegViewer") -> None:
        """Idempotent."""
        self.viewers = tuple(other for other in self.viewers if other is not viewer)
        if not self.viewers:
            self._all.end(self)


class AllParts:
    """The Parts of this worker, by feed."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        self._by_key: dict[FeedKey, Parts] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def get(self, key: FeedKey) -> Parts:
        parts = self._by_key.get(key)
        if parts is None or parts.feed.refused is not None:
            parts = self._by_key[key] = Parts(key, self)
        return parts

    def end(self, parts: Parts) -> None:
        self.worker.pool.leave(parts.feed, parts)
        if self._by_key.get(parts.key) is parts:
            del self._by_key[parts.key]


class MjpegViewer:
    """One response. Its task waits for the client to disconnect; the feed's callbacks send the parts."""

    def __init__(
        self,
        all_parts: AllParts,
        access: auth.LiveAccess,
        scope: Scope,
        send: Send,
    ) -> None:
        self.role = "view"
        self.sink = Sink(
            send,
            on_overflow=lambda: None,
            on_broken=self.end,
            give_up=lambda: abort_connection(scope, send),
        )
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._all = all_parts
        self.access = access
        self.principal = access.principal
        self.stopped = False
        self._begun = False
        self._parts: Parts | None = None

    # --- Viewer ---

    def watching(self) -> Iterable[auth.Watched]:
        return (self.access.watched,)

    @property
    def worker(self) -> Worker:
        return self._all.worker

    def revoked(self, camera: "Camera") -> None:
        self.end()

    def too_slow(self) -> None:
        self.end()

    def stop(self) -> None:
        self.stopped = True
        self.end()

    # --- lifecycle ---

    def end(self) -> None:
        if not self.over.done():
            self.over.set_result(None)

    def watch(self, parts: Parts) -> None:
        """Send the cached frame first, then all new ones."""
        self._parts = parts
        self._begun = True
        parts.add(self)
        packet = parts.feed.last_frame
        if packet is not None and packet.codec is Codec.MJPEG:
            self.sink.put(parts.part(packet), len(packet.data), self)
        if parts.feed.is_off:  # Since it was last checked.
            self.end()

    def passthrough_ended(self) -> None:
        """The camera's own JPEGs are missing: switch to the frames of the vision worker, which show the reason."""
        worker = self._all.worker
        request = FrameParameters().stream_request(worker.settings.mjpeg_quality)
        pixels = self._all.get(worker.pool.pixels_of(self.access, request))
        self._leave()
        self.watch(pixels)

    def _leave(self) -> None:
        parts, self._parts = self._parts, None
        if parts is not None:
            parts.remove(self)

    async def close(self) -> None:
        self._leave()
        await self.sink.close(*([_END] if self._begun else []), grace_s=CLOSE_GRACE_S)


async def serve_mjpeg(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Serve the response. Raises: Problem: before the response has started."""
    all_parts = worker.shared(AllParts)
    parameters = FrameParameters.parse(auth.query_of(scope))
    access = await worker.database.run(
        auth.authorise_live, scope, target, parameters.stream, parameters.width_px, "live"
    )
    if scope["method"] == "HEAD":
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        await send(_END)
        return
    viewer = MjpegViewer(all_parts, access, scope, send)
    worker.add(viewer)
    gone = asyncio.get_running_loop().create_task(wait_for_disconnect(receive), name="live-mjpeg")
    gone.add_done_callback(lambda _: viewer.end())
    try:
        key = worker.pool.pixels_of(access, parameters.stream_request(worker.settings.mjpeg_quality))
        is_own = not access.view and parameters.is_unchanged
        if is_own and _sends_jpeg(access.camera.slug, access.stream):
            key = worker.pool.packets_of(access)
        waiter = FrameWaiter()
        feed = worker.pool.join(*key, waiter)
        try:
            if await _has_frame(feed, waiter, viewer):
                await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
                viewer.sink.put({"type": "http.response.body", "body": PREAMBLE, "more_body": True})
                viewer.watch(all_parts.get(key))
        finally:
            worker.pool.leave(feed, waiter)
        await viewer.over
    finally:
        gone.cancel()
        worker.remove(viewer)
        await viewer.close()


def _sends_jpeg(slug: str, stream: str) -> bool:
    """Return whether the stream currently is of JPEGs, according to the engine's last report."""
    # Imports the models, which an asgi.py may not have loaded yet.
    from ninjacam.queries.status import read_status

    camera = read_status().cameras.get(slug, {})
    report = camera if stream == MAIN else camera.get("streams", {}).get(stream, {})
    return report.get("codec") == Codec.MJPEG.label and report.get("state") == CameraState.LIVE.value


async def _has_frame(feed: Feed, waiter: FrameWaiter, viewer: MjpegViewer) -> bool:
    """Return False if the client has disconnected.

    Raises: Problem: no frame came in time, the view does not exist, or the server stops.
    """
    waiting = asyncio.ensure_future(waiter.wait(feed, timeout_s=FIRST_FRAME_S))
    try:
        await asyncio.wait((waiting, viewer.over), return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
    if feed.refused is not None:
        raise problem_of_stream(viewer.access.refusal(feed.refused))
    if viewer.stopped:
        raise stopping()
    if viewer.over.done():
        return False
    if feed.last_frame is None:
        raise feed.no_frame(details=await viewer.worker.may_see_details(viewer.access))
    return True
