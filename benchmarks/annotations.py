"""CPU time of validating the annotations of a frame and writing them as JSON, and their size.

python -m benchmarks.annotations
"""

import statistics
import time
from typing import Any

import numpy as np

from ninjacam import Box, Keypoints, Mask, Text
from ninjacam.core.annotations import encode_annotation_set, to_annotation_set

SIZE_PX = 1920, 1080
ROUNDS, CALLS = 15, 300


def make_cases() -> dict[str, list[Any]]:
    boxes = [Box(100.5 + 10 * n, 200.25, 300.75 + 10 * n, 400.125, "person", 0.93) for n in range(10)]
    points = [(20.5 * n, 10.25 * n, 0.9) for n in range(17)]
    y, x = np.mgrid[: SIZE_PX[1], : SIZE_PX[0]]
    ellipse = ((x - 900) / 200) ** 2 + ((y - 500) / 400) ** 2 <= 1
    return {
        "a text and a box": [Text(20, 40, "3 persons"), boxes[0]],
        "10 boxes": boxes,
        "10 boxes with tracks": [Box(1, 2, 300, 400, "person", 0.93, track=n) for n in range(10)],
        "a box with a trail of 64": [Box(1, 2, 300, 400, "person", 0.93, track=7, trail=[(1.5, 2.5)] * 64)],
        "a pose of 17 points": [Keypoints(points, [(n, n + 1) for n in range(16)], "person", 0.93)],
        "a mask of the whole frame": [Mask(ellipse, "person", 0.93)],
    }


def measure(annotations: list[Any]) -> tuple[float, int]:
    """Return the median CPU time in us, and the size in bytes."""
    rounds_us = []
    for _ in range(ROUNDS):
        begun_s = time.process_time()
        for _ in range(CALLS):
            line = encode_annotation_set(
                "faces", 1_700_000_000_123_456_789, to_annotation_set(annotations, *SIZE_PX)
            )
        rounds_us.append((time.process_time() - begun_s) / CALLS * 1e6)
    return statistics.median(rounds_us), len(line)


def main() -> None:
    for name, annotations in make_cases().items():
        cpu_us, size_bytes = measure(annotations)
        print(f"{name:28} {cpu_us:6.0f} us {size_bytes:6} bytes")


if __name__ == "__main__":
    main()
