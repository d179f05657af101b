"""What a camera leaves belongs to it, whatever its name is, and whichever camera takes its name next. On real files."""

import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from ninjacam.actions.cameras import rename_camera
from ninjacam.adapters.event_log import DatabaseEventLog
from ninjacam.adapters.index_check import compare, rebuild
from ninjacam.adapters.segment_index import DatabaseIndex
from ninjacam.auth import LocalOperator
from ninjacam.core.errors import ConflictError, InvalidError
from ninjacam.core.packets import Codec
from ninjacam.engine.events import EngineEvent
from ninjacam.engine.retention import RetentionRules
from ninjacam.models import Camera, CameraGrant, Event, Export, Segment
from tests.unit.conftest import signed_in
from tests.unit.recordings.recording_support import Recorded, encoded, stamped

pytestmark = pytest.mark.django_db(transaction=True)
OPERATOR = LocalOperator()


@pytest.fixture
def root(tmp_path: Path, settings: Any) -> Path:
    settings.NINJACAM = {**settings.NINJACAM, "DATA_DIR": tmp_path}
    return tmp_path / "recordings"


def record(root: Path, index: DatabaseIndex | None = None) -> list[str]:
    """Two files of `door`, listed, with an event and an export."""
    made = Recorded(root, period_s=2)
    made.feed(stamped(encoded(Codec.H264, 100), time.time_ns() - 3600 * 10**9))
    made.close()
    (index or DatabaseIndex(root, RetentionRules())).add(list(made.segments.values()))
    Event.objects.create(slug="door", kind="motion", source="x", start_ns=1, end_ns=2)
    Export.objects.create(slug="door", start_ns=1, end_ns=2, kind="copy")
    return files(root)


def files(root: Path) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.mp4"))


def owners() -> list[set[str]]:
    return [set(model.objects.values_list("slug", flat=True)) for model in (Segment, Event, Export)]


def new_camera(slug: str = "door") -> Camera:
    camera = Camera(slug=slug)
    camera.set_source("rtsp://10.0.0.9/stream1")
    camera.save()
    return camera


def test_a_new_camera_does_not_inherit_the_recordings_of_an_earlier_one_with_its_name(
    root: Path, camera: Camera, admin_user: User, stranger: User
) -> None:
    before = record(root)
    boss = signed_in(admin_user)
    assert boss.delete("/api/v1/cameras/door").status_code == 204
    assert owners() == [{"door"}] * 3 and files(root) == before
    assert boss.get("/api/v1/recordings?camera=door").json()["items"]
    created = boss.post(
        "/api/v1/cameras", {"slug": "door", "url": "rtsp://10.0.0.9/s"}, content_type="application/json"
    )
    assert created.status_code == 201, created.content
    CameraGrant.objects.create(camera=Camera.objects.get(slug="door"), user=stranger, role="replay")
    for client in (boss, signed_in(stranger)):
        assert client.get("/api/v1/recordings?camera=door").json()["items"] == []
        assert client.get("/api/v1/events?camera=door").json()["items"] == []
    assert signed_in(stranger).get("/api/v1/recordings?camera=door-old").status_code == 404
    assert len(boss.get("/api/v1/recordings?camera=door-old").json()["items"]) == 2
    assert owners() == [{"door-old"}] * 3
    assert files(root) == [f"door-old/{path.partition('/')[2]}" for path in before]
    assert list(compare(root)) == []


def test_rebuilding_the_index_assigns_files_to_their_own_cameras(root: Path, camera: Camera) -> None:
    record(root)
    camera.delete()
    second = new_camera()
    record(root)
    second.delete()
    new_camera()
    record(root)
    rows = sorted(Segment.objects.values_list("slug", "path", "start_ns", "end_ns", "size_bytes"))
    assert {slug for slug, *_ in rows} == {"door", "door-old", "door-old-2"} and len(rows) == 6
    Segment.objects.all().delete()
    rebuild(root)
    assert sorted(Segment.objects.values_list("slug", "path", "start_ns", "end_ns", "size_bytes")) == rows


