"""The engine's only thread for the database and for the disk of the recordings.

With one thread, adding, scanning and deleting never overlap, and the event loop does not block.
"""

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ninjacam.core.errors import NinjacamError
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.engine")

T = TypeVar("T")


class StorageThread:
    """Runs functions in the thread, which starts at the first use. Call it in the event loop."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine-storage")
        self.error: Json | None = None
        """The error of the last call, or None if it succeeded."""

    async def run(self, work: Callable[[], T]) -> T | None:
        """Return what `work` returns, or None if it raises NinjacamError, which is logged once per outage."""
        try:
            result = await asyncio.get_running_loop().run_in_executor(self._executor, work)
        except NinjacamError as exc:
            if self.error is None:
                logger.warning("engine: recordings and events cannot be stored: %s", exc)
            self.error = exc.as_dict()
            return None
        self.error = None
        return result

    def close(self) -> None:
        """Drop pending calls, without waiting for a running one."""
        self._executor.shutdown(wait=False, cancel_futures=True)
