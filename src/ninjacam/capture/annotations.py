"""Reads the annotations of a recorded camera from its `.pixels` socket, for the recorder.

The subscription keeps processors with `record=True` running. It carries data only: no user code runs here.
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
"""A killed vision worker restarts within 2 s. If there is none, retrying costs almost nothing."""


class AnnotationReader:
    """Runs from its creation until `close`. Thread: the event loop. `on_packet`: receives packets of
    `Codec.ANNOTATIONS`.
    """

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