def test_what_a_camera_leaves_does_not_go_to_another_camera(root: Path, camera: Camera) -> None:
    record(root)
    camera.delete()
    new_camera("door-old")  # It has not recorded anything.
    new_camera()
    assert owners() == [{"door-old-2"}] * 3
    assert {path.partition("/")[0] for path in files(root)} == {"door-old-2"}


def test_a_renamed_camera_keeps_its_recordings(root: Path, camera: Camera, viewer: User) -> None:
    before = record(root)
    rename_camera(OPERATOR, camera, "front")
    assert owners() == [{"front"}] * 3
    assert files(root) == [f"front/{path.partition('/')[2]}" for path in before]
    assert list(compare(root)) == []
    assert signed_in(viewer).get("/api/v1/cameras/front").json()["slug"] == "front"
    assert signed_in(viewer).get("/api/v1/cameras/door").status_code == 404
    assert Camera.objects.get(slug="front").pk == camera.pk


def test_a_camera_is_renamed_by_the_api_and_by_the_form(
    root: Path, camera: Camera, yard: Camera, admin_user: User
) -> None:
    record(root)
    boss = signed_in(admin_user)
    answer = boss.patch(
        "/api/v1/cameras/door", {"slug": "front", "name": "Front"}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["slug"], answer.json()["name"]) == (200, "front", "Front")
    taken = boss.patch("/api/v1/cameras/front", {"slug": "yard"}, content_type="application/json")
    assert taken.status_code == 409 and Camera.objects.filter(slug="front").exists()
    form = {"slug": "gate", "url": "rtsp://10.0.0.5/stream1", "transport": "tcp", "enabled": "on"}
    moved = boss.post("/cameras/front/edit/", form)
    assert moved.status_code == 302 and moved["Location"] == "/cameras/gate/"
    assert owners() == [{"gate"}] * 3
    refused = boss.post("/cameras/gate/edit/", {**form, "slug": "yard"})
    assert refused.status_code == 422 and "yard" in refused.content.decode()


def test_an_invalid_name_changes_nothing(root: Path, camera: Camera) -> None:
    before = record(root)
    (root / "unknown/2026-01-01").mkdir(parents=True)
    for name, error in (
        ("No Name", InvalidError),
        ("../recordings", InvalidError),
        ("unknown", ConflictError),
    ):
        with pytest.raises(error):
            rename_camera(OPERATOR, camera, name)
    assert (camera.slug, files(root), owners()) == ("door", before, [{"door"}] * 3)


def test_reports_under_the_old_name_create_no_rows(root: Path, camera: Camera) -> None:
    made = Recorded(root, period_s=2)
    made.feed(stamped(encoded(Codec.H264, 100), time.time_ns() - 3600 * 10**9))
    made.close()
    told = list(made.segments.values())
    index, log = DatabaseIndex(root, RetentionRules()), DatabaseEventLog()
    index.add(told)
    log.put([EngineEvent("door", "camera_down", 5)])
    rename_camera(OPERATOR, camera, "front")
    index.add(told)
    log.put([EngineEvent("door", "camera_down", 5, end_ns=9)])
    assert set(Segment.objects.values_list("slug", flat=True)) == {"front"}
    event = Event.objects.get()
    assert event.slug == "front" and event.end_ns is not None


def test_budgets_hold_after_a_rename(root: Path, camera: Camera) -> None:
    record(root)
    size_bytes = Segment.objects.size_bytes_by_slug()["door"]
    index = DatabaseIndex(root, RetentionRules(bytes_per_camera=size_bytes))
    index.retain()
    rename_camera(OPERATOR, camera, "front")
    new_camera()
    record(root, index)
    held = index.retain()
    assert held["deleted"] == 0 and held["cameras"] == {"door": size_bytes, "front": size_bytes}


