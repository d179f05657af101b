"""Ends endless responses when the server stops.

Servers wait for their responses before they stop, and uvicorn does not announce its stop. Therefore we handle the
signal, with a handler chained before the server's handler. See docs/design/0003-lifecycle.md.
"""

import asyncio
import logging
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any

logger = logging.getLogger("ninjacam.asgi")

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT)


def chain_signals(loop: asyncio.AbstractEventLoop, on_stop: Callable[[], None]) -> None:
    """Call `on_stop` in the loop at SIGTERM, SIGINT or SIGQUIT, before the server's own handlers.

    Works only in the main thread; elsewhere (a server in a thread, as in tests), the server's lifespan shutdown must
    do it.
    """
    for number in SIGNALS:
        before = signal.getsignal(number)
        if not callable(before):  # Ignored, or the default: the process ends without calling a handler.
            continue
        try:
            signal.signal(number, _chained(loop, on_stop, before))
        except ValueError:
            logger.debug("not in the main thread: streams end with the server's lifespan")
            return


def _chained(
    loop: asyncio.AbstractEventLoop,
    on_stop: Callable[[], None],
    before: Callable[[int, FrameType | None], Any],
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(on_stop)
        before(number, frame)

    return handle
