"""A few threads that read files for all viewers of a worker."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
THREADS = 4
"""Number of threads. A read occupies a thread for a few ms, and more threads do not make a disk faster."""


class FileThreads:
    """Runs blocking disk operations."""

    def __init__(self) -> None:
        self._executor: ThreadPoolExecutor | None = None  # Created at the first use, after any fork.

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads(), function, *arguments)

    def forget(self, function: Callable[[], None]) -> None:
        """Run a function later, without waiting for it."""
        self._threads().submit(function)

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None

    def _threads(self) -> ThreadPoolExecutor:
        if self._executor is None:
            self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="ninjacam-live-files")
        return self._executor
