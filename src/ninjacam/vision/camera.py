"""The pixels of one camera: its `.pixels` socket, the demand for it, and the thread that serves the demand."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.core.packets import CameraState, Kind, Packet, StreamInfo, Track
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel, StreamServer
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.health import ViewHealth
from ninjacam.vision.pipeline import Pipeline
from ninjacam.vision.reading import PacketReading
from ninjacam.vision.variants import Variants
from ninjacam.vision.views import Shared, ViewContext

logger = logging.getLogger("ninjacam.vision")

LINGER_S = 1.0
"""Seconds that the decoder keeps running without viewers, so that it is running when one reloads the page."""
STALL_PAUSE_S = 30.0


class CameraPixels:
    """Thread: the event loop. `on_change()`: the status has changed."""

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
        self._code = code
        self._running = running
        self._on_change = on_change
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._shared = Shared()
        self._reading = PacketReading(run_dir / f"{slug}.packets", self._describe_all, clock)
        self._variants = Variants(slug, camera_id, code, describe=self._channel_info, on_demand=self._demand)
        self._server = StreamServer(run_dir / f"{slug}.pixels", self._variants.find_channel)
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
        self._variants.close()
        await self._reading.halt()

    # --- demand ---

    def _demand(self, request: StreamRequest) -> None:
        is_first = self._variants.count_subscribers(request) == 1
        pipeline = self._reading.pipeline
        self._meet_demand()
        if pipeline is not None and is_first and not self._reading.is_live:
            pipeline.put_info(self._reading.info)  # Send the new viewer a readable image at once.
        self._on_change()

    def _meet_demand(self) -> None:
        if self._closed:
            return  # Its subscribers disconnect one after the other.
        self._shared.variants = tuple(self._variants.wanted())
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if not self._shared.variants:
            self._linger = self._loop.call_later(LINGER_S, self._stop_if_idle)
        elif self._reading.pipeline is None:
            self._begin()

    def _begin(self) -> None:
        pipeline = Pipeline(
            ViewContext(
                camera=self.slug,
                code=self._code,
                shared=self._shared,
                running=self._running,
                publish=lambda pairs: self._to_loop(_publish_all, pairs),
                on_health=lambda: self._to_loop(self._note_errors),
                clock=self._clock,
            )
        )
        self._reading.begin(pipeline)

    def _to_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: the worker is ending.
            self._loop.call_soon_threadsafe(call, *arguments)

    def _stop_if_idle(self) -> None:
        self._linger = None
        if not self._shared.variants:
            self._ending = asyncio.create_task(self._reading.halt(), name=f"halt-{self.slug}")

    @property
    def is_watched(self) -> bool:
        """Whether its frames are being decoded."""
        return self._reading.pipeline is not None

    # --- messages to subscribers ---

    def _channel_info(self, request: StreamRequest) -> StreamInfo:
        info = self._reading.info or StreamInfo(self.slug, state=CameraState.RECONNECTING)
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

    def _describe_all(self) -> None:
        self._variants.describe_all()

    # --- health ---

    def _note_errors(self) -> None:
        self._describe_all()
        self._on_change()

    def set_quarantine(self, entries: list[dict[str, Any]]) -> None:
        """Set the engine's list of views that crashed their worker."""
        self._shared.blamed = {
            entry["view"]: (
                entry["until_ns"],
                ProcessorError(entry["error"]["message"], traceback=entry["error"].get("traceback", "")),
            )
            for entry in entries
        }

    def code_changed(self) -> None:
        """The code was saved: retry all views at once."""
        self._shared.blamed = {}
        self._shared.stalled = {}
        for health in self._shared.health.values():
            health.next_try_ns = 0
        if self._variants.has_recorder:
            self._meet_demand()  # Other views may be recorded now.

    def check_stall(self) -> None:
        """Called often: abandon the thread of a view that is stuck in user code; everything else continues."""
        pipeline = self._reading.pipeline
        if pipeline is None:
            return
        if pipeline.broken:
            self._begin()  # with a new thread
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
                "encodings": self._variants.count_encodings(view),
            }
        return views

    def _rate(self, view: str, frames: int, now_ns: int) -> float:
        before, at_ns, rate = self._rates.get(view, (frames, now_ns, 0.0))
        elapsed_s = (now_ns - at_ns) / 1e9
        if view not in self._rates or elapsed_s >= 0.9:
            rate = round((frames - before) / elapsed_s, 2) if elapsed_s > 0 else 0.0
            self._rates[view] = (frames, now_ns, rate)
        return rate


def _publish_all(pairs: list[tuple[Channel, Packet]]) -> None:
    for channel, packet in pairs:
        channel.publish(packet)
