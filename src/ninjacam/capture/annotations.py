"""What vision sees on a camera that is recorded: read from the camera's `.pixels` socket, for the recorder.

Being subscribed is the demand: as long as it lasts, processors with `record=True` run. Data only: no user code here.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from ninjacam.core.clock import Clock
from ninjacam.core.packets import Codec, Packet
from ninjacam.hub.client import RefusedError, StreamSubscription
from ninjacam.hub.request import StreamRequest

logger = logging.getLogger("ninjacam.capture")

MAX_RETRY_S = 1.0
"""A vision worker that was killed is back within 2 s; where there is none, it costs next to nothing to ask."""


class AnnotationReader:
    """From its making until `close`. Thread: the event loop. `on_packet`: hears packets of `Codec.ANNOTATIONS`."""

    def __init__(self, path: Path, on_packet: Callable[[Packet], None], *, clock: Clock) -> None:
        self._subscription = StreamSubscription(
            path,
            StreamRequest(codec=Codec.ANNOTATIONS),
            on_packet=on_packet,
            on_info=lambda _info: None,
            max_retry_s=MAX_RETRY_S,
            clock=clock,
        )
        self._task = asyncio.create_task(self._run(), name=f"annotations-{path.stem}")

    async def _run(self) -> None:
        try:
            await self._subscription.run()
        except RefusedError as exc:
            logger.error("%s: no annotations are recorded: %s", self._subscription.path.stem, exc)  # noqa: TRY400

    def close(self) -> None:
        """Idempotent."""
        self._subscription.close()
