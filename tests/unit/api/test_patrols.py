"""Patrols in the API: permissions, validation, and the end of a patrol."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.actions.ptz import record_movement
from ninjacam.auth import Principal
from ninjacam.devices.patrol import MAX_STEPS, PatrolPlan, PatrolStep
from ninjacam.models import Camera
from ninjacam.queries import patrols
from ninjacam.queries.status import Status
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/api/v1/cameras/door/patrol"
STEPS = [{"preset": "1", "dwell_s": 20}, {"preset": "2", "dwell_s": 10}]


def put(client: Client, steps: Any = STEPS, running: Any = True) -> Any:
    body = json.dumps({"steps": steps, "running": running})
    return client.put(PATH, data=body, content_type="application/json")


@pytest.fixture
def guard(camera: Camera) -> Client:
    return with_role("guard", camera, "control")


def report(monkeypatch: pytest.MonkeyPatch, **found: Any) -> None:
    status = Status(engine_running=True, cameras={"door": {"patrol": found}})
    monkeypatch.setattr(patrols, "read_status", lambda: status)


def test_a_patrol_is_started_and_ended_and_recorded(
    guard: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    assert guard.get(PATH).json() == {
        "steps": [],
        "state": "off",
        "step": None,
        "error": None,
        "ended_by": "",
    }
    with caplog.at_level("INFO", "ninjacam.audit"):
        assert put(guard).json()["state"] == "waiting"
    assert '"verb": "patrol.update", "subject": "door", "by": "guard' in caplog.text
    camera.refresh_from_db()
    assert camera.patrol_started_at is not None
    plan = PatrolPlan((PatrolStep("1", 20), PatrolStep("2", 10)), camera.patrol_started_at.isoformat())
    assert camera.patrol == camera.spec().patrol == plan
    put(guard)
    camera.refresh_from_db()
    assert camera.patrol != plan  # the patrol restarts
    assert put(guard, running=False).json()["state"] == "off"
    camera.refresh_from_db()
    assert camera.patrol is None and guard.get(PATH).json()["steps"] == STEPS


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [{"preset": "", "dwell_s": 20}],
        [{"preset": "1", "dwell_s": 1}],
        [{"preset": "1", "dwell_s": 1e9}],
        [{"preset": "1"}],
        STEPS * MAX_STEPS,
        "nonsense",
    ],
)
def test_a_patrol_that_cannot_run_is_refused(guard: Client, camera: Camera, steps: Any) -> None:
    assert put(guard, steps).status_code == 422
    camera.refresh_from_db()
    assert camera.patrol_steps is None


def test_only_the_role_control_sees_and_starts_a_patrol(camera: Camera) -> None:
    client = with_role("owner", camera, "view")
    assert client.get(PATH).status_code == put(client).status_code == 403


def test_its_state_and_errors_are_shown_by_role(
    guard: Client, camera: Camera, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(guard)
    error = {"code": "timeout", "message": "10.0.0.5 does not answer.", "retryable": True}
    report(monkeypatch, state="running", step=1, error=error)
    found = guard.get(PATH).json()
    assert (found["state"], found["step"], found["error"]["code"]) == ("running", 1, "timeout")
    assert "10.0.0.5" not in found["error"]["message"]
    assert "10.0.0.5" in signed_in(admin_user).get(PATH).json()["error"]["message"]
    report(monkeypatch, state="ended", step=1, error=None)
    assert guard.get(PATH).json()["state"] == "waiting"
    Camera.objects.update(enabled=False)
    report(monkeypatch, state="running", step=1, error=None)
    assert guard.get(PATH).json()["state"] == "waiting"


@pytest.mark.parametrize("command", ["stop", "go_home", "goto_preset", "move_by"])
def test_a_command_ends_the_patrol_and_says_who_sent_it(guard: Client, camera: Camera, command: str) -> None:
    put(guard)
    body = json.dumps({"command": command, "preset": "1", "pan": 0.5})
    guard.post(
        "/api/v1/cameras/door/ptz", data=body, content_type="application/json"
    )  # 503: no engine runs here
    found = guard.get(PATH).json()
    assert found["state"] == "off" and found["ended_by"].startswith("guard")


def test_a_held_key_ends_the_patrol_and_its_release_does_not(
    guard: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    user = User.objects.get(username="guard")
    who = Principal(user, "session")
    put(guard)
    record_movement(who, "door", "released")
    assert guard.get(PATH).json()["state"] == "waiting"
    with caplog.at_level("INFO", "ninjacam.audit"):
        record_movement(who, "door")
        record_movement(who, "door")
    assert caplog.text.count('"verb": "patrol.end", "subject": "door", "by": "guard') == 1
    assert guard.get(PATH).json()["ended_by"].startswith("guard")
    assert put(guard).json()["ended_by"] == ""
