"""A process that exits while OpenCV still runs in a daemon thread."""

import subprocess
import sys

import pytest

BUSY = """
import sys, threading, time
import cv2, numpy
from ninjacam.core.limits import leave

cv2.setNumThreads(1)
image = numpy.zeros((1080, 1920, 3), numpy.uint8)

def run():
    while True:
        cv2.GaussianBlur(image, (31, 31), 0)

threading.Thread(target=run, daemon=True).start()
time.sleep(0.2)
print("the last words", end="")
"""


def end(words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", BUSY + words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_process_exits_with_its_status_and_flushes_its_output() -> None:
    done = end("leave(3)")
    assert (done.returncode, done.stdout, done.stderr) == (3, "the last words", "")


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python 3.14 lets such threads hang instead")
def test_without_it_python_aborts() -> None:
    """Depends on a race.

    The thread must return from OpenCV after the interpreter has ended and before the process has.
    """
    for _ in range(10):
        done = end("")
        if done.returncode:
            break
    assert done.returncode < 0 and "terminate called without an active exception" in done.stderr
