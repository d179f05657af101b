"""Measure how long a call of 2 s that holds the interpreter delays the frames of other processors, where it runs.

python -m benchmarks.event_calls
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import cv2
import numpy as np

CALL_S, FPS, CALLS = 2.0, 25, 3
HOLD = f"""
import sys, time
sys.setswitchinterval(1000)
end = time.monotonic() + {CALL_S}
while time.monotonic() < end:
    pass
sys.setswitchinterval(0.005)
"""


def hold_here() -> None:
    exec(HOLD, {})


def hold_in_child(niceness: int) -> Callable[[], None]:
    command = [sys.executable, "-c", f"import os; os.nice({niceness})\n{HOLD}"]

    def call() -> None:
        for process in [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]:
            process.wait()

    return call


def measure(call: Callable[[], None] | None) -> tuple[float, float]:
    """Return the 95th percentile and the maximum, in ms, by which frames of another thread are late."""
    stop, late_ms = threading.Event(), []

    def process_frames() -> None:
        image = np.random.default_rng(1).integers(0, 255, (360, 640), np.uint8)
        due_s = time.monotonic()
        while not stop.is_set():
            due_s += 1 / FPS
            time.sleep(max(0.0, due_s - time.monotonic()))
            cv2.GaussianBlur(image, (9, 9), 0)
            late_ms.append((time.monotonic() - due_s) * 1000)
            due_s = max(due_s, time.monotonic() - 1 / FPS)

    thread = threading.Thread(target=process_frames)
    thread.start()
    for _ in range(CALLS):
        time.sleep(0.3)
        if call is None:
            time.sleep(CALL_S)
        else:
            call()
    stop.set()
    thread.join()
    return float(np.percentile(late_ms, 95)), max(late_ms)


def main() -> None:
    cv2.setNumThreads(1)
    print(
        f"{os.cpu_count()} cores, {FPS} frames per second, {CALLS} calls of {CALL_S:g} s; frames are late by (ms):"
    )
    for name, call in (
        ("no call", None),
        ("in a thread of this process", hold_here),
        ("in a child for each core", hold_in_child(0)),
        ("in a child for each core, nice 10", hold_in_child(10)),
    ):
        p95_ms, max_ms = measure(call)
        print(f"{name:36} p95 {p95_ms:7.1f}   max {max_ms:7.1f}")


if __name__ == "__main__":
    main()
