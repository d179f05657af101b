"""What recording adds to a capture process: `python -m benchmarks.recording [--cameras 16] [--seconds 15]`.

One capture process, cameras of 720p25 at 3 Mbit/s with a key frame each 2 s, on this machine; first without recording,
then with it. Prints the CPU of the capture process alone, and what was written against the media that came.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.proc import cpu_seconds
from ninjacam.hub.control import ControlClient, Json
from ninjacam.recordings.layout import iter_paths


class _Capture:
    def __init__(self, directory: Path, urls: list[str]) -> None:
        self._urls = urls
        self.report: Json = {}
        run_dir = directory / "run"
        run_dir.mkdir()
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "ninjacam.engine.capture_worker", "--name", "capture-1", "--run-dir",
                str(run_dir), "--recordings-dir", str(directory / "recordings"),
            ],
            stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self._client = ControlClient(run_dir / "capture-1.control", self._on_report, lambda: None)

    def _on_report(self, report: Json) -> None:
        self.report = report

    async def connect(self) -> None:
        for _ in range(400):
            if await self._client.connect():
                return
            await asyncio.sleep(0.05)
        raise SystemExit("The capture process does not start.")

    def assign(self, record: str) -> None:
        cameras = [
            {
                "slug": f"cam-{number}",
                "camera_id": number,
                "revision": "1",
                "source": {"url": url, "allowed_networks": ["127.0.0.0/8"]},
                "record": record,
            }
            for number, url in enumerate(self._urls)
        ]
        self._client.send({"op": "assign", "cameras": cameras})

    async def measure(self, seconds: float) -> tuple[float, float]:
        """(CPU in % of one core, media in bytes/s)."""
        await asyncio.sleep(4)
        before = cpu_seconds(self.process.pid)
        rates: list[float] = []
        for _ in range(int(seconds)):
            await asyncio.sleep(1)
            rates.append(sum(each["bitrate_bps"] for each in self.report["cameras"].values()) / 8)
        return (cpu_seconds(self.process.pid) - before) / seconds * 100, sum(rates) / len(rates)


async def _run(cameras: int, seconds: float, urls: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        capture = _Capture(directory, urls)
        try:
            await capture.connect()
            capture.assign("off")
            off, _ = await capture.measure(seconds)
            capture.assign("always")
            await asyncio.sleep(2)
            written = _size_bytes(directory / "recordings")
            on, media = await capture.measure(seconds)
            rate = (_size_bytes(directory / "recordings") - written) / (seconds + 4)
            lost = sum(each["packets_lost"] for each in capture.report["cameras"].values())
            dropped = sum(each["recording"]["dropped"] for each in capture.report["cameras"].values())
        finally:
            capture.process.terminate()
            capture.process.wait()
    print(f"{cameras} cameras of 720p25, {media * 8 / cameras / 1e6:.2f} Mbit/s each, {seconds:g} s")
    print(f"capture alone      {off:6.2f} % of a core, {off / cameras:.3f} % a camera")
    print(f"capture, recording {on:6.2f} % of a core, {on / cameras:.3f} % a camera")
    print(f"recording adds     {(on - off) / cameras:6.3f} % of a core a camera")
    print(
        f"written {rate / 1e6:.2f} MB/s, {rate / media:.3f} x the media; packets lost {lost}, left out {dropped}"
    )


def _size_bytes(root: Path) -> int:
    return sum((root / path).stat().st_size for path in iter_paths(root))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cameras", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=15)
    arguments = parser.parse_args()
    camera = subprocess.Popen(
        [
            sys.executable, "-m", "ninjacam.testing.camera", "--port", "0", "--mounts", str(arguments.cameras),
            "--seconds", "4", "--no-stamp",
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert camera.stdout is not None
        urls = json.loads(camera.stdout.readline())["urls"]
        asyncio.run(_run(arguments.cameras, arguments.seconds, urls))
    finally:
        camera.terminate()
        camera.wait()


if __name__ == "__main__":
    main()
