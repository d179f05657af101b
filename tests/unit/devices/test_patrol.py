"""Patrols with a fake clock, and the socket that ends them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.errors import (
    AuthenticationError,
    CommandRejectedError,
    NinjacamError,
    SourceTimeoutError,
    UnsupportedCommandError,
)
from ninjacam.core.movement import Vector
from ninjacam.devices.client import DeviceConnection
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.patrol import MIN_DWELL_S, Patrol, PatrolPlan, PatrolStep
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.unit.devices.test_server import ask, until

PLAN = PatrolPlan((PatrolStep("a", 10), PatrolStep("b", 20)), "2026-11-30T00:00:00+00:00")


class Tour:
    """Runs a patrol with a fake clock and records its positions."""

    def __init__(self, plan: PatrolPlan = PLAN) -> None:
        self.clock = FakeClock()
        self.start_ns = self.clock.monotonic_ns()
        self.visits: list[tuple[float, str]] = []
        self.errors: dict[str, NinjacamError] = {}
        self.patrol = Patrol("door", plan, self.goto, lambda: None, clock=self.clock)

    async def goto(self, preset: str) -> None:
        self.visits.append(((self.clock.monotonic_ns() - self.start_ns) / 1e9, preset))
        if preset in self.errors:
            raise self.errors[preset]

    def run(self, seconds: float) -> None:
        async def go() -> None:
            task = asyncio.create_task(self.patrol.run())
            await self.clock.run(seconds)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(go())


def test_a_patrol_goes_round_and_stays_at_each_preset() -> None:
    tour = Tour()
    tour.run(45)
    assert tour.visits == [(0, "a"), (10, "b"), (30, "a"), (40, "b")]
    assert tour.patrol.report() == {"state": "running", "step": 1, "error": None}


@pytest.mark.parametrize("error", [CommandRejectedError("No such preset."), SourceTimeoutError("No answer.")])
def test_a_step_that_fails_is_skipped_and_reported(error: NinjacamError) -> None:
    tour = Tour()
    tour.errors = {"b": error}
    tour.run(45)
    assert [preset for _, preset in tour.visits] == ["a", "b", "a", "b"]
    report = tour.patrol.report()
    assert (report["state"], report["error"]["code"]) == ("running", error.code)
    tour.errors = {}
    tour.run(1)
    assert tour.patrol.report()["error"] is None


@pytest.mark.parametrize("error", [AuthenticationError("Wrong."), UnsupportedCommandError("It cannot move.")])
def test_a_rejected_login_ends_a_patrol(error: NinjacamError) -> None:
    """Cameras lock accounts."""
    tour = Tour()
    tour.errors = {"a": error}
    tour.run(1000)
    assert tour.visits == [(0, "a")]
    assert tour.patrol.report()["state"] == "failed"
    tour.patrol.end()
    assert tour.patrol.report()["state"] == "failed"


def test_a_camera_never_moves_without_rest() -> None:
    tour = Tour(PatrolPlan((PatrolStep("a", 0),), ""))
    tour.run(10 * MIN_DWELL_S - 1)
    assert len(tour.visits) == 10


def test_a_plan_survives_json() -> None:
    values = {
        "steps": [{"preset": "a", "dwell_s": 10}, {"preset": "b", "dwell_s": 20}],
        "started_at": PLAN.started_at,
    }
    assert PatrolPlan.of(values) == PLAN and PatrolPlan.of(None) is None


# --- on the socket of a device ---

HOME = PatrolPlan((PatrolStep("1", 3600),), "first")


def patrolled(run_dir: Path, scenario: Callable[[DeviceServer, FakeOnvifCamera], Awaitable[None]]) -> None:
    async def go(camera: FakeOnvifCamera) -> None:
        config = SourceConfig(camera.url, username="admin", password="secret")
        server = DeviceServer(run_dir, "door", OnvifDevice(config))
        await server.start()
        try:
            await scenario(server, camera)
        finally:
            await server.close()

    with FakeOnvifCamera() as camera:
        asyncio.run(go(camera))


def state_of(server: DeviceServer) -> Any:
    return (server.report_patrol() or {}).get("state")


def test_a_plan_begins_once_and_ends_with_its_removal(tmp_path: Path) -> None:
    async def scenario(server: DeviceServer, camera: FakeOnvifCamera) -> None:
        server.set_patrol(HOME)
        await until(lambda: len(camera.named("GotoPreset")) == 1)
        server.set_patrol(PatrolPlan(HOME.steps, HOME.started_at))
        await ask(tmp_path, "describe")
        assert len(camera.named("GotoPreset")) == 1 and state_of(server) == "running"
        server.set_patrol(PatrolPlan(HOME.steps, "again"))
        await until(lambda: len(camera.named("GotoPreset")) == 2)
        server.set_patrol(None)
        assert server.report_patrol() is None

    patrolled(tmp_path, scenario)


@pytest.mark.parametrize(
    ("op", "values", "ends"),
    [
        ("stop", {}, True),
        ("go_home", {}, True),
        ("move_by", {"pan": 0.1}, True),
        ("goto_preset", {"preset": "1"}, True),
        ("set_preset", {"name": "Here"}, False),
        ("describe", {}, False),
    ],
)
def test_a_user_who_moves_the_camera_ends_its_patrol(
    tmp_path: Path, op: str, values: dict[str, Any], ends: bool
) -> None:
    async def scenario(server: DeviceServer, camera: FakeOnvifCamera) -> None:
        server.set_patrol(HOME)
        await until(lambda: bool(camera.named("GotoPreset")))
        await ask(tmp_path, op, **values)
        assert state_of(server) == ("ended" if ends else "running")
        server.set_patrol(PatrolPlan(HOME.steps, HOME.started_at))  # the database does not contain it yet
        assert state_of(server) == ("ended" if ends else "running")

    patrolled(tmp_path, scenario)


def test_a_held_key_ends_a_patrol_and_its_release_alone_does_not(tmp_path: Path) -> None:
    async def scenario(server: DeviceServer, camera: FakeOnvifCamera) -> None:
        server.set_patrol(HOME)
        await until(lambda: bool(camera.named("GotoPreset")))
        connection = DeviceConnection(lambda _: None, lambda: None)
        await connection.open(tmp_path, "door")
        connection.move(Vector(pan=0))
        await ask(tmp_path, "describe")
        assert state_of(server) == "running"
        connection.move(Vector(pan=1))
        await until(lambda: state_of(server) == "ended")
        connection.close()

    patrolled(tmp_path, scenario)
