"""Layouts of the wall."""

import re
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ninjacam.models import Camera, CameraGrant, WallLayout
from ninjacam.models.wall_layout import MAX_LAYOUTS
from tests.unit.api.test_device import with_role

pytestmark = pytest.mark.django_db
NEW = "/layouts/new/"


@pytest.fixture
def guard(camera: Camera) -> Client:
    """A user who may view `door` and `gate`, and not `vault`."""
    client = with_role("guard", camera, "view")
    gate = Camera.objects.create(slug="gate", url="rtsp://192.0.2.1/")
    Camera.objects.create(slug="vault", url="rtsp://192.0.2.1/")
    CameraGrant.objects.create(camera=gate, user=User.objects.get(username="guard"), role="view")
    return client


def save(client: Client, name: str, *slugs: str, path: str = NEW, **more: str) -> Any:
    return client.post(path, {"name": name, "camera": list(slugs), "do": "save", **more})


def shown(page: str) -> list[str]:
    return re.findall(r'<ninjacam-player camera="(\w+)"', page)


def choices(page: str) -> list[tuple[str, bool]]:
    return [(slug, bool(on)) for slug, on in re.findall(r'name="camera" value="(\w+)"( checked)?', page)]


def test_the_wall_shows_the_cameras_of_a_layout_in_its_order(guard: Client) -> None:
    assert shown(guard.get("/").content.decode()) == ["door", "gate"]
    saved = save(guard, "Both", "gate", "door", "gate", "nowhere", "vault")
    assert saved.status_code == 302
    page = guard.get(saved["Location"]).content.decode()
    assert shown(page) == ["gate", "door"] and " selected>Both</option>" in page
    layout = WallLayout.objects.get()
    assert f'href="/layouts/{layout.pk}/"' in page
    assert Camera.objects.get(slug="vault").pk not in layout.cameras
    assert save(guard, "One", "gate", path=f"/layouts/{layout.pk}/").status_code == 302
    assert shown(guard.get("/", {"layout": layout.pk}).content.decode()) == ["gate"]
    Camera.objects.get(slug="gate").delete()
    assert "none of the cameras" in guard.get("/", {"layout": layout.pk}).content.decode()
    for unknown in ("99999", "x", "\x00"):
        assert shown(guard.get("/", {"layout": unknown}).content.decode()) == ["door"]


def test_the_page_has_all_cameras_that_the_user_may_view(guard: Client) -> None:
    assert choices(guard.get(NEW).content.decode()) == [("door", True), ("gate", True)]
    save(guard, "One", "gate")
    page = guard.get(f"/layouts/{WallLayout.objects.get().pk}/").content.decode()
    assert choices(page) == [("gate", True), ("door", False)] and 'value="One"' in page


def test_a_wrong_form_keeps_what_was_chosen(guard: Client) -> None:
    save(guard, "Mine", "gate")
    for name, slugs, message in (
        ("Mine", ["gate", "door"], "already have a layout"), ("", ["gate", "door"], "blank"),
        ("New", [], "at least one camera"), ("x" * 51, ["gate"], "50"), ("a\x00b", ["gate"], "Null characters"),
    ):  # fmt: skip
        answer = save(guard, name, *slugs)
        page = answer.content.decode()
        assert answer.status_code == 422 and message in page, name
        assert [slug for slug, on in choices(page) if on] == slugs
    assert WallLayout.objects.count() == 1


def test_only_those_who_may_add_cameras_share_layouts(guard: Client, admin_user: User) -> None:
    assert 'name="shared"' not in guard.get(NEW).content.decode()
    assert save(guard, "Ours", "gate", shared="on").status_code == 422
    user = User.objects.get(username="guard")
    user.user_permissions.add(Permission.objects.get(codename="add_camera"))
    assert save(guard, "Ours", "gate", shared="on").status_code == 302
    layout = WallLayout.objects.get()
    other = with_role("other", Camera.objects.get(slug="door"), "view")
    page = other.get("/", {"layout": layout.pk}).content.decode()
    assert "Ours" in page and shown(page) == [] and f"/layouts/{layout.pk}/" not in page
    for answer in (
        other.get(f"/layouts/{layout.pk}/"),
        save(other, "x", "door", path=f"/layouts/{layout.pk}/"),
    ):
        assert answer.status_code == 404
    assert other.post(f"/layouts/{layout.pk}/", {"do": "delete"}).status_code == 404
    save(guard, "Mine", "gate")
    assert "Mine" not in other.get("/").content.decode()


def test_layouts_are_deleted_and_limited(guard: Client) -> None:
    for number in range(MAX_LAYOUTS):
        assert save(guard, f"L{number}", "gate").status_code == 302
    assert "too many layouts" in save(guard, "More", "gate").content.decode()
    first = WallLayout.objects.first()
    assert first is not None
    assert guard.post(f"/layouts/{first.pk}/", {"do": "delete"})["Location"] == "/"
    assert save(guard, "More", "gate").status_code == 302


def test_a_name_that_another_request_saves_meanwhile_is_refused(
    guard: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(guard, "Both", "gate")
    monkeypatch.setattr(WallLayout, "full_clean", lambda self: None)  # It has not seen the other one.
    refused = save(guard, "Both", "door")
    assert refused.status_code == 422 and "already have a layout" in refused.content.decode()
    assert WallLayout.objects.count() == 1


def test_a_layout_is_deleted_only_after_a_question(guard: Client) -> None:
    save(guard, "Both", "gate")
    page = guard.get(f"/layouts/{WallLayout.objects.get().pk}/").content.decode()
    assert re.search(r'value="delete"[^>]* data-confirm="[^"]+"', page)
