"""What the C library does with memory that is freed. Where it is not glibc, all of this does nothing."""

import ctypes
from typing import Any

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
"""malloc.h"""
_MAX_PICTURE_BYTES = 32 << 20
"""4K as BGR is 25 MB; more than this mallopt(3) does not promise to take."""
_MAX_FREE_BYTES = 128 << 20


def _glibc(name: str) -> Any:
    return getattr(ctypes.CDLL(None), name, lambda *_: 0)


def keep_freed_pictures() -> None:
    """Have the memory of a picture used again for the next, for good. For a process that makes pictures, before it
    starts threads: they share what is free, which would else be kept for each.

    By itself glibc gives so much at once back to the kernel, which must then clear every page of the next picture:
    1080p in four views are 100,000 page faults a second, a sixth of the CPU.
    """
    mallopt = _glibc("mallopt")
    mallopt(_M_MMAP_THRESHOLD, _MAX_PICTURE_BYTES)
    mallopt(_M_TRIM_THRESHOLD, _MAX_FREE_BYTES)
    mallopt(_M_ARENA_MAX, 1)


def give_back_freed() -> None:
    """To the kernel, now: for a process that has nothing to do for a while. Takes milliseconds."""
    _glibc("malloc_trim")(0)
