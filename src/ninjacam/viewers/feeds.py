"""The streams that this worker reads: one subscription to a local socket for all viewers of the same stream."""

import asyncio
import contextlib
import logging
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ninjacam.core.errors import ForbiddenError, UnknownStreamError
from ninjacam.core.packets import LIVE, CameraState, Codec, Kind, Packet, StreamInfo
from ninjacam.core.streams import MAIN, split_key, stream_key
from ninjacam.core.texts import gettext_noop, sentence
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.hub.client import RefusedError, StreamSubscription
from ninjacam.hub.gop import GopCache
from ninjacam.hub.request import StreamRequest
from ninjacam.languages import translate, translate_item
from ninjacam.problems import Problem

if TYPE_CHECKING:
    from ninjacam.viewers.auth import LiveAccess

logger = logging.getLogger("ninjacam.viewers")


PIXELS_LINGER_S = 2.0
"""Seconds that an unused stream of pixels stays open, so that reloading a page, or one snapshot per second, does not
restart an encoder."""
LOST_AFTER_S = 0.5
"""Seconds until a loss is reported. A vision worker or capture process restarts faster, and viewers need not be
notified."""

FeedKey = tuple[Path, StreamRequest]
"""The socket of a feed, and the request that is sent to it."""

LOST_MESSAGE = gettext_noop("The connection to the engine is lost. Reconnecting …")


class Listener(Protocol):
    """Receives changes of a feed. Called in the event loop, synchronously. Must not raise, and must not leave or
    join the feed during the call."""

    def on_packet(self, packet: Packet) -> None: ...

    def on_state(self) -> None:
        """The feed's `state`, `message` or `view_error` has changed."""

    def on_refused(self, error: dict[str, Any]) -> None:
        """Handle a refused subscription; no more data will arrive. `error`: `NinjacamError.as_dict()`."""


class Feed:
    """One stream. Created and ended by the Pool."""

    def __init__(self, path: Path, request: StreamRequest) -> None:
        self.path = path
        self.request = request
        self.listeners: tuple[Listener, ...] = ()
        self.gop = GopCache()
        self.info: StreamInfo | None = None
        """None until the first connection, and while the connection is lost for more than LOST_AFTER_S, unless the
        engine reports the reason.
        """
        self.was_lost = False
        self.refused: dict[str, Any] | None = None
        self.fresh = False
        """Whether the last frame is from a live camera, and not from before a loss."""
        self.packets = 0
        self._subscription = StreamSubscription(
            path, request, on_packet=self._on_packet, on_info=self._on_info
        )
        self._lost_timer: asyncio.TimerHandle | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    # --- state ---

    @property
    def has_state(self) -> bool:
        """Return whether a state was received: a stream that starts reports it within milliseconds."""
        return self.info is not None or self.was_lost

    @property
    def is_off(self) -> bool:
        """Return whether the engine reports that this stream is off: no data will arrive until its configuration
        changes."""
        return self.was_lost and self.info is not None

    @property
    def state(self) -> CameraState:
        if self.info is not None:
            return self.info.state
        return CameraState.RECONNECTING if self.was_lost else CameraState.CONNECTING

    def message(self, *, details: bool) -> str:
        """Return why there are no frames, in the current language; "" if there is no error. `details`: for users who
        may configure the camera."""
        if self.info is None:
            return translate(LOST_MESSAGE) if self.was_lost else ""
        error = self.info.error if details else for_viewers(self.info.error)
        return translate_item(error) if error else ""

    def no_frame(self, *, details: bool) -> Problem:
        """Return the problem that explains why there is no frame. `details`: for users who may configure the camera."""
        code, message = (
            "stream_unavailable",
            sentence("No frame came from the camera in time (state: %(state)s).", state=self.state.value),
        )
        if self.state is CameraState.DISABLED:
            code, message = "disabled", sentence("The camera is disabled.")
        if self.info is not None and self.info.error:
            code = str(self.info.error.get("code", code))
        headers = ((b"retry-after", b"2"), (b"x-ninjacam-state", self.state.value.encode()))
        return Problem(503, code, self.message(details=details) or translate(message), headers)

    @property
    def view_error(self) -> dict[str, Any] | None:
        """Return the view's error without the traceback, which the API returns to users who may configure the
        camera."""
        error = self.info.extra.get("view_error") if self.info is not None else None
        return {name: error[name] for name in error if name != "traceback"} if error else None

    @property
    def codec(self) -> Codec:
        """Return the codec of the video; NONE if unknown."""
        if self.request.codec is not Codec.NONE:
            return self.request.codec
        for packet in self.gop:
            if packet.kind is Kind.VIDEO:
                return packet.codec
        video = self.info.video if self.info is not None else None
        return video.codec if video is not None else Codec.NONE

    @property
    def last_frame(self) -> Packet | None:
        """Return the newest cached key frame or JPEG."""
        return next((packet for packet in self.gop if packet.kind is Kind.VIDEO), None)

    # --- callbacks of the subscription ---

    def _on_packet(self, packet: Packet) -> None:
        self.packets += 1
        self.gop.add(packet)
        self.fresh = self.info is not None and self.info.state is LIVE
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
                self.gop.clear()  # From before the loss. The pixels stream itself shows the reason.
        self.info = info
        self.was_lost = False
        self._notify_listeners()

    def _notify_listeners(self) -> None:
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
        """Retry until the connection is restored: meanwhile, the camera may be disabled and enabled again."""
        before = (self.was_lost, self.info)
        self.was_lost, self.info = True, _read_off(self.path.stem)
        self._expect_return()
        if before != (self.was_lost, self.info):
            self._notify_listeners()

    # --- lifecycle, called by the Pool ---

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
        self.gop.clear()  # Free its megabytes at once: a feed is part of reference cycles.


