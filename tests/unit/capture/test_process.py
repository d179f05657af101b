"""What a capture process does for a camera that sleeps, in place of what it does for others."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from ninjacam.capture.process import CaptureProcess
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.packets import Packet, Track
from ninjacam.sources.base import SourceConfig
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


class FakeCapture:
    sink: FakeSink | None = None
    needed: bool | None = None

    def record_to(self, sink: FakeSink | None) -> None:
        self.sink = sink

    def set_recording_need(self, needed: bool) -> None:
        self.needed = needed


@pytest.mark.parametrize(
    ("record", "windows_s", "needed"),
    [
        ("always", [], True),  # Also while the schedule says so.
        ("events", [], False),
        ("events", [(-60, -30)], False),
        ("events", [(-60, -30), (-5, 10)], True),
    ],
)
def test_recording_needs_the_camera_always_or_during_an_event(
    tmp_path: Path, record: str, windows_s: list[tuple[int, int]], needed: bool
) -> None:
    process = CaptureProcess(name="capture-1", run_dir=tmp_path, orphan_s=1, sinks=FakeSinks())
    capture = FakeCapture()
    process._streams["door"] = capture  # type: ignore[assignment]  # as far as it is used
    now_ns = SYSTEM_CLOCK.wall_ns()
    keep = [(now_ns + start * 10**9, now_ns + end * 10**9) for start, end in windows_s]
    process._record({"slug": "door", "record": record, "keep": keep})
    assert capture.sink is not None and capture.needed is needed
