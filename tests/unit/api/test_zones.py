"""Zones in the API: roles, limits, audit log. Their delivery to processors: tests/e2e/test_views.py."""

import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.core.zones import MAX_POINTS, MAX_ZONES
from ninjacam.models import Camera, CameraZone
from tests.unit.api.test_device import with_role
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db
PATH = "/api/v1/cameras/door/zones"
SQUARE = [[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]
PORCH = {
    "name": "porch", "kind": "zone", "points": SQUARE, "inertia_s": 0.5, "loitering_s": 30.0, "preset": "1",
    "color": "#ff0000",
}  # fmt: skip


@pytest.fixture
def owner(camera: Camera) -> Client:
    return with_role("owner", camera, "configure")


def send(client: Client, method: str, path: str, body: Any) -> Any:
    return client.generic(method, path, json.dumps(body), content_type="application/json")


def test_a_zone_is_added_changed_renamed_and_removed(
    owner: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "ninjacam.audit"):
        added = send(owner, "POST", PATH, PORCH)
        assert (added.status_code, added.json()) == (201, PORCH)
        assert owner.get(f"{PATH}/porch").json() == PORCH
        assert owner.get(PATH).json() == {"items": [PORCH], "next": None}
        changed = send(owner, "PATCH", f"{PATH}/porch", {"name": "lawn", "kind": "mask", "inertia_s": 0})
        assert changed.json() == {**PORCH, "name": "lawn", "kind": "mask", "inertia_s": 0}
        assert owner.get(f"{PATH}/porch").status_code == 404
        assert send(owner, "PATCH", f"{PATH}/lawn", {}).status_code == 200
        assert owner.delete(f"{PATH}/lawn").status_code == 204
    assert not CameraZone.objects.exists()
    records = [json.loads(each.getMessage()) for each in caplog.records if each.name == "ninjacam.audit"]
    assert [(each["verb"], each["subject"], each["zone"]) for each in records] == [
        ("zone.create", "door", "porch"), ("zone.update", "door", "porch"), ("zone.update", "door", "lawn"),
        ("zone.delete", "door", "lawn"),
    ]  # fmt: skip


def test_the_defaults_need_only_a_name_and_points(owner: Client) -> None:
    added = send(owner, "POST", PATH, {"name": "a", "points": SQUARE[:3]}).json()
    assert added == {
        "name": "a", "kind": "zone", "points": SQUARE[:3], "inertia_s": 0, "loitering_s": 0, "preset": "",
        "color": "#4aa8ff",
    }  # fmt: skip


def test_names_are_unique_for_a_camera(owner: Client, yard: Camera) -> None:
    assert send(owner, "POST", PATH, PORCH).status_code == 201
    CameraZone.objects.create(camera=yard, name="porch", points=SQUARE)
    again = send(owner, "POST", PATH, PORCH)
    assert again.status_code == 409 and "“porch”" in again.json()["detail"]
    assert send(owner, "POST", PATH, {**PORCH, "name": "lawn"}).status_code == 201
    assert send(owner, "PATCH", f"{PATH}/lawn", {"name": "porch"}).status_code == 409
    assert send(owner, "PATCH", f"{PATH}/lawn", {"name": "lawn"}).status_code == 200
    assert [zone["name"] for zone in owner.get(PATH).json()["items"]] == ["lawn", "porch"]


def test_pages_of_zones_follow_each_other(owner: Client, camera: Camera) -> None:
    names = ["a", "b", "c"]
    for name in reversed(names):
        CameraZone.objects.create(camera=camera, name=name, points=SQUARE)
    found: list[str] = []
    after: str | None = ""
    for _ in names:
        page = owner.get(f"{PATH}?limit=1&after={after}").json()
        found += [item["name"] for item in page["items"]]
        after = page["next"]
    assert (found, after) == (names, None)


def test_a_camera_has_at_most_32_zones(owner: Client, camera: Camera) -> None:
    CameraZone.objects.bulk_create(
        CameraZone(camera=camera, name=f"z{number}", points=SQUARE) for number in range(MAX_ZONES)
    )
    refused = send(owner, "POST", PATH, PORCH)
    assert (refused.status_code, refused.json()["code"]) == (409, "quota")
    assert owner.delete(f"{PATH}/z0").status_code == 204
    assert send(owner, "POST", PATH, PORCH).status_code == 201


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""), ("name", "a b"), ("name", "A"), ("name", "a\x00"), ("name", "a\u202e"), ("name", "a" * 31),
        ("name", "a\n"), ("name", 7), ("name", None), ("kind", "polygon"), ("kind", None),
        ("points", SQUARE[:1]), ("points", [[0, 0]] * (MAX_POINTS + 1)), ("points", [[0, 0, 0]] * 3),
        ("points", [[0]] * 3), ("points", [[[0]], [[0]], [[0]]]), ("points", "0,0"), ("points", None), ("points", {}),
        ("points", [[0, 0], [1, 0], [1.001, 1]]), ("points", [[0, 0], [1, 0], [float("nan"), 1]]),
        ("points", [[0, 0], [1, 0], [float("inf"), 1]]), ("points", [[0, 0], [1, 0], [1e308, 1]]),
        ("points", [[0, 0], [1, 0], [10**400, 1]]), ("points", [[0, 0], [1, 0], [None, 1]]),
        ("points", [[0, 0], [1, 0], [True, 1]]), ("points", [[0, 0], [1, 0], ["1", 1]]), ("loitering_s", False),
        ("inertia_s", -1), ("inertia_s", 61), ("inertia_s", float("nan")), ("inertia_s", float("inf")),
        ("loitering_s", 1e308), ("loitering_s", None), ("loitering_s", [[]]),
        ("preset", "x" * 65), ("preset", "\x7f"), ("color", "red"), ("color", "#12345"), ("color", ""),
        ("unknown", 1),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused(owner: Client, field: str, value: Any) -> None:
    send(owner, "POST", PATH, PORCH)
    for method, path, body in (
        ("POST", PATH, {**PORCH, "name": "other", field: value}),
        ("PATCH", f"{PATH}/porch", {field: value}),
    ):
        refused = send(owner, method, path, body)
        assert refused.status_code == 422, (method, refused.content)
        assert any(each["field"].startswith(field) for each in refused.json()["errors"])
    assert owner.get(PATH).json()["items"] == [PORCH]


