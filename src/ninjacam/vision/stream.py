"""One stream of a camera in a vision worker: the thread that decodes it while its frames are wanted.

Not here: sockets and demand (`vision.camera`).
"""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.core.packets import CameraState, Packet, StreamInfo
from ninjacam.hub.server import Channel
from ninjacam.supervision.crash_record import RunningFile
from ninjacam.vision.code import ProcessorCode
from ninjacam.vision.context import Shared, Variant, ViewContext
from ninjacam.vision.failure_cases import FailureCases
from ninjacam.vision.pipeline import Pipeline
from ninjacam.vision.reading import PacketReading

LINGER_S = 1.0
"""Seconds that the decoder keeps running without viewers, so that it is running when one reloads the page."""
STALL_PAUSE_S = 30.0


class DecodedStream:
    """Thread: the event loop. `path`: the stream's `.packets` socket. `on_info()`: there is another `info`.
    `on_health()`: the error of a view has changed.
    """

    def __init__(
        self,
        *,
        camera: str,
        path: Path,
        code: ProcessorCode,
        running: RunningFile,
        on_info: Callable[[], None],
        on_health: Callable[[], None],
        clock: Clock,
    ) -> None:
        self.shared = Shared()
        self.abandoned_threads = 0
        self._camera = camera
        self._code = code
        self._running = running
        self._on_health = on_health
        self._clock = clock
        self._failures = FailureCases(path.parent)
        self._loop = asyncio.get_running_loop()
        self._reading = PacketReading(path, on_info, clock)
        self._linger: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        self._cancel_linger()
        await self._reading.halt()

    @property
    def info(self) -> StreamInfo:
        """Return the state of the stream."""
        return self._reading.info or StreamInfo(self._camera, state=CameraState.RECONNECTING)

    @property
    def is_decoding(self) -> bool:
        return self._reading.pipeline is not None

    def make(self, variants: tuple[Variant, ...]) -> None:
        """Make these from now on. Without any, stop decoding after LINGER_S."""
        self.shared.variants = variants
        self.shared.attention.gate.is_used = all(each.waits_for_motion for each in variants)
        if variants:
            self._cancel_linger()
            if not self.is_decoding:
                self._begin()
        elif self.is_decoding and self._linger is None:
            self._linger = self._loop.call_later(LINGER_S, self._stop)

    def show_state(self) -> None:
        """Send a readable image at once, if the stream is not live: there is a new viewer."""
        if self._reading.pipeline is not None and not self._reading.is_live:
            self._reading.pipeline.put_info(self._reading.info)

    def _cancel_linger(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None

    def _begin(self) -> None:
        pipeline = Pipeline(
            ViewContext(
                camera=self._camera,
                code=self._code,
                shared=self.shared,
                running=self._running,
                publish=lambda pairs: self._to_loop(_publish_all, pairs),
                on_health=lambda: self._to_loop(self._on_health),
                clock=self._clock,
                failures=self._failures,
            )
        )
        self._reading.begin(pipeline)

    def _to_loop(self, call: Callable[..., None], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # The loop is closed: the worker is ending.
            self._loop.call_soon_threadsafe(call, *arguments)

    def _stop(self) -> None:
        self._linger = None
        if not self.shared.variants:
            self._ending = asyncio.create_task(self._reading.halt(), name=f"halt-{self._camera}")

    def retry_views(self) -> None:
        """The code was saved: retry all views at once."""
        self.shared.quarantined = {}
        self.shared.stalled = {}
        self.retry_failed()

    def retry_failed(self) -> None:
        """Retry views that raised an exception at their next frame."""
        for health in self.shared.health.values():
            health.next_try_ns = 0

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
                self._abandon_view(pipeline, view, now_ns, limit_s)

    def _abandon_view(self, pipeline: Pipeline, view: str, now_ns: int, limit_s: float) -> None:
        self.abandoned_threads += 1
        error = ProcessorError(
            f"The processor {view!r} did not return within {limit_s:g} s and was cut off. "
            f"It is tried again after {STALL_PAUSE_S:g} s, or when its file is saved."
        )
        self.shared.health[view].failed(self._camera, error, self._clock)
        self.shared.stalled[view] = (now_ns + int(STALL_PAUSE_S * 1e9), error)
        pipeline.abandon_view(view)


def _publish_all(pairs: list[tuple[Channel, Packet]]) -> None:
    for channel, packet in pairs:
        channel.publish(packet)
