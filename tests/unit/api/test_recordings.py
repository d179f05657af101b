import time
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ninjacam.models import Camera, CameraGrant, Segment
from tests.unit.conftest import signed_in, with_token

pytestmark = pytest.mark.django_db
RECORDINGS, TIMELINE = "/api/v1/recordings", "/api/v1/timeline"
S = 10**9
START_S = 1_790_000_000


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START_S + seconds, UTC).isoformat().replace("+00:00", "Z")


DAY = urlencode({"start": at(-3600), "end": at(3600)})


def recorded(slug: str, start_s: float, end_s: float, **values: Any) -> Segment:
    start_ns = int((START_S + start_s) * S)
    path = f"{slug}/2026-09-21/08/{start_ns}.mp4"
    return Segment.objects.create(
        **{
            "slug": slug, "path": path, "start_ns": start_ns, "end_ns": int((START_S + end_s) * S),
            "size_bytes": 1000, "codec": "h264", "width_px": 640, "height_px": 360, **values,
        }
    )  # fmt: skip


def grant(user: User, camera: Camera, *roles: str) -> None:
    for role in roles:
        CameraGrant.objects.create(user=user, camera=camera, role=role)


@pytest.fixture
def replayer(camera: Camera, yard: Camera, stranger: User) -> Client:
    """A user who may replay `door`. There are recordings of `door`, `yard` and the deleted `gone`."""
    grant(stranger, camera, "replay")
    for slug in ("door", "yard", "gone"):
        recorded(slug, 0, 60)
        recorded(slug, 60.5, 120)
        recorded(slug, 200, 260)
    return signed_in(stranger)


def test_the_timeline_returns_the_spans_of_several_cameras(replayer: Client, admin_user: User) -> None:
    asked = f"{TIMELINE}?{DAY}&camera=yard&camera=door"
    body = signed_in(admin_user).get(asked).json()
    spans = [{"start": at(0), "end": at(120)}, {"start": at(200), "end": at(260)}]
    assert body == {
        "start": at(-3600), "end": at(3600),
        "cameras": [
            {"camera": slug, "spans": spans, "events": [], "more_events": False, "activity": None}
            for slug in ("yard", "door")
        ],
    }  # fmt: skip


def test_without_a_camera_the_timeline_covers_all_that_a_user_may_replay(
    replayer: Client, admin_user: User
) -> None:
    def cameras(client: Client) -> list[str]:
        return [each["camera"] for each in client.get(f"{TIMELINE}?{DAY}").json()["cameras"]]

    assert cameras(replayer) == ["door"]
    assert cameras(signed_in(admin_user)) == ["door", "gone", "yard"]


def test_a_camera_without_recordings_has_no_spans(camera: Camera, admin_user: User) -> None:
    body = signed_in(admin_user).get(f"{TIMELINE}?camera=door").json()
    (told,) = body["cameras"]
    assert told["camera"] == "door" and told["spans"] == []


def test_without_times_the_timeline_covers_the_last_day(replayer: Client, admin_user: User) -> None:
    now_s = time.time() - START_S
    recorded("door", now_s - 100, now_s - 50)
    body = signed_in(admin_user).get(f"{TIMELINE}?camera=door").json()
    length = datetime.fromisoformat(body["end"]) - datetime.fromisoformat(body["start"])
    assert length.total_seconds() == 86_400 and len(body["cameras"][0]["spans"]) == 1


@pytest.mark.parametrize("path", [RECORDINGS, TIMELINE])
def test_users_who_may_only_view_get_403_and_others_404(path: str, replayer: Client, viewer: User) -> None:
    assert replayer.get(f"{path}?camera=door").status_code == 200
    for slug in ("yard", "gone", "never"):
        assert replayer.get(f"{path}?camera={slug}").status_code == 404
    refused = signed_in(viewer).get(f"{path}?camera=door")
    assert refused.status_code == 403 and refused.json()["code"] == "forbidden"


@pytest.mark.parametrize("path", [RECORDINGS, TIMELINE])
def test_recordings_of_a_deleted_camera_require_replay_for_all_cameras(path: str, replayer: Client) -> None:
    guard = User.objects.create_user("guard", password="x")
    client = signed_in(guard)
    assert client.get(f"{path}?camera=gone").status_code == 404
    guard.user_permissions.add(Permission.objects.get(codename="replay_camera"))
    assert client.get(f"{path}?camera=gone").status_code == 200
    assert client.get(f"{path}?camera=never").status_code == 404
    user = User.objects.get(username="guard")
    assert with_token(user, "replay").get(f"{path}?camera=gone").status_code == 200
    assert with_token(user, "view").get(f"{path}?camera=gone").status_code == 404


