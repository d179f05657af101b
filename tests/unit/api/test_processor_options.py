"""Options of processors in the API. tests/e2e/test_views.py validates them for real."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.actions import processor_options as actions
from ninjacam.core.options import MAX_VALUES_BYTES
from ninjacam.models import Camera
from ninjacam.queries import processor_options as queries
from ninjacam.queries.status import Status
from ninjacam.vision.failure_cases import failure_path
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/api/v1/cameras/door/options/edges"
SCHEMA = {
    "type": "object",
    "properties": {"low": {"type": "integer", "default": 80}, "text": {"type": "string"}},
}
STATUS = Status(
    engine_running=True,
    processors=(
        {
            "name": "edges",
            "module": "site.cameras",
            "cameras": ["*"],
            "description": "Canny edges.",
            "options": SCHEMA,
        },
        {"name": "blur", "cameras": ["yard"], "options": SCHEMA},
        {"name": "plain", "cameras": ["*"], "options": None},
    ),
    views={"door": {"edges": {"option_problems": {"low": "Too low."}}}},
)


@pytest.fixture
def owner(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> Client:
    monkeypatch.setattr(queries, "read_status", lambda: STATUS)
    monkeypatch.setattr(actions, "run_module", check)
    return with_role("owner", camera, "configure")


def check(module: str, question: bytes, *_: Any, bare: bool) -> bytes | None:
    assert not bare, "the user's settings may read any variable"
    asked = json.loads(question)
    assert (asked["module"], asked["processor"]) == ("site.cameras", "edges")
    match asked["values"].get("text"):
        case "hang":
            return None
        case "crash":
            return b""
        case "broken":
            return b'{"error": "The option has no value."}'
    wrong = {name: "It does not fit." for name, value in asked["values"].items() if value == "wrong"}
    return json.dumps({"values": asked["values"], "problems": wrong}).encode()


def patch(client: Client, values: Any) -> Any:
    return client.patch(PATH, data=json.dumps({"values": values}), content_type="application/json")


def test_options_are_listed_with_schema_values_and_problems(owner: Client) -> None:
    (item,) = owner.get("/api/v1/cameras/door/options").json()["items"]
    assert item == {
        "processor": "edges", "description": "Canny edges.", "options_schema": SCHEMA, "values": {},
        "problems": {"low": "Too low."},
    }  # fmt: skip
    assert owner.get(PATH).json() == item
    for name in ("blur", "plain", "nothing"):
        assert owner.get(f"/api/v1/cameras/door/options/{name}").status_code == 404


def test_pages_of_options_follow_each_other(owner: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["a", "b", "c"]
    processors = tuple({"name": name, "cameras": ["*"], "options": SCHEMA} for name in names)
    monkeypatch.setattr(queries, "read_status", lambda: Status(engine_running=True, processors=processors))
    found: list[str] = []
    after: str | None = ""
    for _ in names:
        page = owner.get(f"/api/v1/cameras/door/options?limit=1&after={after}").json()
        found += [item["processor"] for item in page["items"]]
        after = page["next"]
    assert (found, after) == (names, None)


def test_a_change_is_stored_and_audited_and_null_resets(
    owner: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    before = camera.spec()
    with caplog.at_level("INFO", "ninjacam.audit"):
        assert patch(owner, {"low": 12, "text": "secret words"}).json()["values"]["low"] == 12
    line = next(r.getMessage() for r in caplog.records if "processor.options" in r.getMessage())
    assert "edges" in line and "low" in line and "secret words" not in line
    assert patch(owner, {"text": None}).json()["values"] == {"low": 12}
    camera.refresh_from_db()
    after = camera.spec()
    assert after.options == {"edges": {"low": 12}}
    assert after != before and after.revision == before.revision, "capture must not restart"
    patch(owner, {"low": None})
    camera.refresh_from_db()
    assert camera.processor_options is None


def test_values_that_do_not_fit_change_nothing_and_are_named(owner: Client, camera: Camera) -> None:
    answer = patch(owner, {"low": "wrong", "text": "wrong"})
    assert answer.status_code == 422
    assert {each["field"] for each in answer.json()["errors"]} == {"low", "text"}
    camera.refresh_from_db()
    assert camera.processor_options is None
    Camera.objects.update(processor_options={"edges": {"low": "wrong"}})
    assert patch(owner, {"text": "fits"}).status_code == 200, "an old problem prevents no other change"


@pytest.mark.parametrize(
    "values",
    [
        {"text": "hang"},
        {"text": "crash"},
        {"text": "broken"},
        {"text": "x" * MAX_VALUES_BYTES},
        {"low": float("nan")},
        {"text": "\0"},
        "no",
    ],
)
def test_what_cannot_be_checked_is_refused(owner: Client, camera: Camera, values: Any) -> None:
    assert patch(owner, values).status_code == 422
    camera.refresh_from_db()
    assert camera.processor_options is None


def test_only_the_role_configure_sees_and_changes_them(owner: Client, camera: Camera, viewer: User) -> None:
    for client in (signed_in(viewer), with_role("guard", camera, "control")):
        assert client.get(PATH).status_code == patch(client, {"low": 3}).status_code == 403
        assert client.get("/api/v1/cameras/door/options").status_code == 403


def test_the_frame_of_a_failure_is_for_users_who_may_configure(
    admin_user: User, camera: Camera, run_dir: Path
) -> None:
    client = signed_in(admin_user)
    url = f"/api/v1/cameras/{camera.slug}/views/edges/failure"
    assert client.get(url).status_code == 404
    kept = failure_path(run_dir, camera.slug, "edges")
    kept.parent.mkdir()
    kept.write_bytes(b"PK a zip")
    answer = client.get(url)
    assert answer.content == b"PK a zip" and answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"] == 'attachment; filename="door-edges-failure.zip"'
    assert answer["Cache-Control"] == "no-store"
    for view in ("..", "%2e%2e%2fdoor", "Edges", "a" * 51, "other"):
        assert client.get(f"/api/v1/cameras/{camera.slug}/views/{view}/failure").status_code in (404, 422)
    assert with_role("guest", camera, "control").get(url).status_code == 403
    stranger = User.objects.create_user("stranger")
    assert signed_in(stranger).get(url).status_code == 404
