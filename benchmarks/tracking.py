"""CPU time of tracking, counting and visits per frame, and of the assignment alone.

python -m benchmarks.tracking
"""

import statistics
import time
from collections.abc import Callable

import numpy as np

from ninjacam import Box
from ninjacam.tracking import LineCounter, Tracker, Visits, ZoneOccupancy
from ninjacam.tracking.assignment import assign

START_NS, FRAME_NS = 1_700_000_000_000_000_000, 100_000_000
FRAMES = 60
WIDTH_PX, HEIGHT_PX = 1280, 720
LINE = [(640, 720), (640, 0)]
POLYGON = [(200, 200), (1000, 150), (1100, 700), (100, 650)]


def make_frames(count: int) -> list[list[Box]]:
    """Return frames with `count` boxes that move and tremble; a tenth of them is missing, a tenth is weak."""
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


def measure(call: Callable[[int], object], calls: int) -> tuple[float, float]:
    """Return the median and the 95th percentile of the CPU time in us. `call` receives 0, 1, 2 …"""
    took_us = []
    for number in range(calls):
        begun_ns = time.process_time_ns()
        call(number)
        took_us.append((time.process_time_ns() - begun_ns) / 1000)
    return statistics.median(took_us), sorted(took_us)[int(0.95 * calls)]


def main() -> None:
    print(f"{'':34}{'median':>9}{'p95':>9}")
    for count in (10, 50, 300):
        frames = make_frames(count)
        tracker = Tracker(max_trail=16)
        followed: list[list[Box]] = []
        times_ns = [START_NS + number * FRAME_NS for number in range(FRAMES)]

        def track(
            number: int,
            tracker: Tracker = tracker,
            followed: list[list[Box]] = followed,
            frames: list[list[Box]] = frames,
            times_ns: list[int] = times_ns,
        ) -> None:
            followed.append(tracker.update(frames[number], times_ns[number]))

        show(f"Tracker, {count} boxes", measure(track, FRAMES))
        for name, update in (
            ("LineCounter", LineCounter(LINE).update),
            ("ZoneOccupancy", ZoneOccupancy(POLYGON).update),
            ("Visits", Visits().update),
        ):
            figures = measure(lambda n, update=update: update(followed[n], times_ns[n]), FRAMES)  # type: ignore[misc]
            show(f"{name}, {count} boxes", figures)
    random = np.random.default_rng(3)
    problems = [random.random((50, 50)) for _ in range(60)]
    show("assignment, 50 x 50, all pairs", measure(lambda n: assign(problems[n]), 60))


def show(name: str, figures_us: tuple[float, float]) -> None:
    print(f"{name:34}{figures_us[0]:6.0f} us{figures_us[1]:6.0f} us")


if __name__ == "__main__":
    main()
