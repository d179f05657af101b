"""Writes to the database that must not delay a stream."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from ninjacam.viewers.worker import Worker

logger = logging.getLogger("ninjacam.live")


class BackgroundWrites:
    """The writes of one WebSocket, which continue after its end. Thread: the event loop."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._tasks: set[asyncio.Task[None]] = set()

    def write(self, function: Callable[..., None], *arguments: Any) -> None:
        """Call `function` in a thread of the database. If it fails, that is logged."""
        task = asyncio.get_running_loop().create_task(
            self._worker.database.run(function, *arguments), name=function.__name__
        )
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            logger.warning("%s failed: %s", task.get_name(), error)
