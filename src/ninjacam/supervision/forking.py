"""Forks children that share the memory of their parent's imports. Linux only; `can_fork` is False elsewhere.

Only a process with one thread may fork: locks that other threads hold would stay locked in the child.
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
"""linux/prctl.h: sets the name of the calling thread; for the main thread, that of the process."""
_MAX_NAME_BYTES = 15
_ARGUMENTS_AT, _ARGUMENTS_END_AT = 45, 46
"""Positions of arg_start and arg_end (fields 48 and 49 in proc(5)) after the command's name in /proc/self/stat."""


def can_fork() -> bool:
    """Return whether this process has one thread, native ones included."""
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


class ForkedProcess:
    """A forked child, with the methods of `subprocess.Popen` that supervision needs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status in the form of `Popen.returncode`, or None while the process runs."""
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
        if self.poll() is None:  # Not reaped, so the pid still belongs to it.
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
    """Fork a child that runs `main` and exits. It has its own session and no standard input.

    `main`: runs with this process's imports, settings and open files, and with default signal handling. The traceback
    of an exception is printed; SystemExit sets the exit status. `atexit` functions of the parent do not run.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # Otherwise a garbage collection in the child would copy the shared pages.
    pid = os.fork()
    if pid == 0:
        _run(main, title)
    return ForkedProcess(pid)


def _run(main: Callable[[], None], title: str) -> NoReturn:
    """Run in the child. Never returns to the parent's code, whose `finally` blocks must not run twice."""
    status = 1
    try:
        _prepare(title)
        main()
        status = 0
    except SystemExit as exc:
        status = exc.code if isinstance(exc.code, int) else int(exc.code is not None)
        if isinstance(exc.code, str):
            sys.stderr.write(f"{exc.code}\n")
    except BaseException:  # The boundary of this process.
        traceback.print_exc()
    finally:
        try:
            # As Python does at exit, and multiprocessing in its forks.
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
    """Set the text that `ps` and `top` show for this process, if the kernel permits it."""
    with contextlib.suppress(OSError, ValueError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_NAME, title.encode()[:_MAX_NAME_BYTES], 0, 0, 0)
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(fields[_ARGUMENTS_AT]), int(fields[_ARGUMENTS_END_AT])
        if start < end:
            ctypes.memset(start, 0, end - start)
            ctypes.memmove(
                start, title.encode()[: end - start - 1], min(len(title.encode()), end - start - 1)
            )
