import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from ninjacam.actions import export_limits
from ninjacam.engine.retention import Disk
from ninjacam.models import Camera, CameraGrant, Export, Segment
from tests.unit.conftest import signed_in, with_token

pytestmark = pytest.mark.django_db
EXPORTS = "/api/v1/exports"
MAX_ACTIVE = 5
NOW_S = int(time.time())
UUID = "1c9e6679-7425-40de-944b-e07fc1f90ae7"


def at(seconds: float) -> str:
    return datetime.fromtimestamp(NOW_S + seconds, UTC).isoformat().replace("+00:00", "Z")


def recorded(slug: str, start_s: float = -600, end_s: float = 0) -> None:
    Segment.objects.create(
        slug=slug, path=f"{slug}/2026-11-22/08/{start_s}.mp4", start_ns=int((NOW_S + start_s) * 1e9),
        end_ns=int((NOW_S + end_s) * 1e9), size_bytes=1, codec="h264", width_px=640, height_px=360,
    )  # fmt: skip


def ask(client: Client, **body: Any) -> Any:
    wanted = {"camera": "door", "start": at(-600), "end": at(0), **body}
    return client.post(EXPORTS, wanted, content_type="application/json")


@pytest.fixture
def exporter(camera: Camera, yard: Camera, stranger: User) -> Client:
    """A user who may export `door`. There are recordings of `door`, `yard` and the deleted `gone`."""
    CameraGrant.objects.create(user=stranger, camera=camera, role="export")
    for slug in ("door", "yard", "gone"):
        recorded(slug)
    return signed_in(stranger)


def test_a_copy_is_queued_and_described(exporter: Client) -> None:
    answer = ask(exporter)
    assert answer.status_code == 201
    told = answer.json()
    export = Export.objects.get()
    assert told == {
        "id": str(export.pk), "camera": "door", "start": at(-600), "end": at(0), "kind": "copy", "options": {},
        "state": "queued", "progress": 0, "attempts": 0, "cancel_requested": False, "error": None,
        "size_bytes": None, "sha256": None, "created_by": "stranger", "created_at": told["created_at"],
        "started_at": None, "finished_at": None, "expires_at": None, "url": None, "download_url": None,
        "download_url_expires_at": None,
    }  # fmt: skip
    assert exporter.get(f"{EXPORTS}/{export.pk}").json() == told
    assert exporter.get(EXPORTS).json() == {"items": [told], "next": None}


@pytest.mark.parametrize(
    ("body", "options"),
    [
        ({"kind": "burned"}, {"clock": True, "view": "", "width_px": None}),
        (
            {"kind": "burned", "clock": False, "view": "edges", "width_px": 640},
            {"clock": False, "view": "edges", "width_px": 640},
        ),
        (
            {"kind": "timelapse", "speed": 60},
            {"speed": 60, "length_s": None, "fps": 25, "width_px": None, "clock": True},
        ),
        (
            {"kind": "timelapse", "length_s": 30, "fps": 10},
            {"speed": None, "length_s": 30, "fps": 10, "width_px": None, "clock": True},
        ),
        ({"kind": "key_frames", "speed": 600}, {"speed": 600, "length_s": None, "fps": 25}),
    ],
)
def test_each_kind_has_its_options(exporter: Client, body: dict[str, Any], options: dict[str, Any]) -> None:
    assert ask(exporter, **body).status_code == 201
    assert Export.objects.get().options == options


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"clock": True}, "clock"),
        ({"kind": "burned", "speed": 3}, "speed"),
        ({"kind": "burned", "view": "../x"}, "view"),
        ({"kind": "timelapse"}, "speed"),
        ({"kind": "timelapse", "speed": 2, "length_s": 3}, "speed"),
        ({"kind": "timelapse", "speed": 1}, "speed"),
        ({"kind": "timelapse", "speed": "NaN"}, "speed"),
        ({"kind": "key_frames"}, "speed"),
        ({"kind": "key_frames", "speed": 60, "clock": True}, "clock"),
        ({"kind": "key_frames", "speed": 60, "start": at(-7 * 86_400 - 60)}, "end"),
        ({"kind": "all"}, "kind"),
        ({"start": at(0), "end": at(0)}, "end"),
        ({"start": at(-86_500), "end": at(0)}, "end"),
        ({"kind": "timelapse", "speed": 60, "start": at(-7 * 86_400 - 60)}, "end"),
        ({"end": at(3600)}, "end"),
        ({"start": at(-9000), "end": at(-8000)}, "start"),
        ({"start": "2026-11-22T08:00:00"}, "start"),
        ({"more": 1}, "more"),
    ],
)
def test_nonsensical_exports_are_rejected(exporter: Client, body: dict[str, Any], field: str) -> None:
    refused = ask(exporter, **body)
    assert refused.status_code == 422
    assert [each["field"] for each in refused.json()["errors"]] == [field]
    assert not Export.objects.exists()


