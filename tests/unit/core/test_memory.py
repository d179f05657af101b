"""Runs in separate processes, because settings of the C library cannot be reset."""

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is configured")

_PICTURES = """
import numpy as np, resource, sys
from ninjacam.core.memory import give_back_freed, keep_freed_frames

def make(times):
    for _ in range(times):
        pictures = [np.full((1080, 1920, 3), 7, np.uint8) for _ in range(4)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() / 1e6

if "keep" in sys.argv:
    keep_freed_frames()
make(3)
before = faults()
make(20)
print((faults() - before) / 20)
print(resident_mb())
give_back_freed()
print(resident_mb())
"""


def run(*arguments: str) -> list[float]:
    """Return [page faults for four images of 1080p, MB resident then, MB resident after they were freed]."""
    command = [sys.executable, "-c", _PICTURES, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return [float(line) for line in done.stdout.split()]


def test_the_next_frame_reuses_the_memory_of_the_last() -> None:
    faults, _, _ = run()
    assert faults > 1000, "the C library has learned it by itself"
    faults, _, _ = run("keep")
    assert faults < 10


def test_free_memory_is_returned_when_idle() -> None:
    _, at_work_mb, idle_mb = run("keep")
    assert at_work_mb - idle_mb > 20
