"""Started processes, commands and forks, behind one interface that waits for them and kills them."""

import asyncio
import contextlib
import os
import select
import signal
import subprocess
from collections.abc import Mapping, Sequence
from typing import Protocol

STATUS_S = 1.0
"""Seconds to wait for the exit status of a process that has ended."""


class StartedProcess(Protocol):
    """Owner: the event loop."""

    @property
    def pid(self) -> int: ...

    def has_ended(self) -> bool: ...

    def kill(self) -> None:
        """Send SIGKILL. Does nothing if the process has ended."""

    async def wait(self) -> int | None:
        """Wait for the end of the process. Call it once.

        Returns: the exit status in the form of `Popen.returncode`; None: it is unknown.
        """


class CommandProcess:
    """A command that this process has started, without standard input, in its own session."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str]) -> None:
        self._popen = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C in a terminal must reach only the parent, which stops its children.
            env=environment,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def has_ended(self) -> bool:
        return self._popen.poll() is not None

    def kill(self) -> None:
        self._popen.kill()

    async def wait(self) -> int | None:
        return await asyncio.to_thread(self._popen.wait)


class PidfdProcess:
    """A process that is not a child of this one: a child of an earlier engine, or a fork of the template.

    `descriptor`: its pidfd, which this object closes. `status`: receives the exit status; None: it stays unknown.
    """

    def __init__(self, pid: int, descriptor: int, status: "asyncio.Future[int | None] | None" = None) -> None:
        self._pid = pid
        self._descriptor: int | None = descriptor
        self._status = status

    @property
    def pid(self) -> int:
        return self._pid

    def has_ended(self) -> bool:
        return self._descriptor is None or bool(select.select([self._descriptor], [], [], 0)[0])

    def kill(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._descriptor, signal.SIGKILL)

    async def wait(self) -> int | None:
        if self._descriptor is not None:
            loop, ended = asyncio.get_running_loop(), asyncio.Event()
            loop.add_reader(self._descriptor, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = None
        if self._status is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STATUS_S):
                    return await self._status
        return None