def test_an_area_needs_three_points_and_a_line_two(owner: Client) -> None:
    two = {**PORCH, "points": SQUARE[:2]}
    for kind in ("zone", "mask"):
        refused = send(owner, "POST", PATH, {**two, "kind": kind})
        assert refused.status_code == 422
        assert refused.json()["errors"] == [{"field": "points", "message": f"A {kind} has 3 to 100 points."}]
    assert send(owner, "POST", PATH, {**two, "kind": "line"}).status_code == 201
    assert send(owner, "PATCH", f"{PATH}/porch", {"kind": "zone"}).status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "points": ' + b"[" * 100_000,
        b'{"name": "a", "points": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"name": "a", "points": [[0, 0], [1, 0], [1e999999, 1]]}',
        b'{"name": "a", "points": [' + b"[0.5, 0.5]," * 200_000 + b"[0, 0]]}",
        b'{"name": "' + b"a" * 10_000_000 + b'"}',
        b"",
        b"\xff",
    ],
    ids=["unclosed", "nested", "exponent", "many points", "10 MB", "empty", "not UTF-8"],
)
def test_a_hostile_body_is_refused(owner: Client, body: bytes) -> None:
    answer = owner.generic("POST", PATH, body, content_type="application/json")
    assert 400 <= answer.status_code < 500
    assert not CameraZone.objects.exists()


def test_viewers_read_zones_and_only_users_who_may_configure_change_them(
    owner: Client, camera: Camera, viewer: User, stranger: User
) -> None:
    send(owner, "POST", PATH, PORCH)
    assert signed_in(viewer).get(PATH).json()["items"] == [PORCH]
    assert signed_in(viewer).get(f"{PATH}/porch").json() == PORCH
    for client in (signed_in(viewer), with_role("guard", camera, "control")):
        assert send(client, "POST", PATH, {**PORCH, "name": "b"}).status_code == 403
        assert send(client, "PATCH", f"{PATH}/porch", {"kind": "mask"}).status_code == 403
        assert client.delete(f"{PATH}/porch").status_code == 403
    for method in ("GET", "PATCH", "DELETE"):
        assert send(signed_in(stranger), method, f"{PATH}/porch", {}).status_code == 404
    assert owner.get(PATH).json()["items"] == [PORCH]


def test_zones_are_removed_with_their_camera_and_follow_its_new_name(owner: Client, camera: Camera) -> None:
    send(owner, "POST", PATH, PORCH)
    send(owner, "PATCH", "/api/v1/cameras/door", {"slug": "gate"})
    assert owner.get("/api/v1/cameras/gate/zones").json()["items"] == [PORCH]
    Camera.objects.get().delete()
    assert not CameraZone.objects.exists()
