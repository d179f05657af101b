"""What a child process gives up before it listens to a camera or to user code."""

import contextlib
import ctypes
import logging
import os
import resource
import signal
import sys
from typing import NoReturn

logger = logging.getLogger("ninjacam.core")

NATIVE_DATA_BYTES = 512 << 20
"""Memory for a process in which FFmpeg reads what a camera sends. It takes 30 MB when idle, 10 MB for each thread, and
200 MB to decode the largest picture that is accepted (`codecs.sps.MAX_PIXELS`)."""
PR_SET_PDEATHSIG = 1
"""linux/prctl.h: the signal that this process gets when the thread that started it ends, however it ends."""
PR_SET_NO_NEW_PRIVS = 38
"""linux/prctl.h: neither this process nor its children can gain privileges by executing a file."""


def confine(*, memory_bytes: int, data_bytes: int | None = None, files: int = 4096) -> None:
    """No core dumps, no new privileges, bounded address space and open files. For good; call it once, at the start.

    `data_bytes`: a limit for private memory that can be written, besides the address space, of which C libraries and
    threads reserve much more than they use.
    """
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NOFILE, files)
    _limit(resource.RLIMIT_AS, memory_bytes)
    if data_bytes is not None:
        _limit(resource.RLIMIT_DATA, data_bytes)
    if sys.platform == "linux" and ctypes.CDLL(None).prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        logger.warning("the kernel refused no_new_privs")


def keep_files_private() -> None:
    """Let only this user read what this process and its children write: umask 077."""
    os.umask(0o077)


def leave(status: int = 0) -> NoReturn:
    """End this process although threads may still run native code: flush, then exit without Python's finalization.

    Up to Python 3.13 the finalization ends a daemon thread by pthread_exit when its C call returns. In OpenCV that is
    inside a C++ destructor, which must not be left so: the process aborts with "terminate called without an active
    exception". Joining is no way out, because user code need not return.
    """
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def die_with_parent(parent_pid: int) -> None:
    """Get SIGTERM when the parent is gone. For a child between fork and exec; `parent_pid` from before the fork."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != parent_pid:  # it went before we could ask
        os._exit(1)


def _limit(what: int, most: int) -> None:
    hard = resource.getrlimit(what)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    with contextlib.suppress(ValueError, OSError):  # a stricter limit is in force already
        resource.setrlimit(what, (most, most))
