"""Cameras that sleep, and streams that have failed: when they are connected, and what is reported meanwhile."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ninjacam.capture import camera as capture_camera
from ninjacam.capture.camera import FAILED_BACKOFF, SLEEP_BACKOFF, CameraCapture
from ninjacam.core.errors import (
    AuthenticationError,
    HostNotFoundError,
    NinjacamError,
    ProtocolError,
    SourceTimeoutError,
)
from ninjacam.core.packets import CameraState
from ninjacam.core.streams import MAIN
from ninjacam.recordings.writer import RecordingWriter
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import START_NS
from tests.unit.capture.test_camera import Film, OpenCamera, a_viewer, until

S = CameraState


class Battery:
    """A camera. `error`: of an attempt to connect; None: it is awake."""

    def __init__(
        self, clock: FakeClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stream: str, sleeps: bool
    ) -> None:
        self.clock = clock
        self.error: NinjacamError | None = HostNotFoundError("192.168.1.9 cannot be reached from here.")
        self.attempts_s: list[float] = []
        self.opened: list[OpenCamera] = []
        self.states: list[CameraState] = []
        self.path = tmp_path / ("door.packets" if stream == MAIN else f"door.{stream}.packets")
        monkeypatch.setattr(capture_camera, "open_source", self._open)
        self.capture = CameraCapture(
            slug="door",
            stream=stream,
            camera_id=1,
            source=SourceConfig("rtsp://camera.example/", sleeps=sleeps),
            revision="1",
            run_dir=tmp_path,
            on_change=lambda: self.states.append(self.capture.state),
            clock=clock,
        )

    async def _open(self, *_: object, **__: object) -> Source:
        self.attempts_s.append(self.clock.monotonic_ns() / 1e9)
        if self.error is not None:
            raise self.error
        self.opened.append(OpenCamera())
        return self.opened[-1]

    @property
    def notices(self) -> list[str]:
        return [notice["code"] for notice in self.capture.status()["notices"]]

    async def film(self, seconds: float) -> None:
        await until(self.clock, lambda: self.opened and self.opened[-1].deliver)
        await Film(self.opened[-1], self.clock).run(seconds)


@pytest.fixture
def run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Callable[[Battery], Awaitable[None]]], None]:
    def run_it(go: Callable[[Battery], Awaitable[None]], *, stream: str = MAIN, sleeps: bool = True) -> None:
        async def run_once() -> None:
            clock = FakeClock(monotonic_ns=START_NS)
            battery = Battery(clock, tmp_path, monkeypatch, stream, sleeps)
            running = asyncio.create_task(battery.capture.run())
            await clock.run()
            try:
                await go(battery)
            finally:
                await battery.capture.stop()
                await clock.run(1)
                await running

        asyncio.run(run_once())

    return run_it


Run = Callable[..., None]


def test_a_sleeping_camera_is_not_contacted_until_someone_watches(run: Run) -> None:
    async def go(battery: Battery) -> None:
        await battery.clock.run(24 * 3600)
        assert (battery.attempts_s, battery.states, battery.capture.state) == ([], [], S.ASLEEP)
        assert battery.notices == []
        battery.error = None
        viewer = await a_viewer(battery.path)
        await battery.film(2)
        assert battery.states[-2:] == [S.CONNECTING, S.LIVE]
        viewer.close()
        await until(battery.clock, lambda: not battery.capture.status()["subscribers"])
        await until(battery.clock, lambda: battery.capture.state is S.ASLEEP)
        await battery.clock.run(24 * 3600)
        assert len(battery.attempts_s) == 1

    run(go)


@pytest.mark.parametrize("error", [HostNotFoundError("no route"), SourceTimeoutError("no answer")])
def test_a_camera_that_does_not_answer_is_asleep_and_not_broken(run: Run, error: NinjacamError) -> None:
    async def go(battery: Battery) -> None:
        battery.error = error
        viewer = await a_viewer(battery.path)
        await until(battery.clock, lambda: len(battery.attempts_s) == 6, 120)
        assert set(battery.states) == {S.CONNECTING, S.ASLEEP} and battery.states[0] is S.CONNECTING
        assert S.CONNECTING not in battery.states[1:]
        assert battery.capture.status()["error"] is None and battery.notices == ["asleep"]
        waits_s = [b - a for a, b in pairwise(battery.attempts_s)]
        assert waits_s[0] >= 1 and waits_s[-1] >= 0.7 * SLEEP_BACKOFF.max_s
        battery.error = None
        await battery.film(1)
        assert battery.states[-1] is S.LIVE and battery.notices == []
        viewer.close()

    run(go)


def test_a_new_viewer_does_not_wait_for_the_next_attempt(run: Run) -> None:
    async def go(battery: Battery) -> None:
        first = await a_viewer(battery.path)
        await until(battery.clock, lambda: len(battery.attempts_s) == 5, 120)
        before_s = battery.attempts_s[-1]
        second = await a_viewer(battery.path)
        await until(battery.clock, lambda: len(battery.attempts_s) == 6)
        assert battery.attempts_s[-1] - before_s < 0.5 * SLEEP_BACKOFF.max_s
        first.close()
        second.close()

    run(go)


def test_a_sleeping_camera_is_left_alone_when_its_viewers_have_gone(run: Run) -> None:
    async def go(battery: Battery) -> None:
        viewer = await a_viewer(battery.path)
        await until(battery.clock, lambda: len(battery.attempts_s) == 2)
        viewer.close()
        await until(battery.clock, lambda: not battery.capture.status()["subscribers"])
        await battery.clock.run(60)
        attempts = len(battery.attempts_s)
        await battery.clock.run(24 * 3600)
        assert len(battery.attempts_s) == attempts <= 4
        assert battery.capture.state is S.ASLEEP and battery.notices == []

    run(go)


def test_a_camera_that_falls_asleep_while_it_is_watched_is_asleep(run: Run) -> None:
    async def go(battery: Battery) -> None:
        battery.error = None
        viewer = await a_viewer(battery.path)
        await battery.film(3)
        battery.error = SourceTimeoutError("no answer")
        await until(battery.clock, lambda: battery.capture.state is S.ASLEEP)
        assert [*dict.fromkeys(battery.states)] == [S.CONNECTING, S.LIVE, S.STALLED, S.ASLEEP]
        viewer.close()

    run(go)


def test_a_wrong_password_is_an_error_also_for_a_camera_that_sleeps(run: Run) -> None:
    async def go(battery: Battery) -> None:
        battery.error = AuthenticationError("The camera rejects the user name or password: check both.")
        viewer = await a_viewer(battery.path)
        await until(battery.clock, lambda: battery.capture.state is S.FAILED)
        await battery.clock.run(24 * 3600)
        assert len(battery.attempts_s) == 1
        assert battery.capture.status()["error"]["code"] == "authentication_failed"
        viewer.close()

    run(go)


def test_other_errors_are_retried_and_reported(run: Run) -> None:
    async def go(battery: Battery) -> None:
        battery.error = ProtocolError("The camera sent a malformed answer.")
        viewer = await a_viewer(battery.path)
        await until(battery.clock, lambda: len(battery.attempts_s) == 4)
        assert battery.capture.state is S.RECONNECTING
        viewer.close()
        await until(battery.clock, lambda: battery.capture.state is S.ASLEEP)
        assert battery.capture.status()["error"] is None

    run(go)


def test_recording_wakes_a_camera_only_when_it_is_due(run: Run, tmp_path: Path) -> None:
    async def go(battery: Battery) -> None:
        battery.error = None
        battery.capture.need_recording(0)
        battery.capture.record_to(writer.open("door"))
        await battery.clock.run(3600)
        assert battery.attempts_s == []
        battery.capture.need_recording(math.inf)  # An event, or the schedule.
        await battery.film(3)
        assert battery.states[-1] is S.LIVE
        battery.capture.need_recording(0)
        await until(battery.clock, lambda: battery.capture.state is S.ASLEEP)

    writer = RecordingWriter(tmp_path / "recordings")
    run(go)
    writer.close()
    assert writer.join(5)


def test_a_stream_that_failed_is_connected_again_when_something_needs_it(run: Run) -> None:
    """Someone may have corrected the camera's settings, not ours."""

    async def go(battery: Battery) -> None:
        battery.error = AuthenticationError("The camera rejects the user name or password: check both.")
        viewer = await a_viewer(battery.path)
        await until(battery.clock, lambda: battery.capture.state is S.FAILED)
        viewer.close()
        await until(battery.clock, lambda: not battery.capture.status()["subscribers"])
        await battery.clock.run(1.3 * FAILED_BACKOFF.first_s)
        assert battery.capture.state is S.IDLE and battery.capture.status()["error"] is None
        await battery.clock.run(3600)
        assert len(battery.attempts_s) == 1
        battery.error = None
        viewer = await a_viewer(battery.path)
        await battery.film(1)
        assert battery.states[-1] is S.LIVE
        viewer.close()

    run(go, stream="sub", sleeps=False)


def test_a_stream_that_keeps_failing_is_connected_less_and_less_often(run: Run) -> None:
    async def go(battery: Battery) -> None:
        battery.error = AuthenticationError("The camera rejects the user name or password: check both.")
        viewer = await a_viewer(battery.path)
        await battery.clock.run(1)
        await until(battery.clock, lambda: battery.attempts_s)
        await battery.clock.run(24 * 3600)
        waits_s = [b - a for a, b in pairwise(battery.attempts_s)]
        assert waits_s[0] >= 0.8 * FAILED_BACKOFF.first_s and waits_s[-1] >= 0.8 * FAILED_BACKOFF.max_s
        assert 40 < len(battery.attempts_s) < 70
        viewer.close()

    run(go, stream="sub", sleeps=False)


def test_a_main_stream_that_failed_stays_failed(run: Run) -> None:
    async def go(battery: Battery) -> None:
        battery.error = AuthenticationError("The camera rejects the user name or password: check both.")
        await until(battery.clock, lambda: battery.capture.state is S.FAILED)
        attempts = len(battery.attempts_s)
        await battery.clock.run(24 * 3600)
        assert len(battery.attempts_s) == attempts and battery.capture.state is S.FAILED

    run(go, sleeps=False)
