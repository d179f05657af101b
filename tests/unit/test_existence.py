"""An invisible camera and a nonexistent one get identical responses, on every route found in the resolver.

Live streams, recordings and WebSockets: tests/integration/test_live_access.py.
"""

import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ninjacam.models import (
    Camera,
    CameraGrant,
    CameraZone,
    Event,
    EventCall,
    Export,
    Profile,
    ProfileOverride,
    PublishKey,
    Segment,
    ValueSeries,
    VapidKey,
)
from ninjacam.models.snapshot import snapshot_path
from tests.unit.conftest import signed_in, undone, with_token
from tests.unit.test_routes import BACKTEST, BODIES, HOUR_AGO, NOW, OPERATIONS, PAGES, Route, url_of

SLUG = "vault"
SPAN = {"start": HOUR_AGO, "end": NOW}
_VARIES = re.compile(rb"\b[A-Za-z0-9]{64}\b|data-since=\"[^\"]+\"|\"created_at\": ?\"[^\"]+\"")
"""The CSRF token, the time of the page, and the time of a row that the request creates."""
CLOCKS = {"get_timeline"}
"""Without a time range, their responses contain one that ends now."""

MORE_BODIES = {"create_token": {"name": "x", "scopes": [f"view:{SLUG}"]}}

Answer = tuple[int, list[tuple[str, str]], bytes]


@pytest.fixture
def vault(run_dir: Path, viewer: User, admin_user: User) -> dict[str, Any]:
    """Create a camera with all related objects, which only `admin_user` may see."""
    camera = Camera(slug=SLUG, name="The vault")
    camera.set_source("rtsp://10.9.9.9/secret")
    camera.save()
    processors = [
        {"name": "edges", "module": "site.cameras", "cameras": ["*"], "options": {"type": "object"}},
        {"name": "coins", "module": "site.cameras", "cameras": [SLUG, "door"]},
        {"name": "gold", "module": "site.cameras", "cameras": [SLUG]},
    ]
    status = {
        "updated_ns": time.time_ns(),
        "cameras": {SLUG: {"state": "live"}, "door": {"state": "live"}},
        "processors": processors,
        "views": {SLUG: {"gold": {"state": "running"}}},
    }
    (run_dir / "status.json").write_text(json.dumps(status))
    now_ns = time.time_ns()
    segment = Segment.objects.create(
        slug=SLUG, path=f"{SLUG}/2026-11-22/08/00-00.mp4", start_ns=now_ns - 10**11, end_ns=now_ns - 10**10,
        size_bytes=1, codec="h264", width_px=640, height_px=360,
    )  # fmt: skip
    event = Event.objects.create(slug=SLUG, kind="motion", start_ns=now_ns - 10**10, source="user:root")
    EventCall.objects.create(event_id=event.pk, slug=SLUG, processor="gold", due_ns=1)
    snapshot_path(event.pk).parent.mkdir(parents=True, exist_ok=True)
    snapshot_path(event.pk).write_bytes(b"image")
    export = Export.objects.create(slug=SLUG, start_ns=0, end_ns=1, kind="copy", created_by=admin_user)
    backtest = Export.objects.create(slug=SLUG, start_ns=0, end_ns=1, kind="backtest", options=BACKTEST)
    grant = CameraGrant.objects.create(camera=camera, user=admin_user, role="view")
    CameraZone.objects.create(camera=camera, name="lawn", points=[[0, 0], [1, 0], [1, 1]])
    ValueSeries.objects.create(camera=camera, processor="edges", name="area")
    ProfileOverride.objects.create(
        profile=Profile.objects.create(name="away"), camera=camera, record="always"
    )
    VapidKey.get()  # Otherwise each request that is undone makes another one.
    # The viewer has each role for another camera, to pass as many checks as possible.
    for role in ("replay", "export", "control", "configure"):
        CameraGrant.objects.create(camera=Camera.objects.get(slug="door"), user=viewer, role=role)
    return {
        "grant": grant.pk, "token": 10**6, "recording": segment.pk, "event": event.pk, "export": export.pk,
        "backtest": backtest.pk,
        "key": PublishKey.create(Camera.objects.get(slug=SLUG))[0].pk,
    }  # fmt: skip


@contextmanager
def without_vault(run_dir: Path) -> Iterator[None]:
    """Remove the camera with all related objects while the block runs."""
    path = run_dir / "status.json"
    before = path.read_text()
    status = json.loads(before)
    del status["cameras"][SLUG], status["views"][SLUG]
    with undone():
        for model in (Camera, Segment, Event, EventCall, Export):
            model._default_manager.filter(slug=SLUG).delete()
        path.write_text(json.dumps(status))
        yield
    path.write_text(before)


def ask(client: Client, route: Route, method: str, world: dict[str, Any]) -> list[Answer]:
    """Return the responses to the request, and to the one with `?camera=`."""
    path = url_of(route, world).replace("door", SLUG)
    name = route.operations.get(method, "")
    body = json.dumps(MORE_BODIES.get(name, BODIES.get(name, {}))).replace('"door"', f'"{SLUG}"')
    joint = "&" if "?" in path else "?"
    answers: list[Answer] = []
    urls = [path, f"{path}{joint}{urlencode({'camera': SLUG, **SPAN})}"]
    for url in urls[name in CLOCKS :]:
        response = (
            client.generic(method, url)
            if method in ("GET", "HEAD")
            else client.generic(method, url, body, content_type="application/json")
        )
        headers = sorted(each for each in response.headers.items() if each[0] != "Expires")
        answers.append((response.status_code, headers, _VARIES.sub(b"", response.content)))
    return answers