def test_requesting_an_export_requires_the_role_export(
    exporter: Client, viewer: User, stranger: User
) -> None:
    for slug in ("yard", "gone", "never"):
        assert ask(exporter, camera=slug).status_code == 404
    refused = ask(signed_in(viewer))
    assert refused.status_code == 403 and refused.json()["code"] == "forbidden"
    assert ask(with_token(stranger, "replay")).status_code in (403, 404)
    assert ask(with_token(stranger, "export:door")).status_code == 201


def test_exports_of_a_deleted_camera_require_the_role_for_all_cameras(exporter: Client) -> None:
    guard = User.objects.create_user("guard", password="x")
    guard.user_permissions.add(Permission.objects.get(codename="export_camera"))
    client = signed_in(User.objects.get(username="guard"))
    assert ask(client, camera="gone").status_code == 201
    assert [each["camera"] for each in client.get(EXPORTS).json()["items"]] == ["gone"]
    assert exporter.get(EXPORTS).json()["items"] == []
    assert exporter.get(f"{EXPORTS}/{Export.objects.get().pk}").status_code == 404
    Segment.objects.all().delete()  # retention
    assert client.get(f"{EXPORTS}/{Export.objects.get().pk}").status_code == 200


def test_a_user_may_queue_only_a_few_exports(exporter: Client, admin_user: User) -> None:
    for _ in range(MAX_ACTIVE):
        assert ask(exporter).status_code == 201
    refused = ask(exporter)
    assert refused.status_code == 429 and refused.json()["code"] == "limit"
    assert Export.objects.count() == MAX_ACTIVE
    assert ask(signed_in(admin_user)).status_code == 201
    Export.objects.filter(pk__in=Export.objects.values("pk")[:2]).update(state="failed")
    failed = Export.objects.filter(state="failed", created_by__username="stranger").first()
    assert ask(exporter).status_code == 201
    if (
        failed is not None
        and Export.objects.active().filter(created_by=failed.created_by).count() >= MAX_ACTIVE
    ):
        assert exporter.post(f"{EXPORTS}/{failed.pk}/retry").status_code == 429
        failed.refresh_from_db()
        assert failed.state == "failed"


def settings_with(settings: Any, **limits: int) -> None:
    settings.NINJACAM = {**settings.NINJACAM, **limits}


def test_the_limit_of_files_per_user_does_not_affect_others(
    exporter: Client, admin_user: User, settings: Any
) -> None:
    settings_with(settings, EXPORTS_PER_USER=2)
    for _ in range(2):
        assert ask(exporter).status_code == 201
    Export.objects.update(state="done", claim="a" * 32, size_bytes=1)
    refused = ask(exporter)
    assert refused.status_code == 409 and refused.json()["code"] == "quota"
    assert "Delete" in refused.json()["detail"] and Export.objects.count() == 2
    assert ask(signed_in(admin_user)).status_code == 201
    Export.objects.filter(created_by__username="stranger").update(claim="")  # expired: its file is deleted
    assert ask(exporter).status_code == 201


