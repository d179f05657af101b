"""Measure the missing end of a recording after its process was killed, or after a power cut."""

import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from benchmarks.clips import cache_dir
from benchmarks.stage import Figures, Plan
from ninjacam.recordings.reader import read_segment
from ninjacam.recordings.repair import repair_newest
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.capture import capture
from tests.harness.power_cut import cut_power, loop_missing
from tests.harness.recorded import by_time


def measure_losses(plan: Plan) -> Figures:
    chance = random.Random(7)
    clip = make_clip(SceneOptions(seconds=4), cache_dir=cache_dir())  # a key frame each 2 s
    with FakeRtspCamera(clip) as camera, tempfile.TemporaryDirectory(prefix="losses-") as name:
        url, directory = camera.url(), Path(name)
        waits_s = [chance.uniform(0.5, 2.5) for _ in range(plan.deaths)]
        figures = {"killed": _summary(asyncio.run(_kill(directory, url, wait_s)) for wait_s in waits_s)}
        if not loop_missing(directory / "try"):
            figures["power"] = _summary(
                _cut(directory / f"cut-{number}", url, wait_s)
                for number, wait_s in enumerate(waits_s[: plan.deaths // 2])
            )
    return figures


def _summary(lost_s: Iterable[float]) -> Figures:
    found = sorted(lost_s)
    return {"deaths": len(found), "p50_s": statistics.median(found), "worst_s": found[-1]}


async def _kill(directory: Path, url: str, wait_s: float) -> float:
    async with capture(directory, url) as child:
        await child.until(lambda: any(segment.open for segment in child.segments.values()))
        await asyncio.sleep(wait_s)
        killed_ns = time.time_ns()
        child.process.kill()
        await asyncio.to_thread(child.process.wait)
    return _missing_s(directory / "recordings", killed_ns)


def _cut(directory: Path, url: str, wait_s: float) -> float:
    root, cut_ns = cut_power(directory, url, wait_s)
    repair_newest(root, "door")
    return _missing_s(root, cut_ns)


def _missing_s(root: Path, ended_ns: int) -> float:
    return (ended_ns - read_segment(by_time(root)[-1], root=root).end_ns) / 1e9
