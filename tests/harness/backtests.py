"""Recordings of real videos, and `ninjacam backtest` as a process."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Flags, Kind, Packet
from ninjacam.testing.clips import load_clip
from tests.harness.processes import python
from tests.harness.recordings import NOON_NS, Made, write_files

MEDIA = Path(__file__).resolve().parents[3] / "shared" / "media"
ONE_BY_ONE = MEDIA / "one-by-one-person-detection.mp4"
"""Six people, 139 s, 10 fps, a key frame each second, with B-frames."""


def packets_of(path: Path, *, repeats: int = 1) -> list[Packet]:
    """Return the frames of a video file as camera packets, repeated several times."""
    clip = load_clip(path)
    track = clip.video
    packets: list[Packet] = []
    for number in range(repeats):
        for unit in track.units:
            sent, pts = (
                round((each + number * clip.duration_s) * VIDEO_CLOCK_HZ)
                for each in (unit.sent_s, unit.pts_s)
            )
            captured_ns = NOON_NS + pts * 10**9 // VIDEO_CLOCK_HZ
            packets.append(
                Packet(
                    Kind.VIDEO, track.codec, unit.data, pts, captured_ns,
                    duration=round(VIDEO_CLOCK_HZ / clip.fps), dts_offset=pts - sent,
                    flags=Flags.KEY if unit.key else Flags.NONE, captured_ns=captured_ns, sequence=len(packets),
                    width_px=track.width_px, height_px=track.height_px,
                )
            )  # fmt: skip
    return packets


def record_video(root: Path, path: Path, *, slug: str = "door", repeats: int = 1) -> list[Made]:
    """Write the recording as files of about a minute each, starting at NOON_NS."""
    return write_files(root, packets_of(path, repeats=repeats), 60, slug=slug)


def ninjacam(data: Path, *arguments: str, timeout_s: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run a `ninjacam` command to completion."""
    environment = {
        **os.environ,
        "NINJACAM_DATA": str(data),
        "DJANGO_SETTINGS_MODULE": "ninjacam.site.settings",
    }
    return subprocess.run(
        python("-m", "ninjacam", *arguments),
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )


def backtest(data: Path, *arguments: str, timeout_s: float = 120) -> dict[str, Any]:
    """Return the result as JSON. Raises: AssertionError: the command printed no result."""
    done = ninjacam(data, "backtest", *arguments, "--json", timeout_s=timeout_s)
    assert done.stdout, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result