def test_recordings_are_deleted_with_the_camera_on_request(
    root: Path, camera: Camera, stranger: User, admin_user: User
) -> None:
    record(root)
    (root / "door/notes.txt").write_text("mine")
    Segment.objects.update(protected=True)
    CameraGrant.objects.create(camera=camera, user=stranger, role="configure")
    client = signed_in(stranger)
    assert client.delete("/api/v1/cameras/door?recordings=perhaps").status_code == 422
    assert client.get("/api/v1/cameras/door").json()["roles"] == ["view", "configure"]
    assert client.delete("/api/v1/cameras/door?recordings=delete").status_code == 403
    page, full_page = (
        signed_in(user).get("/cameras/door/delete/").content.decode() for user in (stranger, admin_user)
    )
    keep = '<input type="radio" name="recordings" value="keep" checked>'
    delete = '<input type="radio" name="recordings" value="delete">'
    assert keep in page and keep in full_page and delete in full_page and delete not in page
    assert "Its recordings, events and exports" in page
    done = signed_in(admin_user).post("/cameras/door/delete/", {"recordings": "delete"})
    assert done.status_code == 302 and owners() == [set()] * 3 and files(root) == []
    assert (root / "door/notes.txt").read_text() == "mine"


@pytest.mark.parametrize("entered", [{}, {"recordings": "keep"}, {"recordings": "perhaps"}])
def test_recordings_are_kept_unless_their_deletion_is_chosen(
    root: Path, camera: Camera, admin_user: User, entered: dict[str, str]
) -> None:
    before = record(root)
    assert signed_in(admin_user).post("/cameras/door/delete/", entered).status_code == 302
    assert not Camera.objects.exists() and owners() == [{"door"}] * 3 and files(root) == before


def test_administrators_delete_the_recordings_of_a_deleted_camera(
    root: Path, camera: Camera, stranger: User, admin_user: User
) -> None:
    record(root)
    boss, url = signed_in(admin_user), "/api/v1/recordings?camera=door"
    assert boss.delete(url).status_code == 409
    camera.delete()
    stranger.user_permissions.add(Permission.objects.get(codename="replay_camera"))
    assert signed_in(stranger).delete(url).status_code == 403
    assert files(root)
    assert boss.delete(url).status_code == 204
    assert owners() == [set()] * 3 and files(root) == []
    assert boss.delete(url).status_code == 404


def test_a_stale_instance_does_not_separate_a_renamed_camera_from_its_recordings(
    root: Path, camera: Camera
) -> None:
    record(root)
    old = Camera.objects.get(pk=camera.pk)
    fresh, deferred = Camera.objects.get(pk=camera.pk), Camera.objects.defer("slug").get(pk=camera.pk)
    rename_camera(OPERATOR, camera, "front")
    fresh.refresh_from_db()
    fresh.save()
    assert owners() == [{"front"}] * 3
    old.name = "Front door"
    old.save(update_fields=["name"])
    assert owners() == [{"front"}] * 3
    deferred.slug = "gate"
    deferred.save()
    assert owners() == [{"gate"}] * 3
    old.save()
    assert Camera.objects.get().slug == "door" and owners() == [{"door"}] * 3
    assert list(compare(root)) == []


def test_cameras_created_concurrently_inherit_nothing(root: Path, camera: Camera) -> None:
    record(root)
    camera.delete()
    taken = new_camera("yard")
    Event.objects.create(slug="yard", kind="motion", source="x", start_ns=1, end_ns=2)
    Camera.objects.bulk_create(
        [Camera(slug="door", url="rtsp://10.0.0.9/a"), Camera(slug="yard", url="rtsp://10.0.0.9/b")],
        ignore_conflicts=True,
    )
    assert owners() == [{"door-old"}, {"door-old", "yard"}, {"door-old"}]
    assert Camera.objects.get(slug="yard").pk == taken.pk


def test_queries_cannot_rename_cameras(root: Path, camera: Camera) -> None:
    camera.slug = "front"
    for rename in (
        lambda: Camera.objects.update(slug="front"),
        lambda: Camera.objects.bulk_update([camera], ["slug"]),
        lambda: Camera.objects.bulk_create([camera], update_conflicts=True, update_fields=["slug"]),
    ):
        with pytest.raises(ValueError, match="call `save\\(\\)`"):
            rename()
    assert Camera.objects.get().slug == "door"


def test_a_new_camera_does_not_write_into_a_directory_unknown_to_the_index(root: Path) -> None:
    """As it stays where the power fails between the rename in the database and that on the disk."""
    file = root / "door/2026-01-01/00/00-00.mp4"
    file.parent.mkdir(parents=True)
    file.touch()
    new_camera()
    assert files(root) == ["door-old/2026-01-01/00/00-00.mp4"]