def clients(viewer: User, stranger: User, admin_user: User) -> list[Client]:
    """Return users with other cameras and permissions, a token of one, and an administrator's narrow token."""
    stranger.user_permissions.add(Permission.objects.get(codename="add_camera"))
    return [
        signed_in(stranger),
        signed_in(viewer),
        with_token(viewer, "*"),
        with_token(
            admin_user, *(f"{role}:door" for role in ("view", "replay", "export", "control", "configure"))
        ),
    ]


CALLS = [(route, method, name) for route, method, name in OPERATIONS]
CALLS += [
    (route, method, f"{method} {route.path}")
    for route in PAGES
    for method in ("GET", "HEAD", "POST")
    if not route.path.startswith("admin/")
]


PARTS = 4
"""The calls are divided among tests, which may run in different processes."""


@pytest.mark.parametrize("part", range(PARTS))
def test_hidden_and_missing_cameras_return_identical_bytes(
    part: int,
    vault: dict[str, Any],
    run_dir: Path,
    viewer: User,
    stranger: User,
    admin_user: User,
    subtests: pytest.Subtests,
) -> None:
    everybody = clients(viewer, stranger, admin_user)
    for route, method, name in CALLS[part::PARTS]:
        asking = everybody
        if name in {"list_tokens", "revoke_tokens"}:
            asking = asking[:1]  # the others have tokens, which change when they are used
        if name == "create_camera":
            asking = asking[1:]  # for users who may add cameras: see the test of taken slugs
        with subtests.test(name):
            with undone():
                hidden = [ask(client, route, method, vault) for client in asking]
            with without_vault(run_dir):
                assert [ask(client, route, method, vault) for client in asking] == hidden
    assert {client.get("/api/v1/me").status_code for client in everybody} == {200}


def test_the_walk_finds_the_routes(vault: dict[str, Any], run_dir: Path, admin_user: User) -> None:
    """For users who may see the camera, most of these responses change when it is deleted."""
    client = signed_in(admin_user)
    reading = [(route, name) for route, method, name in CALLS if method == "GET" and "{" not in name]
    before = {name: ask(client, route, "GET", vault) for route, name in reading}
    with without_vault(run_dir):
        changed = {name for route, name in reading if ask(client, route, "GET", vault) != before[name]}
    assert changed >= {
        "list_cameras", "get_camera", "list_views", "list_camera_views", "list_grants", "list_recordings",
        "list_event_processors",
        "get_recording", "get_timeline", "list_events", "get_event", "get_event_snapshot", "list_exports", "get_export",
        "list_annotations", "list_zones", "get_zone", "GET cameras/<slug:slug>/zones/",
        "GET ", "GET cameras/<slug:slug>/", "GET cameras/<slug:slug>/edit/",
    }  # fmt: skip


def test_processors_list_only_cameras_that_the_user_may_view(
    vault: dict[str, Any], viewer: User, admin_user: User
) -> None:
    shown = signed_in(viewer).get("/api/v1/processors").json()["items"]
    assert {item["name"]: item["cameras"] for item in shown} == {"edges": ["door"], "coins": ["door"]}
    everything = signed_in(admin_user).get("/api/v1/processors").json()["items"]
    assert {item["name"]: item["cameras"] for item in everything} == {
        "edges": ["*"], "coins": [SLUG, "door"], "gold": [SLUG]
    }  # fmt: skip


def test_a_taken_short_name_is_reported_only_to_users_who_may_view_the_camera(
    vault: dict[str, Any], viewer: User, stranger: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "ninjacam.actions.cameras.STOP_TIMEOUT_S", 0
    )  # There is no engine that stops the camera.
    for user in (viewer, stranger):
        user.user_permissions.add(Permission.objects.get(codename="add_camera"))
    body = {"slug": SLUG, "url": "rtsp://10.0.0.7/"}
    for user in (viewer, stranger):
        answer = signed_in(user).post("/api/v1/cameras", body, content_type="application/json")
        assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "slug"
        assert "already" not in answer.content.decode()
        page = signed_in(user).post("/add-camera/", {**body, "transport": "tcp", "record": "off"})
        assert page.status_code == 422 and "already" not in page.content.decode()
    known = signed_in(viewer).post(
        "/api/v1/cameras", {**body, "slug": "door"}, content_type="application/json"
    )
    assert known.status_code == 409


def test_a_missing_role_is_named_in_the_403_of_the_api_and_pages_and_links(
    vault: dict[str, Any], stranger: User
) -> None:
    """One role makes the camera known. Streams: tests/integration/test_live_access.py."""
    CameraGrant.objects.create(camera=Camera.objects.get(slug=SLUG), user=stranger, role="replay")
    client = signed_in(stranger)
    link = {"camera": SLUG, "kind": "snapshot"}
    refused = {
        "view": [client.get(f"/api/v1/cameras/{SLUG}"), client.get(f"/cameras/{SLUG}/"),
                 client.get(f"/api/v1/cameras/{SLUG}/views"),
                 client.post("/api/v1/links", link, content_type="application/json")],
        "configure": [client.patch(f"/api/v1/cameras/{SLUG}", {}, content_type="application/json"),
                      client.get(f"/cameras/{SLUG}/edit/"), client.get(f"/cameras/{SLUG}/delete/")],
        "export": [client.get(f"/api/v1/exports?camera={SLUG}"), client.get(f"/api/v1/exports/{vault['export']}")],
        "control": [client.delete(f"/api/v1/events/{vault['event']}")],
    }  # fmt: skip
    for role, answers in refused.items():
        for answer in answers:
            assert answer.status_code == 403
            is_problem = answer["Content-Type"] == "application/problem+json"
            text = answer.json()["detail"] if is_problem else answer.content.decode()
            assert f"role “{role}”" in text
