"""Reads a camera's packets and puts them into a pipeline, while its frames are requested."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from ninjacam.core.clock import Clock
from ninjacam.core.packets import CameraState, Kind, Packet, StreamInfo
from ninjacam.hub.client import StreamSubscription
from ninjacam.hub.request import StreamRequest
from ninjacam.vision.pipeline import Pipeline


class PacketReading:
    """`path`: the camera's `.packets` socket. `on_info()`: there is another `info`. Thread: the event loop.

    `pipeline`: None: nothing is read. `info`: None: the camera's process is away.
    """

    def __init__(self, path: Path, on_info: Callable[[], None], clock: Clock) -> None:
        self.pipeline: Pipeline | None = None
        self.info: StreamInfo | None = StreamInfo(path.stem)
        self._path = path
        self._on_info = on_info
        self._clock = clock
        self._subscription: StreamSubscription | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self, pipeline: Pipeline) -> None:
        """Read into `pipeline`, which begins at the cached GOP."""
        if self._subscription is not None:
            self._subscription.close()
        self.pipeline = pipeline
        self.info = None
        self._subscription = StreamSubscription(
            self._path,
            StreamRequest(),
            on_packet=self._take_packet,
            on_info=self._take_info,
            clock=self._clock,
        )
        self._task = asyncio.create_task(self._subscription.run(), name=f"read-{self._path.stem}")

    async def halt(self) -> None:
        pipeline, subscription, task = self.pipeline, self._subscription, self._task
        self.pipeline = self._subscription = self._task = None
        if pipeline is not None:
            pipeline.stop()
        if subscription is not None and task is not None:
            subscription.close()
            await asyncio.gather(task, return_exceptions=True)

    @property
    def is_live(self) -> bool:
        return self.info is not None and self.info.state is CameraState.LIVE

    def _take_packet(self, packet: Packet) -> None:
        if packet.kind is Kind.VIDEO and self.pipeline is not None:
            self.pipeline.put(packet)

    def _take_info(self, info: StreamInfo | None) -> None:
        self.info = info
        if self.pipeline is not None:
            self.pipeline.put_info(info)
        self._on_info()
