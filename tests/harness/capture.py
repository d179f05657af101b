"""A capture process without an engine. The test sends its assignments."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import cast

from ninjacam.recordings.segments import SegmentInfo
from ninjacam.supervision.control import ControlClient, Json
from tests.harness.fair_clock import fair_s

PERIOD_S = 2


class CaptureChild:
    """`segments`: the latest report for each path."""

    def __init__(self, run_dir: Path, process: "subprocess.Popen[bytes]") -> None:
        self.process = process
        self.segments: dict[str, SegmentInfo] = {}
        self.report: Json = {}
        self._client = ControlClient(run_dir / "capture-1.control", self._on_report, lambda: None)

    def _on_report(self, report: Json) -> None:
        self.report = report
        for values in report["segments"]:
            segment = SegmentInfo.from_dict(values)
            self.segments[segment.path] = segment

    async def connect(self) -> None:
        deadline = fair_s() + 20
        while not await self._client.connect():
            assert self.process.poll() is None and fair_s() < deadline
            await asyncio.sleep(0.02)

    def assign(
        self, url: str, record: str, keep: Sequence[tuple[int, int]] = (), before_s: float = 0
    ) -> None:
        self._client.send(
            {"op": "assign", "cameras": [self._camera("door", url, record, keep, before_s, ["127.0.0.0/8"])]}
        )

    def assign_all(self, urls: dict[str, str], networks: Sequence[str]) -> None:
        """Assign cameras by name, without recording."""
        cameras = [self._camera(slug, url, "off", (), 0, networks) for slug, url in urls.items()]
        self._client.send({"op": "assign", "cameras": cameras})

    def _camera(
        self,
        slug: str,
        url: str,
        record: str,
        keep: Sequence[tuple[int, int]],
        before_s: float,
        networks: Sequence[str],
    ) -> Json:
        return {
            "slug": slug,
            "camera_id": 1,
            "revision": "1",
            "source": {"url": url, "allowed_networks": list(networks)},
            "record": record,
            "keep": keep,
            "before_s": before_s,
        }

    @property
    def camera(self) -> Json:
        return cast(Json, self.report.get("cameras", {}).get("door", {}))

    async def until(self, condition: Callable[[], object], seconds: float = 20) -> None:
        deadline = fair_s() + seconds
        while not condition():
            assert self.process.poll() is None, "the capture process has ended"
            assert fair_s() < deadline, f"not within {seconds} s: {self.report}"
            await asyncio.sleep(0.05)

    async def stop(self) -> None:
        self._client.send({"op": "stop"})
        assert await asyncio.to_thread(self.process.wait, 5) == 0


@contextlib.asynccontextmanager
async def capture(
    directory: Path, url: str, *, before: Sequence[str] = (), record: str = "always", period_s: int = PERIOD_S
) -> AsyncIterator[CaptureChild]:
    """`url`: if empty, the test calls `assign` later. `before`: a command that runs the process."""
    run_dir = directory / "run"
    run_dir.mkdir(exist_ok=True)
    argv = [
        *before, sys.executable, "-m", "ninjacam.processes.capture_worker", "--name", "capture-1", "--run-dir",
        str(run_dir), "--recordings-dir", str(directory / "recordings"), "--period-s", str(period_s),
    ]  # fmt: skip
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)  # noqa: ASYNC220 (to be killed, by its pid)
    child = CaptureChild(run_dir, process)
    try:
        await child.connect()
        if url:
            child.assign(url, record)
        yield child
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
