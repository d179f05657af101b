"""The memory of processes, and tuning of the C library's allocator, which does nothing unless it is glibc."""

import ctypes
import os
from pathlib import Path
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""malloc.h"""
_MAX_FRAME_BYTES = 32 << 20
"""Size of a frame that the allocator should reuse. A 4K image in BGR takes 25 MB; mallopt(3) allows no higher
threshold."""
_MAX_FREE_BYTES = 128 << 20


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, lambda *_: 0)


def keep_freed_frames() -> None:
    """Make the allocator reuse the memory of freed images. Call it before starting threads in a process that
    produces images, so that threads share the free memory.

    By default, glibc returns large blocks to the kernel, which must then clear every page of the next image:
    1080p in four views causes 100,000 page faults per second, a sixth of the CPU time.
    """
    mallopt = _glibc("mallopt")
    mallopt(_M_MMAP_THRESHOLD, _MAX_FRAME_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MAX_FREE_BYTES)
    mallopt(_M_ARENA_MAX, 1)


def give_back_freed() -> None:
    """Return free memory to the kernel. Call it before the process becomes idle. Takes milliseconds."""
    _glibc("malloc_trim")(0)


def host_memory_bytes() -> int:
    """Memory of the machine, or of the container if that is less."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
    except OSError:
        return machine
    return min(machine, int(limit)) if limit.isdigit() else machine


def resident_bytes(pid: int | None = None) -> int:
    """Return the memory of a process, of this one by default; 0 if it has ended or there is no /proc."""
    try:
        return int(Path(f"/proc/{pid or 'self'}/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0
