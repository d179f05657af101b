"""Forking: a child that shares the memory of what its parent has imported. Linux only; elsewhere nothing can fork.

Only a process with one thread may fork: what other threads hold, a lock for instance, would stay held in the child.
"""

import atexit
import contextlib
import ctypes
import gc
import logging
import os
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

logger = logging.getLogger("ninjacam.supervision")

PR_SET_NAME = 15
"""linux/prctl.h: the name of the calling thread, which is the process's where it is the main one."""
_MAX_NAME_BYTES = 15
_ARGUMENTS_AT, _ARGUMENTS_END_AT = 45, 46
"""Fields of /proc/self/stat behind the command's name: arg_start, arg_end (proc(5) counts them as 48 and 49)."""


def can_fork() -> bool:
    """Return whether this process has one thread, native ones included."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class ForkedProcess:
    """A child of this process, with the part of `subprocess.Popen` that supervision needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it has ended, as `Popen.returncode` says it; None: it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self.poll() is None:  # not reaped, so the number is still its own
            os.kill(self.pid, number)

    def wait(self, timeout_s: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        if self.poll() is None:
            descriptor = os.pidfd_open(self.pid)
            try:
                ended, _, _ = select.select([descriptor], [], [], timeout_s)
            finally:
                os.close(descriptor)
            if not ended:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout_s or 0.0)
        code = self.poll()
        assert code is not None
        return code


def fork(main: Callable[[], None], *, title: str) -> ForkedProcess:
    """Return a child that runs `main` and ends. In a session of its own, with no standard input.

    `main`: runs with this process's imports, settings and open files, and with the default signal handling. What it
    raises is printed; SystemExit has its status. Functions that were registered with `atexit` before are not for it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # what is there stays: a collection in a child that looked at it would copy its pages
    pid = os.fork()
    if pid == 0:
        _run(main, title)
    return ForkedProcess(pid)


def _run(main: Callable[[], None], title: str) -> NoReturn:
    """In the child. Never returns into the parent's code, whose `finally` blocks are not for this process."""
    status = 1
    try:
        _prepare(title)
        main()
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        if isinstance(exc.code, str):
            sys.stderr.write(f"{exc.code}\n")
    except BaseException:  # the boundary of this process
        traceback.print_exc()
    finally:
        try:
            # As Python itself ends, and multiprocessing its forks.
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
            logging.shutdown()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(OSError, ValueError):
                    stream.flush()
        finally:
            os._exit(status)


def _prepare(title: str) -> None:
    os.setsid()
    atexit._clear()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    set_title(title)


def set_title(title: str) -> None:
    """Have `ps` and `top` show this text for this process, where the kernel lets us."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_NAME, title.encode()[:_MAX_NAME_BYTES], 0, 0, 0)
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_AT]), int(fields[_ARGUMENTS_END_AT])
        if start < end:
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(
                start, title.encode()[: end - start - 1], min(len(title.encode()), end - start - 1)
            )