def _read_off(key: str) -> StreamInfo | None:
    """Return the state of a stream that the engine assigns to no process: its camera is disabled or removed, or its
    settings cannot be read."""
    # Imports the models, which an asgi.py may not have loaded yet.
    from ninjacam.queries.status import read_status

    status = read_status()
    slug, name = split_key(key)
    camera = status.cameras.get(slug, {})
    if status.engine_running and camera and name != MAIN:
        report = camera.get("streams", {}).get(name)
        if report is None:
            error = UnknownStreamError(f"The camera no longer has the stream “{name}”.")
            return StreamInfo(key, state=CameraState.FAILED, error=error.as_dict())
    if not status.engine_running or camera.get("state") not in (CameraState.DISABLED, CameraState.FAILED):
        return None
    if any(slug in process.get("cameras", ()) for process in status.processes):
        return None  # A failed camera keeps its sockets, which will be available again.
    return StreamInfo(slug, state=CameraState(camera["state"]), error=camera.get("error"))


class Pool:
    """The feeds of this worker. Each is open while it has listeners; feeds of pixels stay open slightly longer."""

    def __init__(self, run_dir: Path) -> None:
        self._run_dir = run_dir
        self._feeds: dict[FeedKey, Feed] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._feeds)

    def __iter__(self) -> Any:
        return iter(self._feeds.values())

    def packets_of(self, access: "LiveAccess", stream: str = "") -> FeedKey:
        """Return the feed of the camera's own packets. `stream`: instead of that of `access`.

        Raises: ForbiddenError: the access is for the view of a processor.
        """
        if access.view:
            raise ForbiddenError(f"This viewer may only receive the view {access.view!r}.")
        key = stream_key(access.camera.slug, stream or access.stream)
        return self._run_dir / f"{key}.packets", StreamRequest()

    def pixels_of(self, access: "LiveAccess", request: StreamRequest, stream: str = "") -> FeedKey:
        """Return the feed of the view of `access`, in the form of `request`. `stream`: as for packets."""
        key = stream_key(access.camera.slug, stream or access.stream)
        return self._run_dir / f"{key}.pixels", replace(request, view=access.view)

    def join(self, path: Path, request: StreamRequest, listener: Listener) -> Feed:
        """Add `listener`, which receives future packets. Cached packets are available from the feed."""
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
        """End each feed with its last listener from now on."""
        self._closed = True
        for feed in list(self._feeds.values()):
            if feed._linger_timer is not None:
                feed._linger_timer.cancel()
                self._end(feed)

    def close(self) -> None:
        """End all feeds, with or without listeners."""
        self.stop_lingering()
        for feed in self._feeds.values():
            feed.close()
        self._feeds.clear()


_COMING = (CameraState.LIVE, CameraState.CONNECTING, CameraState.IDLE, CameraState.ASLEEP)
"""States in which the first frame may take as long as a connection and a key frame."""


class FrameWaiter:
    """Waits for a feed's first frame: in any state, or only from a live camera."""

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
        """Wait until a frame is available, the feed is refused or off, or the timeout has passed.

        `patience_s`: additional time to wait for a live camera, because a stream that has just started briefly
        reports another state.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with contextlib.suppress(TimeoutError):
            while feed.refused is None:
                if feed.last_frame is not None and (feed.fresh or not live_only):
                    return
                hopeless = feed.state in (CameraState.FAILED, CameraState.DISABLED)
                down = live_only and feed.info is not None and feed.state not in _COMING
                if feed.is_off or (live_only and hopeless):
                    return
                end = begun + (min(patience_s, timeout_s) if down else timeout_s)
                self._changed.clear()
                async with asyncio.timeout_at(end):
                    await self._changed.wait()
