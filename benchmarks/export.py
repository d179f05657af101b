"""Measure the speed of exports, including the start of the process that makes them.

720p25 H.264 of 3 Mbit/s, generated as files of a minute.
"""

import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.stage import Figures, Plan
from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.recordings import NOON_NS, write_file

CLIP_S = 20
PER_FILE_S = 60
S_NS = 1_000_000_000


def _packets() -> list[Packet]:
    options = SceneOptions(seconds=CLIP_S, gop=50)
    track = make_clip(options).video
    ticks = VIDEO_CLOCK_HZ // options.fps
    return [
        Packet(
            Kind.VIDEO, track.codec, unit.data, number * ticks, 0, duration=ticks,
            flags=Flags.KEY if unit.key else Flags.NONE, captured_ns=NOON_NS + number * S_NS // options.fps,
            width_px=options.width, height_px=options.height,
        )
        for number, unit in enumerate(track.units)
    ]  # fmt: skip


def record(root: Path, minutes: int) -> list[Path]:
    packets = _packets()
    paths = []
    for minute in range(minutes):
        shifted = [
            packet._replace(
                pts=packet.pts + again * CLIP_S * VIDEO_CLOCK_HZ,
                captured_ns=packet.captured_ns + (minute * PER_FILE_S + again * CLIP_S) * S_NS,
            )
            for again in range(PER_FILE_S // CLIP_S)
            for packet in packets
        ]
        paths.append(write_file(root, shifted).path)
    return paths


def export(paths: list[Path], output: Path, seconds: float, **values: Any) -> tuple[float, float, int]:
    """Return (seconds, CPU seconds, bytes)."""
    output.unlink(missing_ok=True)
    question = {
        "camera": "door",
        "paths": [str(path) for path in paths],
        "start_ns": NOON_NS,
        "end_ns": NOON_NS + int(seconds * S_NS),
        "output": str(output),
        **values,
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began_s = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "ninjacam.processes.export_job", "--parent", str(os.getpid())],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    said, _ = process.communicate(json.dumps(question).encode())
    took_s = time.monotonic() - began_s
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = json.loads(said.splitlines()[-1])["result"]
    assert result["sha256"] == hashlib.sha256(output.read_bytes()).hexdigest()
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took_s, cpu_s, int(result["size_bytes"])


def measure_export(plan: Plan) -> Figures:
    timelapse = {"kind": "timelapse", "speed": 60.0, "fps": 25, "clock": True}
    figures: Figures = {}
    with tempfile.TemporaryDirectory(prefix="export-") as name:
        paths = record(Path(name), plan.export_minutes)
        for what, minutes, values in (
            ("copy", plan.export_minutes, {"kind": "copy"}),
            ("timelapse", plan.export_minutes, timelapse),
            ("burned", 1, {"kind": "burned", "clock": True}),
        ):
            seconds = minutes * PER_FILE_S
            took_s, cpu_s, size_bytes = export(paths, Path(name) / "export.mp4", seconds, **values)
            figures[what] = {
                "minutes": minutes,
                "times_real": seconds / took_s,
                "cpu_s": cpu_s,
                "size_bytes": size_bytes,
            }
    return figures
