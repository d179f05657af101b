"""Measure the speed of a backtest and of the motion search, as multiples of real time, with the users' commands.

python -m benchmarks.backtest
"""

import json
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.stage import Figures, Plan
from ninjacam.backtest.motion_search import search_motion
from ninjacam.backtest.movements import Region
from ninjacam.backtest.parts import RecordedFile
from tests.harness.backtests import ONE_BY_ONE, backtest, ninjacam, record_video
from tests.harness.recordings import NOON_NS

RUNS = 3
REPEATS = 15
"""Recordings of 35 minutes."""
CODE = """
from ninjacam import Box, Processor, processor
from ninjacam.motion import MotionDetector


@processor
class EveryFrame(Processor):
    def setup(self, camera, options):
        self.detector = MotionDetector()

    def process(self, frame):
        areas = self.detector.update(frame.gray, frame.captured_ns)
        return [Box(area.left, area.top, area.right, area.bottom, "motion") for area in areas]
"""


def missing() -> str:
    return "" if ONE_BY_ONE.exists() else "../shared has no media"


def measure_backtest(plan: Plan) -> Figures:
    """Ignores `plan`: the video has a fixed length. Uses the fastest of three runs.

    Other processes slow some runs down.
    """
    with tempfile.TemporaryDirectory() as directory:
        data = Path(directory)
        (data / "cameras.py").write_text(CODE)
        (data / "cameras.py").chmod(0o600)
        found: Figures = {}
        for name in ("motion", "every_frame"):
            runs = [backtest(data, name, "--file", str(ONE_BY_ONE)) for _ in range(RUNS)]
            found[name] = max((run["timing"] for run in runs), key=lambda timing: float(timing["speed"]))
        found["search"] = _measure_search(data)
        return found


def _measure_search(data: Path) -> dict[str, Any]:
    ninjacam(data, "add", "door", "rtsp://127.0.0.1:1/", "--no-check", "--force")
    made = record_video(data / "recordings", ONE_BY_ONE, repeats=REPEATS)
    files = [RecordedFile(str(each.path), each.segment.start_ns, each.segment.end_ns) for each in made]
    length_s = (files[-1].end_ns - NOON_NS) / 1e9
    speeds = []
    for _ in range(RUNS):
        begun_s = time.monotonic()
        found = search_motion(files, NOON_NS, files[-1].end_ns, Region(0.0, 0.3, 1.0, 1.0))
        speeds.append(length_s / (time.monotonic() - begun_s))
    start, end = (
        datetime.fromtimestamp(at_ns / 1e9, UTC).isoformat() for at_ns in (NOON_NS, files[-1].end_ns)
    )
    ninjacam(data, "index", "--rebuild")
    begun_s = time.monotonic()
    printed = ninjacam(data, "motion-search", "door", "--from", start, "--to", end, "--json").stdout
    command_s = time.monotonic() - begun_s
    assert json.loads(printed)["key_frames"] == found.key_frames
    return {
        "speed": round(max(speeds)),
        "command_speed": round(length_s / command_s),
        "key_frames": found.key_frames,
        "movements": len(found.movements),
    }


if __name__ == "__main__":
    print(json.dumps(measure_backtest(Plan()), indent=2))
