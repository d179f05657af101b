"""The one thread in which the engine works on the database and on the disk of the recordings.

One thread, so that adding, scanning and deleting never overlap, and the event loop waits for neither.
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
    """Call it in the event loop. The thread starts at the first use."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="engine-storage")
        self.error: Json | None = None
        """Why the last work failed; None: it succeeded."""

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
        """Work that is waiting is dropped; work that is running is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