def test_the_exports_of_one_user_use_a_limited_number_of_bytes(exporter: Client, settings: Any) -> None:
    settings_with(settings, EXPORT_BYTES_PER_USER=1000)
    Segment.objects.filter(slug="door").update(size_bytes=600)
    assert ask(exporter).status_code == 201
    refused = ask(exporter)
    assert refused.status_code == 409 and refused.json()["code"] == "quota"
    assert ask(exporter, kind="timelapse", speed=60).status_code == 201, "takes a sixtieth"
    Export.objects.filter(kind="copy").update(state="done", claim="a" * 32, size_bytes=995)
    assert ask(exporter, kind="timelapse", speed=60).status_code == 409


def test_exports_leave_room_for_others_on_a_disk_that_is_nearly_full(
    exporter: Client, admin_user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The watermark is 5 %.
    monkeypatch.setattr(export_limits, "disk_of", lambda directory: Disk(100_000, 5_000))
    Segment.objects.filter(slug="door").update(size_bytes=1200)
    assert [ask(exporter).status_code for _ in range(3)] == [201, 201, 409]
    assert ask(signed_in(admin_user)).status_code == 201


def test_a_waiting_export_is_cancelled_at_once_and_a_running_one_soon(exporter: Client) -> None:
    waiting, running = (ask(exporter).json()["id"] for _ in range(2))
    Export.objects.filter(pk=running).update(state="running")
    told = exporter.post(f"{EXPORTS}/{waiting}/cancel").json()
    assert told["state"] == "cancelled" and told["finished_at"]
    told = exporter.post(f"{EXPORTS}/{running}/cancel").json()
    assert told["state"] == "running" and told["cancel_requested"]
    assert exporter.post(f"{EXPORTS}/{waiting}/cancel").json()["state"] == "cancelled"


def test_only_failed_exports_are_retried(exporter: Client) -> None:
    number = ask(exporter).json()["id"]
    for state, status in {
        "queued": 409,
        "running": 409,
        "done": 409,
        "failed": 200,
        "cancelled": 200,
    }.items():
        error = {"code": "disk_full", "message": "The disk is full.", "retryable": True}
        Export.objects.filter(pk=number).update(state=state, attempts=3, error=error, cancel_requested=True)
        answer = exporter.post(f"{EXPORTS}/{number}/retry")
        assert answer.status_code == status, state
        if status == 200:
            told = answer.json()
            assert (told["state"], told["attempts"], told["error"]) == ("queued", 0, None)
            assert not told["cancel_requested"]


def test_an_export_that_may_not_be_retried_stays_as_it_is(exporter: Client, admin_user: User) -> None:
    number = ask(exporter).json()["id"]
    error = {"code": "disk_full", "message": "The disk is full.", "retryable": True}
    Export.objects.update(
        state="failed", attempts=3, progress=0.5, error=error, cancel_requested=True, handed_over=True,
        finished_at=timezone.now(),
    )  # fmt: skip
    before = Export.objects.values().get()
    admin = signed_in(admin_user)
    for _ in range(MAX_ACTIVE):
        assert ask(admin).status_code == 201
    refused = admin.post(f"{EXPORTS}/{number}/retry")
    assert refused.status_code == 429 and refused.json()["code"] == "limit"
    assert Export.objects.values().get(pk=number) == before
    assert exporter.delete(f"{EXPORTS}/{number}").status_code == 204


def test_exports_of_other_users_are_visible_but_not_changeable(
    exporter: Client, admin_user: User, camera: Camera, stranger: User
) -> None:
    number = ask(signed_in(admin_user)).json()["id"]
    assert exporter.get(f"{EXPORTS}/{number}").status_code == 200
    for answer in (
        exporter.post(f"{EXPORTS}/{number}/cancel"),
        exporter.post(f"{EXPORTS}/{number}/retry"),
        exporter.delete(f"{EXPORTS}/{number}"),
    ):
        assert answer.status_code == 403
    CameraGrant.objects.create(user=stranger, camera=camera, role="configure")
    assert exporter.delete(f"{EXPORTS}/{number}").status_code == 204


@pytest.fixture
def done(exporter: Client, run_dir: Path) -> Export:
    ask(exporter)
    Export.objects.update(
        state="done", claim="c" * 32, size_bytes=3, sha256="ab" * 32,
        expires_at=timezone.now() + timedelta(minutes=10),
    )  # fmt: skip
    export = Export.objects.get()
    path = export.path(run_dir.parent / "exports")
    path.parent.mkdir()
    path.write_bytes(b"mp4")
    return export


def test_a_link_expires_with_its_file(exporter: Client, done: Export) -> None:
    told = exporter.get(f"{EXPORTS}/{done.pk}").json()
    assert told["url"] == f"/rec/door/export/{done.pk}.mp4"
    assert told["download_url"].startswith(f"http://testserver{told['url']}?sig=")
    ends, gone = (datetime.fromisoformat(told[name]) for name in ("download_url_expires_at", "expires_at"))
    assert ends <= gone
    assert exporter.get(EXPORTS).json()["items"][0]["download_url"] is None
    Export.objects.update(expires_at=timezone.now())
    told = exporter.get(f"{EXPORTS}/{done.pk}").json()
    assert (told["state"], told["url"], told["download_url"]) == ("done", None, None)


def test_deleting_the_row_deletes_the_file(exporter: Client, done: Export, run_dir: Path) -> None:
    path = done.path(run_dir.parent / "exports")
    assert exporter.delete(f"{EXPORTS}/{done.pk}").status_code == 204
    assert not path.exists() and not Export.objects.exists()
    assert exporter.get(f"{EXPORTS}/{done.pk}").status_code == 404


def test_the_traceback_is_for_users_who_may_configure(
    exporter: Client, camera: Camera, stranger: User
) -> None:
    number = ask(exporter).json()["id"]
    error = {
        "code": "processor",
        "message": "edges: ValueError: no",
        "retryable": True,
        "traceback": "/srv/x.py",
    }
    Export.objects.update(state="failed", error=error)
    told = exporter.get(f"{EXPORTS}/{number}").json()["error"]
    assert told["message"] == "edges: ValueError: no" and told["traceback"] == ""
    CameraGrant.objects.create(user=stranger, camera=camera, role="configure")
    assert exporter.get(f"{EXPORTS}/{number}").json()["error"]["traceback"] == "/srv/x.py"


def test_exports_are_listed_newest_first_in_pages(exporter: Client) -> None:
    numbers = [ask(exporter).json()["id"] for _ in range(3)]
    seen: list[str] = []
    after = ""
    while after is not None:
        page = exporter.get(f"{EXPORTS}?limit=2&camera=door" + (f"&after={after}" if after else "")).json()
        seen += [each["id"] for each in page["items"]]
        after = page["next"]
    assert seen == numbers[::-1]
    assert exporter.get(f"{EXPORTS}?camera=yard").status_code == 404


@pytest.mark.parametrize("deletes", [False, True])
def test_the_next_page_exists_although_the_last_item_was_deleted(exporter: Client, deletes: bool) -> None:
    numbers = [ask(exporter).json()["id"] for _ in range(5)][::-1]
    Export.objects.filter(pk__in=numbers[1:4]).update(created_at=timezone.now())  # at the same instant
    numbers = [str(pk) for pk in Export.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)]
    first = exporter.get(f"{EXPORTS}?limit=2").json()
    assert [each["id"] for each in first["items"]] == numbers[:2]
    if deletes:
        Export.objects.filter(pk=numbers[1]).delete()
    rest = exporter.get(f"{EXPORTS}?limit=3&after={first['next']}").json()
    assert [each["id"] for each in rest["items"]] == numbers[2:] and rest["next"] is None


@pytest.mark.parametrize("after", ["x", "1-2", UUID, "9" * 40])
def test_an_invalid_page_is_rejected(exporter: Client, after: str) -> None:
    assert exporter.get(f"{EXPORTS}?after={after}").status_code == 422
    assert exporter.get(f"{EXPORTS}?after=1971-01-01T00:00:00Z~{UUID}").json() == {"items": [], "next": None}