def test_deleting_a_camera_keeps_its_rows_and_deletes_its_grants(replayer: Client, admin_user: User) -> None:
    admin = signed_in(admin_user)
    assert admin.delete("/api/v1/cameras/door").status_code == 204
    assert Segment.objects.filter(slug="door").count() == 3
    assert replayer.get(f"{TIMELINE}?camera=door").status_code == 404
    assert len(admin.get(f"{TIMELINE}?camera=door&{DAY}").json()["cameras"][0]["spans"]) == 2


def test_a_token_for_one_camera_sees_only_that_one(replayer: Client, admin_user: User) -> None:
    client = with_token(admin_user, "replay:yard")
    assert [each["camera"] for each in client.get(TIMELINE).json()["cameras"]] == ["yard"]
    assert client.get(f"{TIMELINE}?camera=door").status_code == 404
    assert with_token(admin_user, "view").get(TIMELINE).json()["cameras"] == []


@pytest.mark.parametrize(
    "query",
    [
        "start=yesterday", "start=2026-11-22T08:00:00", "start=2026-11-22T08:00:00Z&end=2026-11-22T08:00:00Z",
        "start=2026-01-01T00:00:00Z&end=2026-11-22T08:00:00Z", "camera=../door", "end=9999-12-31T23:59:59Z",
        "start=1800-01-01T00:00:00Z", "start=2199-12-31T12:00:00Z&end=2026-11-22T08:00:00Z",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [RECORDINGS, TIMELINE])
def test_nonsensical_spans_are_rejected(path: str, query: str, admin_user: User) -> None:
    refused = signed_in(admin_user).get(f"{path}?{query}")
    assert refused.status_code == 422 and refused.json()["code"] in {"invalid", "malformed"}


def test_files_are_listed_newest_first_in_pages(replayer: Client) -> None:
    seen: list[str] = []
    after = ""
    while after is not None:
        body = replayer.get(f"{RECORDINGS}?{DAY}&limit=2&after={after}").json()
        seen += [each["end"] for each in body["items"]]
        after = body["next"]
        # Retention runs between two pages.
        Segment.objects.filter(slug="door", end_ns=(START_S + 120) * S).delete()
    assert seen == [at(260), at(120), at(60)]
    one = replayer.get(f"{RECORDINGS}?{DAY}").json()["items"][0]
    number = Segment.objects.get(slug="door", start_ns=(START_S + 200) * S).pk
    assert one == {
        "id": number, "url": f"/rec/door/segment/{number}.mp4", "camera": "door",
        "start": at(200), "end": at(260), "size_bytes": 1000, "codec": "h264", "width_px": 640,
        "height_px": 360, "audio_codec": "", "audio_source": "", "open": False, "protected": False,
    }  # fmt: skip
    assert "path" not in one


def test_a_file_is_read_by_its_id(replayer: Client) -> None:
    own, other = Segment.objects.filter(slug="door")[0], Segment.objects.filter(slug="yard")[0]
    assert replayer.get(f"{RECORDINGS}/{own.pk}").json()["camera"] == "door"
    for number in (other.pk, 10**6, 2**70):
        assert replayer.get(f"{RECORDINGS}/{number}").status_code == 404


def test_protecting_requires_the_role_export(replayer: Client, stranger: User, camera: Camera) -> None:
    path = f"{RECORDINGS}/{Segment.objects.filter(slug='door')[0].pk}"

    def protect(client: Client) -> Any:
        return client.patch(path, {"protected": True}, content_type="application/json")

    assert protect(replayer).status_code == 403
    grant(stranger, camera, "export")
    assert protect(replayer).json()["protected"] is True
    assert Segment.objects.filter(protected=True).count() == 1


def test_a_camera_is_recorded_on_demand(camera: Camera, admin_user: User) -> None:
    client = signed_in(admin_user)
    assert client.get("/api/v1/cameras/door").json()["record"] == "off"
    before = Camera.objects.get().spec()
    changed = client.patch("/api/v1/cameras/door", {"record": "always"}, content_type="application/json")
    assert changed.json()["record"] == "always"
    after = Camera.objects.get().spec()
    assert (before.record, after.record) == ("off", "always")
    assert before.revision == after.revision  # the camera is not reopened
    refused = client.patch("/api/v1/cameras/door", {"record": "sometimes"}, content_type="application/json")
    assert refused.status_code == 422


def test_a_camera_is_recorded_on_a_schedule(camera: Camera, admin_user: User) -> None:
    client = signed_in(admin_user)

    def change(**fields: object) -> Any:
        return client.patch("/api/v1/cameras/door", fields, content_type="application/json")

    assert change(record="schedule").json()["errors"][0]["field"] == "record_schedule"
    refused = change(record="schedule", record_schedule="mon-fry 07:00-08:00")
    assert refused.status_code == 422 and "Unknown day “mon-fry”" in refused.json()["detail"]
    told = change(record="schedule", record_schedule="mon-fri 07:00-19:00").json()
    assert (told["record"], told["record_schedule"]) == ("schedule", "mon-fri 07:00-19:00")
    made = Camera.objects.get()
    assert made.record_at(datetime(2026, 11, 23, 7)) == "always"
    assert made.record_at(datetime(2026, 11, 22, 7)) == "off"


def test_pre_roll_and_post_roll_have_limits(camera: Camera, admin_user: User) -> None:
    client = signed_in(admin_user)
    before = Camera.objects.get().spec().revision
    for fields, status in (
        ({"record": "events", "record_before_s": 60, "record_after_s": 600}, 200),
        ({"record_before_s": 61}, 422), ({"record_after_s": 601}, 422), ({"record_before_s": -1}, 422),
    ):  # fmt: skip
        answer = client.patch("/api/v1/cameras/door", fields, content_type="application/json")
        assert answer.status_code == status, fields
    spec = Camera.objects.get().spec(((1, 2),))
    assert (spec.record, spec.record_before_s, spec.keep, spec.revision) == ("events", 60, ((1, 2),), before)


def test_the_schedule_follows_the_time_zone_of_the_project(camera: Camera, settings: Any) -> None:
    now = datetime.now(UTC)
    window = f"{now:%H:%M}-{now + timedelta(minutes=3):%H:%M}"
    Camera.objects.update(record="schedule", record_schedule=window)
    assert Camera.objects.get().spec().record == "always"
    settings.TIME_ZONE = "Asia/Kathmandu"  # +05:45
    assert Camera.objects.get().spec().record == "off"


def test_protected_recordings_of_one_camera_cannot_crowd_out_the_others(
    replayer: Client, stranger: User, camera: Camera, admin_user: User, settings: Any
) -> None:
    grant(stranger, camera, "export", "control")
    settings.NINJACAM = {**settings.NINJACAM, "RETENTION": {"bytes": 9000}}  # 3 cameras: 1500 bytes each

    def protect(client: Client, segment: Segment) -> int:
        change = {"protected": True}
        return client.patch(f"{RECORDINGS}/{segment.pk}", change, content_type="application/json").status_code

    first, second, third = Segment.objects.filter(slug="door").order_by("start_ns")
    assert protect(replayer, first) == 200
    assert protect(replayer, second) == 409
    second.refresh_from_db()
    assert not second.protected
    event = {"camera": "door", "kind": "motion", "start": at(210), "protected": True}
    refused = replayer.post("/api/v1/events", event, content_type="application/json")
    assert (refused.status_code, refused.json()["code"]) == (409, "quota")
    made = replayer.post("/api/v1/events", {**event, "protected": False}, content_type="application/json")
    path = f"/api/v1/events/{made.json()['id']}"
    refused = replayer.patch(path, {"protected": True}, content_type="application/json")
    assert refused.status_code == 409 and refused.json()["code"] == "quota"
    assert replayer.get(path).json()["protected"] is False
    assert protect(signed_in(admin_user), third) == 200


def test_a_protected_event_cannot_be_extended_beyond_what_may_be_protected(
    replayer: Client, stranger: User, camera: Camera, settings: Any
) -> None:
    grant(stranger, camera, "export", "control")
    settings.NINJACAM = {**settings.NINJACAM, "RETENTION": {"bytes": 9000}}  # 3 cameras: 1500 bytes each
    event = {"camera": "door", "kind": "motion", "start": at(10), "end": at(20), "protected": True}
    made = replayer.post("/api/v1/events", event, content_type="application/json")
    assert made.status_code == 201
    path = f"/api/v1/events/{made.json()['id']}"
    refused = replayer.patch(path, {"end": at(250)}, content_type="application/json")
    assert refused.status_code == 409 and refused.json()["code"] == "quota"
    assert replayer.get(path).json()["end"] == at(20)
