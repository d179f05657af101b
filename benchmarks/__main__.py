"""Measure the figures with required values on this machine, and those of the blog's way for comparison.

  python -m benchmarks [--quick] [--only ROW ...] [--no-seed] [--json FILE]

CPU is user and system time of all processes of the server, in % of one core; cameras and clients are not counted. A
missed figure is marked, but is not a failure.
"""

import argparse
import importlib.metadata
import json
import platform
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from benchmarks import (
    annotated,
    backtest,
    blog,
    chromium,
    discovery,
    floors,
    inference,
    seek,
    streams,
    vision,
)
from benchmarks.attacks import measure_attacks
from benchmarks.export import measure_export
from benchmarks.first_frame import measure_first_frame
from benchmarks.idle import measure_idle
from benchmarks.live import measure_live
from benchmarks.losses import measure_losses
from benchmarks.memory import measure_memory
from benchmarks.meter import load_average
from benchmarks.one_camera import measure_one_camera
from benchmarks.passthrough import measure_passthrough
from benchmarks.phone import measure_phone
from benchmarks.proc import machine
from benchmarks.processes import measure_processes
from benchmarks.ptz import measure_ptz
from benchmarks.publishing import measure_publishing
from benchmarks.recording import measure_recording
from benchmarks.stage import QUICK, Figures, Plan, Stage
from benchmarks.table import ROWS, cells, markdown
from benchmarks.talk import measure_talk
from benchmarks.threads import measure_threads
from benchmarks.timeline import measure_timeline
from tests.harness.cameras import gstreamer_missing

_PACKAGES = (
    "Django",
    "django-ninja",
    "uvicorn",
    "gunicorn",
    "av",
    "opencv-python-headless",
    "simplejpeg",
    "numpy",
)

STAGED: dict[str, Callable[[Stage], Figures]] = {
    "first-frame": measure_first_frame,
    "live": measure_live,
    "passthrough": measure_passthrough,
    "threads": measure_threads,
    "chromium": chromium.measure_chromium,
    "floors": floors.measure_floors,
    "memory": measure_memory,
}
ALONE: dict[str, Callable[[Plan], Figures]] = {
    "processes": measure_processes,
    "idle": measure_idle,
    "one-camera": measure_one_camera,
    "recording": measure_recording,
    "losses": measure_losses,
    "timeline": measure_timeline,
    "seek": seek.measure_seek,
    "streams": streams.measure_streams,
    "export": measure_export,
    "attacks": measure_attacks,
    "discovery": discovery.measure_discovery,
    "inference": inference.measure_inference,
    "backtest": backtest.measure_backtest,
    "vision": vision.measure_vision,
    "annotated": annotated.measure_annotated,
    "ptz": measure_ptz,
    "talk": measure_talk,
    "publishing": measure_publishing,
    "phone": measure_phone,
    "seed": blog.measure_seed,
}
MISSING: dict[str, Callable[[], str]] = {
    "chromium": chromium.missing,
    "floors": floors.missing,
    "annotated": annotated.missing,
    "phone": chromium.missing,
    "seek": seek.missing,
    "discovery": discovery.missing,
    "inference": inference.missing,
    "backtest": backtest.missing,
    "vision": vision.missing,
    "streams": streams.missing,
    "seed": blog.missing,
}


class Run:
    """`figures`, `skipped` (the reasons) and `conditions` by job."""

    def __init__(self, plan: Plan, jobs: list[str]) -> None:
        self.figures: dict[str, Figures] = {}
        self.skipped: dict[str, str] = {}
        self.conditions: dict[str, dict[str, float]] = {}
        self._plan = plan
        self._jobs = jobs

    def measure(self) -> None:
        with Stage(self._plan) as stage:
            for name in (name for name in STAGED if name in self._jobs):
                self._measure(name, lambda name=name: STAGED[name](stage))  # type: ignore[misc]
            stage.close()
            for name in (name for name in ALONE if name in self._jobs):
                self._measure(name, lambda name=name: ALONE[name](self._plan))  # type: ignore[misc]

    def _measure(self, name: str, job: Callable[[], Figures]) -> None:
        why = MISSING[name]() if name in MISSING else ""
        if why:
            self.skipped[name] = f"skipped: {why}"
            return
        started_s, load_before = time.monotonic(), load_average()
        print(f"measuring {name} ...", file=sys.stderr, flush=True)
        try:
            self.figures[name] = job()
        except Exception as error:  # The boundary: a row that fails must not lose the figures of the others.
            print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self.skipped[name] = f"failed: {type(error).__name__}"
        self.conditions[name] = {
            "load_average_before": load_before,
            "load_average_after": load_average(),
            "seconds": round(time.monotonic() - started_s, 1),
        }


def versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "absent"
    return found


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [row.name for row in ROWS]
    parser.add_argument("--quick", action="store_true", help="shorter windows, fewer viewers")
    parser.add_argument("--only", nargs="+", choices=names, metavar="ROW", help=", ".join(names))
    parser.add_argument("--no-seed", action="store_true", help="without the blog's way")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _interrupt)

    rows = [row for row in ROWS if not options.only or row.name in options.only]
    jobs = {row.job for row in rows}
    if not options.no_seed and any(row.seed for row in rows):
        jobs.add("seed")
    started_s = time.monotonic()
    print(machine())
    print(", ".join(f"{name} {version}" for name, version in versions().items()))
    lack = gstreamer_missing()
    print(
        f"camera: {'our own (no GStreamer RTSP server here)' if lack else 'GStreamer RTSP server'}, 720p25",
        flush=True,
    )
    run = Run(QUICK if options.quick else Plan(), sorted(jobs))
    try:
        run.measure()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    shown = [cells(row, run.figures, run.skipped) for row in rows]
    print()
    print(markdown(shown))
    busiest = max((each["load_average_before"] for each in run.conditions.values()), default=0.0)
    print(
        f"\nLoad average before the rows: {busiest:.1f} at most. It took {time.monotonic() - started_s:.0f} s."
    )
    if options.json:
        report = {
            "machine": machine(),
            "versions": versions(),
            "quick": options.quick,
            "conditions": run.conditions,
            "skipped": run.skipped,
            "figures": run.figures,
            "rows": [
                dict(zip(("row", "seed", "must", "measured", "ok"), line, strict=True)) for line in shown
            ],
        }
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
