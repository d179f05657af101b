"""The pixels of one camera: its `.pixels` socket, the demand on it, and the thread that meets the demand."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ProcessorError, ViewNotFoundError
from ninjacam.core.packets import CameraState, Codec, Kind, Packet, StreamInfo, Track
from ninjacam.hub.client import StreamSubscription
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel, StreamServer
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.health import ViewHealth
from ninjacam.vision.pipeline import Pipeline
from ninjacam.vision.views import Shared, Variant, ViewContext

logger = logging.getLogger("ninjacam.vision")

MAX_VARIANTS = 8
"""Encodings of one view in one codec at a time. Whoever asks for one more gets the nearest of them: nobody can lock
the others out by asking for everything."""
LINGER_S = 1.0
"""A viewer who reloads the page finds the decoder running."""
STALL_PAUSE_S = 30.0


class CameraPixels:
    """Thread: the event loop. `on_change()`: something worth a report."""

    def __init__(
        self,
        *,
        slug: str,
        camera_id: int,
        run_dir: Path,
        code: ProcessorCode,
        running: RunningFile,
        on_change: Callable[[], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.slug = slug
        self._camera_id = camera_id
        self._run_dir = run_dir
        self._code = code
        self._running = running
        self._on_change = on_change
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._shared = Shared()
        self._variants: dict[StreamRequest, Variant] = {}
        self._info: StreamInfo | None = StreamInfo(slug)
        self._server = StreamServer(run_dir / f"{slug}.pixels", self._find_channel)
        self._pipeline: Pipeline | None = None
        self._subscription: StreamSubscription | None = None
        self._reading: asyncio.Task[None] | None = None
        self._linger: asyncio.TimerHandle | None = None
        self._rates: dict[str, tuple[int, int, float]] = {}
        self._closed = False
        self.abandoned_threads = 0

    async def start(self) -> None:
        """Raises: ConfigError."""
        await self._server.start()

    async def close(self) -> None:
        self._closed = True
        await self._server.close()
        for variant in list(self._variants.values()):
            variant.channel.close()
        await self._halt()

    # --- demand ---

    def _find_channel(self, request: StreamRequest) -> Channel:
        """Raises: ViewNotFoundError: what the subscriber is told."""
        request = replace(request.snapped(), audio=False)
        if request.codec is Codec.ANNOTATIONS:
            request = StreamRequest(request.view, request.codec)
        if request.view and request.view not in self._code.views(self.slug):
            known = ", ".join(self._code.views(self.slug)) or "none"
            raise ViewNotFoundError(
                f"The camera {self.slug!r} has no view {request.view!r}. Its processors are: {known}."
            )
        if request.codec not in (Codec.MJPEG, Codec.H264, Codec.ANNOTATIONS):
            raise ViewNotFoundError("Views come as MJPEG, H.264 or annotations.")
        variant = self._variants.get(request) or self._nearest(request)
        if variant is None:
            channel = Channel(
                self._channel_info(request),
                camera_id=self._camera_id,
                on_demand=lambda _: self._demand(request),
            )
            variant = self._variants[request] = Variant(request, channel)
        return variant.channel

    def _nearest(self, request: StreamRequest) -> Variant | None:
        """What has to do where there are enough encodings of this view already."""
        same = [
            variant
            for other, variant in self._variants.items()
            if (other.view, other.codec) == (request.view, request.codec)
        ]
        if len(same) < MAX_VARIANTS:
            return None
        return min(same, key=lambda variant: _distance(variant.request, request))

    def _demand(self, request: StreamRequest) -> None:
        variant = self._variants.get(request)
        if variant is not None and not variant.channel.subscribers:
            del self._variants[request]
        pipeline = self._pipeline
        self._meet_demand()
        is_first = variant is not None and variant.channel.subscribers == 1
        if pipeline is not None and is_first and not self._is_live():
            pipeline.put_info(self._info)  # a readable picture for the newcomer at once
        self._on_change()

    def _meet_demand(self) -> None:
        if self._closed:
            return  # its subscribers go one after the other
        self._shared.variants = tuple(self._wanted())
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if not self._shared.variants:
            self._linger = self._loop.call_later(LINGER_S, self._stop_if_idle)
        elif self._pipeline is None:
            self._begin()

    def _wanted(self) -> Iterator[Variant]:
        """Who asks for the annotations of no view in particular (the recorder) gets those that are to be recorded."""
        for request, variant in self._variants.items():
            if variant.is_picture or request.view:
                yield variant
                continue
            for view in self._code.recorded(self.slug):
                yield Variant(replace(request, view=view), variant.channel)

    def _is_live(self) -> bool:
        return self._info is not None and self._info.state is CameraState.LIVE

    def _begin(self) -> None:
        pipeline = Pipeline(
            ViewContext(
                camera=self.slug,
                code=self._code,
                shared=self._shared,
                running=self._running,
                publish=lambda pairs: self._to_loop(_publish_all, pairs),
                on_health=lambda: self._to_loop(self._tell_errors),
                clock=self._clock,
            )
        )
        subscription = StreamSubscription(
            self._run_dir / f"{self.slug}.packets",
            StreamRequest(),
            on_packet=self._on_packet,
            on_info=self._on_info,
            clock=self._clock,
        )
        self._pipeline, self._subscription = pipeline, subscription
        self._info = None
        self._reading = asyncio.create_task(subscription.run(), name=f"read-{self.slug}")

    def _to_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the worker is ending
            self._loop.call_soon_threadsafe(call, *arguments)

    def _stop_if_idle(self) -> None:
        self._linger = None
        if not self._shared.variants:
            self._ending = asyncio.create_task(self._halt(), name=f"halt-{self.slug}")

    async def _halt(self) -> None:
        pipeline, subscription, reading = self._pipeline, self._subscription, self._reading
        self._pipeline = self._subscription = self._reading = None
        if pipeline is not None:
            pipeline.stop()
        if subscription is not None and reading is not None:
            subscription.close()
            await asyncio.gather(reading, return_exceptions=True)

    @property
    def is_watched(self) -> bool:
        """Whether its pictures are decoded."""
        return self._pipeline is not None

    # --- the camera's stream ---

    def _on_packet(self, packet: Packet) -> None:
        if packet.kind is Kind.VIDEO and self._pipeline is not None:
            self._pipeline.put(packet)

    def _on_info(self, info: StreamInfo | None) -> None:
        self._info = info
        if self._pipeline is not None:
            self._pipeline.put_info(info)
        for request, variant in self._variants.items():
            variant.channel.set_info(self._channel_info(request))

    def _channel_info(self, request: StreamRequest) -> StreamInfo:
        info = self._info or StreamInfo(self.slug, state=CameraState.RECONNECTING)
        health = self._shared.health.get(request.view)
        error = health.error.as_dict() if health is not None and health.error is not None else None
        return StreamInfo(
            self.slug,
            (Track(Kind.VIDEO, request.codec),),
            info.state,
            info.error,
            info.epoch,
            {"view": request.view, "view_error": error},
        )

    # --- health ---

    def _tell_errors(self) -> None:
        for request, variant in self._variants.items():
            variant.channel.set_info(self._channel_info(request))
        self._on_change()

    def set_quarantine(self, entries: list[dict[str, Any]]) -> None:
        """What the engine knows of views that took their worker down."""
        self._shared.blamed = {
            entry["view"]: (
                entry["until_ns"],
                ProcessorError(entry["error"]["message"], traceback=entry["error"].get("traceback", "")),
            )
            for entry in entries
        }

    def code_changed(self) -> None:
        """Everybody gets another chance, at once."""
        self._shared.blamed = {}
        self._shared.stalled = {}
        for health in self._shared.health.values():
            health.next_try_ns = 0
        if any(not (variant.is_picture or request.view) for request, variant in self._variants.items()):
            self._meet_demand()  # other views may be recorded now

    def check_stall(self) -> None:
        """Called often: a view's thread that is stuck in user code is left behind; all else goes on."""
        pipeline = self._pipeline
        if pipeline is None:
            return
        if pipeline.broken:
            self._begin_again()
            return
        now_ns = self._clock.monotonic_ns()
        for view, thread in list(pipeline.views.items()):
            limit_s = thread.maker.instance.overdue_s()
            if limit_s:
                self._leave_behind(pipeline, view, now_ns, limit_s)

    def _leave_behind(self, pipeline: Pipeline, view: str, now_ns: int, limit_s: float) -> None:
        self.abandoned_threads += 1
        error = ProcessorError(
            f"The processor {view!r} did not return within {limit_s:g} s and was cut off. "
            f"It is tried again after {STALL_PAUSE_S:g} s, or when its file is saved."
        )
        self._shared.health[view].failed(self.slug, error, self._clock)
        self._shared.stalled[view] = (now_ns + int(STALL_PAUSE_S * 1e9), error)
        pipeline.abandon_view(view)

    def _begin_again(self) -> None:
        """With a new thread, which starts at the cached GOP."""
        if self._subscription is not None:
            self._subscription.close()
        self._begin()

    def status(self) -> dict[str, Any]:
        now_ns = self._clock.monotonic_ns()
        views: dict[str, Any] = {}
        demanded = {variant.request.view for variant in self._shared.variants}
        for view in ["", *self._code.views(self.slug)]:
            health = self._shared.health.get(view) or ViewHealth()
            state = "idle" if view not in demanded else "running"
            error = health.error.as_dict() if health.error is not None else None
            entry = self._code.current.get(view)
            if error is None and isinstance(entry, ProcessorError):
                error = entry.as_dict()
            resting = self._shared.resting(view, now_ns)
            if error is None and resting is not None:
                error = resting.as_dict()
            views[view] = {
                "state": "failed" if error else state,
                "error": error,
                **health.report(),
                "fps": self._rate(view, health.frames, now_ns),
                "encodings": sum(
                    request.view == view and variant.is_picture for request, variant in self._variants.items()
                ),
            }
        return views

    def _rate(self, view: str, frames: int, now_ns: int) -> float:
        before, at_ns, rate = self._rates.get(view, (frames, now_ns, 0.0))
        elapsed_s = (now_ns - at_ns) / 1e9
        if view not in self._rates or elapsed_s >= 0.9:
            rate = round((frames - before) / elapsed_s, 2) if elapsed_s > 0 else 0.0
            self._rates[view] = (frames, now_ns, rate)
        return rate


def _distance(one: StreamRequest, other: StreamRequest) -> tuple[float, float, float]:
    """Size counts most, then pace, then quality; 0 is all that there is."""
    return (
        abs((one.width_px or 4096) - (other.width_px or 4096)),
        abs((one.max_fps or 60) - (other.max_fps or 60)),
        abs(one.quality - other.quality),
    )


def _publish_all(pairs: list[tuple[Channel, Packet]]) -> None:
    for channel, packet in pairs:
        channel.publish(packet)
