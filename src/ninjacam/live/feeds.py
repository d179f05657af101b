"""The streams that this worker reads: one subscription of a local socket for all its viewers of the same thing."""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Any, Protocol

from ninjacam.core.packets import CameraState, Codec, Kind, Packet, StreamInfo
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.hub.client import RefusedError, StreamSubscription
from ninjacam.hub.gop import GopCache
from ninjacam.hub.request import StreamRequest

logger = logging.getLogger("ninjacam.live")

PIXELS_LINGER_S = 2.0
"""A page that is loaded again, or asks for a snapshot each second, need not start an encoder anew."""
LOST_AFTER_S = 0.5
"""A vision worker or capture process is back sooner; nobody need be told."""

LOST_MESSAGE = "The connection to the engine is lost; trying again."


class Listener(Protocol):
    """Called in the event loop, synchronously; must not raise and must not leave or join the feed meanwhile."""

    def on_packet(self, packet: Packet) -> None: ...

    def on_state(self) -> None:
        """The feed's `state`, `message` or `view_error` has changed."""

    def on_refused(self, error: dict[str, Any]) -> None:
        """There is no such stream; nothing more comes. `error`: NinjacamError.as_dict()."""


class Feed:
    """One stream. Made and ended by the Pool."""

    def __init__(self, path: Path, request: StreamRequest) -> None:
        self.path = path
        self.request = request
        self.listeners: tuple[Listener, ...] = ()
        self.gop = GopCache()
        self.info: StreamInfo | None = None
        """None until the first connection, and while the connection is lost for more than LOST_AFTER_S, unless the
        engine reports why there is none."""
        self.was_lost = False
        self.refused: dict[str, Any] | None = None
        self.fresh = False
        """Whether the last picture is of a camera that is live, and not of the time before."""
        self.packets = 0
        self._subscription = StreamSubscription(
            path, request, on_packet=self._on_packet, on_info=self._on_info
        )
        self._lost_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # --- what it knows ---

    @property
    def has_state(self) -> bool:
        """Whether anything is known yet: a stream that begins says so within milliseconds."""
        return self.info is not None or self.was_lost

    @property
    def is_off(self) -> bool:
        """Whether the engine reports that there is no such stream for now: nothing comes until somebody acts."""
        return self.was_lost and self.info is not None

    @property
    def state(self) -> CameraState:
        if self.info is not None:
            return self.info.state
        return CameraState.RECONNECTING if self.was_lost else CameraState.CONNECTING

    def message(self, *, details: bool) -> str:
        """Why there are no pictures; empty where nothing is wrong. `details`: as for those who configure the camera."""
        if self.info is None:
            return LOST_MESSAGE if self.was_lost else ""
        error = self.info.error if details else for_viewers(self.info.error)
        return str(error.get("message", "")) if error else ""

    @property
    def view_error(self) -> dict[str, Any] | None:
        """Without the traceback: that is for those who may configure, in the API."""
        error = self.info.extra.get("view_error") if self.info is not None else None
        return {name: error[name] for name in error if name != "traceback"} if error else None

    @property
    def codec(self) -> Codec:
        """Of its video; NONE where it is not known yet."""
        if self.request.codec is not Codec.NONE:
            return self.request.codec
        for packet in self.gop:
            if packet.kind is Kind.VIDEO:
                return packet.codec
        video = self.info.video if self.info is not None else None
        return video.codec if video is not None else Codec.NONE

    @property
    def last_picture(self) -> Packet | None:
        """The newest key frame or JPEG that is at hand."""
        return next((packet for packet in self.gop if packet.kind is Kind.VIDEO), None)

    # --- what comes in ---

    def _on_packet(self, packet: Packet) -> None:
        self.packets += 1
        self.gop.add(packet)
        self.fresh = self.state is CameraState.LIVE
        for listener in self.listeners:
            listener.on_packet(packet)

    def _on_info(self, info: StreamInfo | None) -> None:
        if info is None:
            self.gop.clear()
            self.fresh = False
            self._expect_return()
            return
        self._cancel_lost()
        if info.state is not CameraState.LIVE:
            self.fresh = False
            if self.request.codec is Codec.NONE and info.state is not CameraState.STALLED:
                self.gop.clear()  # of before the loss; pixels go on with a picture that says so
        self.info = info
        self.was_lost = False
        self._tell_state()

    def _tell_state(self) -> None:
        for listener in self.listeners:
            listener.on_state()

    def _expect_return(self) -> None:
        self._cancel_lost()
        self._lost_timer = asyncio.get_running_loop().call_later(LOST_AFTER_S, self._lost)

    def _cancel_lost(self) -> None:
        if self._lost_timer is not None:
            self._lost_timer.cancel()
            self._lost_timer = None

    def _lost(self) -> None:
        """Again and again until the connection is back: meanwhile the camera may be switched off, and on again."""
        before = (self.was_lost, self.info)
        self.was_lost, self.info = True, _read_off(self.path.stem)
        self._expect_return()
        if before != (self.was_lost, self.info):
            self._tell_state()

    # --- life, in the hands of the Pool ---

    def start(self) -> None:
        self._expect_return()
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"feed-{self.path.name}")

    async def _run(self) -> None:
        try:
            await self._subscription.run()
        except RefusedError as exc:
            self.refused = exc.details
            self._cancel_lost()
            for listener in self.listeners:
                listener.on_refused(exc.details)

    def close(self) -> None:
        self._cancel_lost()
        self._subscription.close()
        self.gop.clear()  # megabytes: they go at once, instead of with the cycles that a feed is part of


