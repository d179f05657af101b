"""Measure the CPU time of tracking, counting and visits per frame, and of the assignment alone.

python -m benchmarks.tracking
"""

import statistics
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from ninjacam import Box
from ninjacam.tracking import LineCounter, Tracker, Visits, ZoneOccupancy
from ninjacam.tracking.assignment import assign

Input = TypeVar("Input")
Output = TypeVar("Output")

START_NS, FRAME_NS = 1_700_000_000_000_000_000, 100_000_000
FRAMES = 60
WIDTH_PX, HEIGHT_PX = 1280, 720
LINE = [(640, 720), (640, 0)]
POLYGON = [(200, 200), (1000, 150), (1100, 700), (100, 650)]


def make_frames(count: int) -> list[list[Box]]:
    """Return frames with `count` jittering, moving boxes. A tenth of them is missing; a tenth has a low score."""
    random = np.random.default_rng(7)
    places = random.uniform((50, 100), (WIDTH_PX - 50, HEIGHT_PX - 100), (count, 2))
    speeds = random.uniform(-6, 6, (count, 2))
    frames = []
    for number in range(FRAMES):
        centers = places + speeds * number + random.normal(0, 1, (count, 2))
        scores = np.where(random.random(count) < 0.1, 0.2, 0.9)
        shown = np.flatnonzero(random.random(count) >= 0.1)
        frames.append(
            [
                Box(x - 20, y - 50, x + 20, y + 50, "person", score)
                for (x, y), score in zip(centers[shown].tolist(), scores[shown].tolist(), strict=True)
            ]
        )
    return frames


def show(name: str, update: Callable[[Input, int], Output], inputs: list[Input]) -> list[Output]:
    """Print the median and the 95th percentile of the CPU time of `update`. Return its results."""
    results, took_us = [], []
    for number, each in enumerate(inputs):
        begun_ns = time.process_time_ns()
        results.append(update(each, START_NS + number * FRAME_NS))
        took_us.append((time.process_time_ns() - begun_ns) / 1000)
    p95_us = sorted(took_us)[int(0.95 * len(took_us))]
    print(f"{name:34}{statistics.median(took_us):6.0f} us{p95_us:6.0f} us")
    return results


def main() -> None:
    print(f"{'':34}{'median':>9}{'p95':>9}")
    for count in (10, 50, 300):
        frames = make_frames(count)
        followed = show(f"Tracker, {count} boxes", Tracker(max_trail=16).update, frames)
        show(f"LineCounter, {count} boxes", LineCounter(LINE).update, followed)
        show(f"ZoneOccupancy, {count} boxes", ZoneOccupancy(POLYGON).update, followed)
        show(f"Visits, {count} boxes", Visits().update, followed)
    random = np.random.default_rng(3)
    problems = [random.random((50, 50)) for _ in range(FRAMES)]
    show("assignment, 50 x 50, all pairs", lambda gains, _: assign(gains), problems)


if __name__ == "__main__":
    main()
