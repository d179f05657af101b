"""Limits the privileges and resources of a child process before it reads camera data or runs user code."""

import contextlib
import ctypes
import logging
import os
import resource
import selectors
import signal
import sys
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    import subprocess

logger = logging.getLogger("ninjacam.core")

NATIVE_DATA_BYTES = 512 << 20
"""Memory of a process in which FFmpeg reads camera data. FFmpeg takes 30 MB when idle, 10 MB for each thread,
and 200 MB to decode the largest accepted frame (`codecs.sps.MAX_PIXELS`)."""
PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal sent to this process when the thread that started it ends."""
PR_SET_NO_NEW_PRIVS = 38
"""linux/prctl.h: neither this process nor its children can gain privileges by executing a file."""


def confine(*, memory_bytes: int, data_bytes: int | None = None, files: int = 4096) -> None:
    """Disable core dumps and new privileges, and limit the address space and the number of open files. Irreversible;
    call it once at the start.

    `data_bytes`: a limit for private writable memory, separate from the address space, of which C libraries and
    threads reserve much more than they use.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, files)
    _limit(resource.RLIMIT_AS, memory_bytes)
    if data_bytes is not None:
        _limit(resource.RLIMIT_DATA, data_bytes)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        logger.warning("The kernel refused no_new_privs.")


def keep_files_private() -> None:
    """Make files of this process and its children private to this user: umask 077."""
    os.umask(0o077)


def leave(status: int = 0) -> NoReturn:
    """End this process although threads may still run native code: flush, then exit without Python's finalization.

    Up to Python 3.13, finalization ends a daemon thread by pthread_exit when its C call returns. In OpenCV, this
    happens inside a C++ destructor, so the process aborts with "terminate called without an active exception". The
    threads cannot be joined, because user code may never return.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def die_with_parent(parent_pid: int) -> None:
    """Send SIGTERM to this process when its parent ends. Call between fork and exec; get `parent_pid` before
    the fork."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:  # The parent ended before prctl().
        os._exit(1)


def die_with_named_parent() -> None:
    """Call `die_with_parent` with the process that the first argument `--parent` names. Without it, do nothing."""
    if sys.argv[1:2] == ["--parent"]:
        die_with_parent(int(sys.argv[2]))


def has_ended(process: "subprocess.Popen[bytes]", timeout_s: float = 0.0) -> bool:
    """Return whether a process has ended, after waiting for up to `timeout_s`. Call `kill_session` afterwards.

    Unlike `Popen.poll` and `Popen.wait`, it does not reap the process. Afterwards, its number might be that of another
    session, so its children could not be killed.
    """
    if process.returncode is not None:
        return True
    descriptor = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            return bool(selector.select(timeout_s))
    finally:
        os.close(descriptor)


def kill_session(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that was started with `start_new_session`, and its children that have not left the session.
    Idempotent.
    """
    if process.returncode is None:  # Later, its number may be that of another process.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # A stricter limit is already in force.
        resource.setrlimit(what, (most, most))
