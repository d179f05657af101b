"""What a capture process does for a camera that sleeps, in place of what it does for others."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ninjacam.capture.camera import WATCH_EVERY_S
from ninjacam.capture.process import CaptureProcess
from ninjacam.core.packets import CameraState, Packet, Track
from ninjacam.core.streams import MAIN
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.clock import FakeClock
from tests.unit.capture.test_sleeping import Battery
from tests.unit.sources.test_publish import in_loop


@pytest.mark.parametrize("sleeps", [False, True])
@in_loop
async def test_a_camera_that_sleeps_is_not_asked_for_events(tmp_path: Path, sleeps: bool) -> None:
    process = CaptureProcess(name="capture-1", run_dir=tmp_path, orphan_s=1)
    device = asdict(SourceConfig("http://127.0.0.1:9/onvif/device_service", sleeps=sleeps))
    await process._control("door", {"device": device})
    try:
        assert list(process._devices) == ["door"]  # It takes commands.
        assert (list(process._events) == []) is sleeps
    finally:
        await process._control("door", {})
    assert not process._devices and not process._events and not process._tasks


class FakeSink:
    def begin(self, tracks: tuple[Track, ...]) -> None: ...
    def add(self, packet: Packet) -> None: ...
    def annotate(self, packet: Packet) -> None: ...
    def keep(self, windows: Any, before_s: float) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...
    def status(self) -> dict[str, Any]:
        return {}


class FakeSinks:
    def open(self, slug: str) -> FakeSink:
        return FakeSink()

    def report(self) -> list[dict[str, Any]]:
        return []


@pytest.mark.parametrize(
    ("record", "windows_s", "asleep_after_s"),
    [
        ("always", [], None),  # Also while the schedule says so.
        ("events", [], 0),
        ("events", [(-60, -30)], 0),
        ("events", [(-60, -30), (-5, 10)], 10),
    ],
)
@in_loop
async def test_recording_needs_a_camera_that_sleeps_always_or_during_an_event(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record: str,
    windows_s: list[tuple[int, int]],
    asleep_after_s: float | None,
) -> None:
    """Nothing is assigned when an event ends: the end of its window counts."""
    process = CaptureProcess(name="capture-1", run_dir=tmp_path, orphan_s=1, sinks=FakeSinks())
    clock = FakeClock()
    battery = Battery(clock, tmp_path, monkeypatch, MAIN, sleeps=True)
    battery.error = None
    process._streams["door"] = battery.capture
    running = asyncio.create_task(battery.capture.run())
    now_ns = clock.wall_ns()
    keep = [(now_ns + start * 10**9, now_ns + end * 10**9) for start, end in windows_s]
    process._record({"slug": "door", "record": record, "keep": keep})
    try:
        await clock.run(1)
        assert len(battery.attempts_s) == (asleep_after_s != 0)
        if asleep_after_s != 0:
            await battery.film(8.5)
            await clock.run(0.5 + WATCH_EVERY_S + 0.5)  # Not long enough to lose the camera.
            assert (battery.capture.state is CameraState.ASLEEP) is (asleep_after_s is not None)
    finally:
        await battery.capture.stop()
        await clock.run(1)
        await running