def _read_off(slug: str) -> StreamInfo | None:
    """Of a camera that the engine gives to no process: it is switched off, or its settings cannot be read."""
    from ninjacam.queries.status import (
        read_status,  # needs the models, which an asgi.py may not have loaded yet
    )

    status = read_status()
    camera = status.cameras.get(slug, {})
    if not status.engine_running or camera.get("state") not in (CameraState.DISABLED, CameraState.FAILED):
        return None
    if any(slug in process.get("cameras", ()) for process in status.processes):
        return None  # one that has failed has its sockets, and they will be back
    return StreamInfo(slug, state=CameraState(camera["state"]), error=camera.get("error"))


class Pool:
    """The feeds of this worker, each open as long as somebody has joined it, pixels a little longer."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._feeds: dict[tuple[Path, StreamRequest], Feed] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Any:
        return iter(self._feeds.values())

    def packets_path(self, slug: str) -> Path:
        return self._run_dir / f"{slug}.packets"

    def pixels_path(self, slug: str) -> Path:
        return self._run_dir / f"{slug}.pixels"

    def join(self, path: Path, request: StreamRequest, listener: Listener) -> Feed:
        """`listener` hears what comes from now on; what there is already, it takes from the feed."""
        feed = self._feeds.get((path, request))
        if feed is None or feed.refused is not None:
            feed = self._feeds[path, request] = Feed(path, request)
            feed.start()
        if feed._linger_timer is not None:
            feed._linger_timer.cancel()
            feed._linger_timer = None
        feed.listeners = (*feed.listeners, listener)
        return feed

    def leave(self, feed: Feed, listener: Listener) -> None:
        """Idempotent."""
        feed.listeners = tuple(other for other in feed.listeners if other is not listener)
        if feed.listeners or feed._linger_timer is not None:
            return
        lingers = feed.request.codec is not Codec.NONE and not self._closed and feed.refused is None
        if lingers:
            feed._linger_timer = asyncio.get_running_loop().call_later(PIXELS_LINGER_S, self._end, feed)
        else:
            self._end(feed)

    def _end(self, feed: Feed) -> None:
        feed._linger_timer = None
        if not feed.listeners:
            feed.close()
            if self._feeds.get((feed.path, feed.request)) is feed:
                del self._feeds[feed.path, feed.request]

    def stop_lingering(self) -> None:
        """From now on a feed ends with its last listener."""
        self._closed = True
        for feed in list(self._feeds.values()):
            if feed._linger_timer is not None:
                feed._linger_timer.cancel()
                self._end(feed)

    def close(self) -> None:
        """End them all, joined or not."""
        self.stop_lingering()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()


class PictureWaiter:
    """Waits for a feed's first picture: of any state, or only of a camera that is live."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()

    def on_packet(self, packet: Packet) -> None:
        self._changed.set()

    def on_state(self) -> None:
        self._changed.set()

    def on_refused(self, error: dict[str, Any]) -> None:
        self._changed.set()

    async def wait(
        self, feed: Feed, *, timeout_s: float, live_only: bool = False, patience_s: float = 2.0
    ) -> None:
        """Until there is one, the feed is refused or off, or the time is up.

        `patience_s`: for a live camera, while the camera is reported as not live: a stream that has just begun says so
        for a moment.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with contextlib.suppress(TimeoutError):
            while feed.refused is None:
                if feed.last_picture is not None and (feed.fresh or not live_only):
                    return
                hopeless = feed.state in (CameraState.FAILED, CameraState.DISABLED)
                down = live_only and feed.info is not None and feed.state is not CameraState.LIVE
                if feed.is_off or (live_only and hopeless):
                    return
                end = begun + (min(patience_s, timeout_s) if down else timeout_s)
                self._changed.clear()
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
