import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.core.colors import to_color_bits
from ninjacam.models import ApiToken, Camera, CameraZone, Event, Segment, Stream
from ninjacam.queries.status import Status
from tests.unit.conftest import PASSWORD, signed_in

NO_ROWS = {
    "grants-TOTAL_FORMS": "0", "grants-INITIAL_FORMS": "0", "grants-MIN_NUM_FORMS": "0", "grants-MAX_NUM_FORMS": "99",
    "streams-TOTAL_FORMS": "0", "streams-INITIAL_FORMS": "0", "streams-MIN_NUM_FORMS": "0",
    "streams-MAX_NUM_FORMS": "8",
    "zones-TOTAL_FORMS": "0", "zones-INITIAL_FORMS": "0", "zones-MIN_NUM_FORMS": "0", "zones-MAX_NUM_FORMS": "32",
}  # fmt: skip
ADD = "/admin/ninjacam/camera/add/"


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def save(admin: Client, path: str, **fields: str) -> Any:
    whole = {
        "name": "",
        "transport": "tcp",
        "audio": "on",
        "verify_tls": "on",
        "enabled": "on",
        "record": "off",
        "record_before_s": "5",
        "record_after_s": "10",
        **NO_ROWS,
        **fields,
    }
    return admin.post(path, whole)


def change(camera: Camera) -> str:
    return f"/admin/ninjacam/camera/{camera.pk}/change/"


def test_a_camera_is_added_with_encrypted_credentials(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert save(admin, ADD, slug="gate", url=f"rtsp://bob:{PASSWORD}@10.0.0.8/x").status_code == 302
    camera = Camera.objects.get()
    assert camera.url == "rtsp://10.0.0.8/x" and camera.source().password == PASSWORD
    assert PASSWORD not in caplog.text


def test_a_camera_links_to_the_options_of_its_processors(
    admin: Client, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    processors = ({"name": "edges", "cameras": ["*"], "options": {"properties": {}}},)
    monkeypatch.setattr(
        "ninjacam.admin.cameras.read_status", lambda: Status(engine_running=True, processors=processors)
    )
    assert '<a href="/cameras/door/options/edges/">edges</a>' in admin.get(change(camera)).content.decode()
    assert "/options/" not in admin.get(ADD).content.decode()
    assert save(admin, change(camera), url="rtsp://10.0.0.5/stream1", name="Gate").status_code == 302


def zone_row(number: int, **fields: str) -> dict[str, str]:
    values = {"kind": "zone", "inertia_s": "0", "loitering_s": "0", "preset": "", "color": "#4aa8ff"} | fields
    return {f"zones-{number}-{name}": value for name, value in values.items()}


def test_zones_are_drawn_on_their_page_and_changed_by_numbers_here(
    admin: Client, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    assert '<a href="/cameras/door/zones/">Draw zones</a>' in admin.get(change(camera)).content.decode()
    url = {"url": camera.url, "zones-TOTAL_FORMS": "1"}
    added = zone_row(0, name="porch", points="0.1,0.2 0.9,0.2\n0.5,0.75", inertia_s="0.5")
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        assert save(admin, change(camera), **url, **added).status_code == 302
    zone = CameraZone.objects.get()
    assert zone.points == [[0.1, 0.2], [0.9, 0.2], [0.5, 0.75]] and zone.inertia_s == 0.5
    assert '"zone.create"' in caplog.text and '"porch"' in caplog.text
    page = admin.get(change(camera)).content.decode()
    assert "0.1,0.2 0.9,0.2 0.5,0.75" in page
    kept = {"zones-INITIAL_FORMS": "1", "zones-0-id": str(zone.pk)}
    caplog.clear()
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        assert save(admin, change(camera), **url, **kept, **added).status_code == 302
    assert "zone." not in caplog.text, "nothing was changed"
    for wrong in (
        "0.1,0.2",
        "0,0 1,0 2,1",
        "0,0 1,0 nan,1",
        "0,0 1,0 1",
        "[" * 5000,
        "",
        "0,0 1,0 1e308,1e999",
    ):
        changed = zone_row(0, name="porch", points=wrong)
        assert save(admin, change(camera), **url, **kept, **changed).status_code == 200, wrong
    other = zone_row(0, name="no name", points="0,0 1,0 1,1")
    assert save(admin, change(camera), **url, **kept, **other).status_code == 200
    zone.refresh_from_db()
    assert (zone.name, len(zone.points)) == ("porch", 3)
    assert save(admin, change(camera), **url, **kept, **added, **{"zones-0-DELETE": "on"}).status_code == 302
    assert not CameraZone.objects.exists()


def test_no_page_shows_credentials(admin: Client, camera: Camera) -> None:
    for path in ("/admin/ninjacam/camera/", change(camera), f"/admin/ninjacam/camera/{camera.pk}/history/"):
        text = admin.get(path).content.decode()
        assert PASSWORD not in text and "user-of-the-camera" not in text and camera.credentials not in text


def test_a_wrong_password_field_is_not_shown_again(admin: Client, camera: Camera) -> None:
    response = save(admin, change(camera), url="gopher://10.0.0.5/", password="typed-password")
    assert response.status_code == 200 and b"typed-password" not in response.content


def test_empty_fields_keep_the_stored_values(admin: Client, camera: Camera) -> None:
    assert save(admin, change(camera), url=camera.url, name="New name").status_code == 302
    changed = Camera.objects.get()
    assert changed.name == "New name" and changed.source().password == PASSWORD


def test_new_credentials_replace_the_stored_ones_and_a_checkbox_removes_them(
    admin: Client, camera: Camera
) -> None:
    assert save(admin, change(camera), url=camera.url, username="u", password="p").status_code == 302
    assert Camera.objects.get().source().password == "p"
    assert save(admin, change(camera), url=camera.url, forget_credentials="on").status_code == 302
    assert not Camera.objects.get().has_credentials


def test_a_stored_password_is_not_sent_to_another_host(admin: Client, camera: Camera) -> None:
    assert save(admin, change(camera), url="rtsp://10.0.0.66/x").status_code == 200
    assert Camera.objects.get().url == "rtsp://10.0.0.5/stream1"


def test_tokens_can_be_revoked_but_not_created(admin: Client, admin_user: User) -> None:
    token = ApiToken.objects.create(
        user=admin_user, name="t", prefix="abc", token_hash="hash-of-it", scopes=["*"]
    )
    assert admin.get("/admin/ninjacam/apitoken/add/").status_code == 403
    page = admin.get(f"/admin/ninjacam/apitoken/{token.pk}/change/").content.decode()
    assert "hash-of-it" not in page
    admin.post("/admin/ninjacam/apitoken/", {"action": "revoke", "_selected_action": [token.pk]})
    assert ApiToken.objects.get().revoked_at is not None


def test_events_can_be_protected_and_deleted_but_not_created(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    row = Event.objects.create(slug="door", kind="motion", start_ns=10**18, source="user:x", data={"a": 1})
    page = f"/admin/ninjacam/event/{row.pk}/change/"
    assert (
        admin.post(page, {"label": "cat", "protected": "on", "kind": "x", "end_ns": "7"}).status_code == 302
    )
    row.refresh_from_db()
    assert (row.label, row.protected, row.kind, row.end_ns) == ("cat", True, "motion", None)
    assert (
        "2001-09-09" in admin.get(page).content.decode()
        or "Sept. 9, 2001" in admin.get(page).content.decode()
    )
    assert admin.get("/admin/ninjacam/event/?q=door").status_code == 200
    assert admin.get("/admin/ninjacam/event/add/").status_code == 403
    with caplog.at_level(logging.INFO, "ninjacam.audit"):
        assert admin.post(f"/admin/ninjacam/event/{row.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Event.objects.exists() and "event.delete" in caplog.text


def test_events_are_listed_by_color(admin: Client) -> None:
    for label, colors in (("bus", ["red"]), ("night", [])):
        bits = to_color_bits(colors) or None
        Event.objects.create(slug="door", kind="visit", label=label, start_ns=1, source="x", color_bits=bits)

    def listed(color: str) -> list[str]:
        answer = admin.get("/admin/ninjacam/event/", {"color": color})
        return [event.label for event in answer.context["cl"].queryset]

    assert listed("red") == ["bus"] and listed("pink") == listed("mauve") == []
    assert listed("") == ["night", "bus"]


def test_a_schedule_is_validated(admin: Client, camera: Camera) -> None:
    refused = save(
        admin, change(camera), url=camera.url, record="schedule", record_schedule="mon 25:00-26:00"
    )
    assert refused.status_code == 200 and "range from 00:00" in refused.content.decode()
    assert (
        "Enter the times to record"
        in save(admin, change(camera), url=camera.url, record="schedule").content.decode()
    )
    fields = {"record": "schedule", "record_schedule": "mon 07:00-08:00"}
    assert save(admin, change(camera), url=camera.url, **fields).status_code == 302


def test_recordings_can_be_protected_but_neither_created_nor_deleted(admin: Client) -> None:
    row = Segment.objects.create(
        slug="door", path="door/2026-11-22/08/00-00.mp4", start_ns=1, end_ns=2, size_bytes=5, codec="h264",
        width_px=640, height_px=360,
    )  # fmt: skip
    page = f"/admin/ninjacam/segment/{row.pk}/change/"
    assert "door/2026-11-22/08/00-00.mp4" in admin.get(page).content.decode()
    assert admin.post(page, {"protected": "on", "size_bytes": "7"}).status_code == 302
    row.refresh_from_db()
    assert (row.protected, row.size_bytes) == (True, 5)
    assert admin.get("/admin/ninjacam/segment/").status_code == 200
    assert admin.get("/admin/ninjacam/segment/add/").status_code == 403
    assert admin.post(f"/admin/ninjacam/segment/{row.pk}/delete/", {"post": "yes"}).status_code == 403


def test_tls_verification_cannot_be_disabled_without_the_password(admin: Client, camera: Camera) -> None:
    camera.set_source("rtsps://10.0.0.5/stream1", "user-of-the-camera", PASSWORD)
    camera.save()
    fields = {"url": camera.url, "verify_tls": ""}
    refused = save(admin, change(camera), **fields)
    assert refused.status_code == 200 and "TLS verification" in refused.content.decode()
    assert Camera.objects.get().verify_tls is True
    assert save(admin, change(camera), **fields, username="u", password="new").status_code == 302
    assert Camera.objects.get().source().password == "new"


ONE_STREAM = {"streams-TOTAL_FORMS": "1", "streams-0-name": "sub", "streams-0-camera": ""}


def test_a_stream_is_added_with_sealed_credentials(admin: Client) -> None:
    fields = {**ONE_STREAM, "streams-0-url": f"rtsp://bob:{PASSWORD}@10.0.0.9/y"}
    assert save(admin, ADD, slug="gate", url="rtsp://10.0.0.8/x", **fields).status_code == 302
    stream = Stream.objects.get()
    assert (stream.url, stream.source().password) == ("rtsp://10.0.0.9/y", PASSWORD)
    page = admin.get(change(stream.camera)).content.decode()
    assert "rtsp://10.0.0.9/y" in page and PASSWORD not in page


def test_a_stream_keeps_its_password_only_for_its_host(admin: Client, camera: Camera) -> None:
    stream = Stream(camera=camera, name="sub")
    stream.set_source("rtsp://10.0.0.9/y", "bob", PASSWORD)
    stream.save()
    fields = {
        **ONE_STREAM,
        "streams-INITIAL_FORMS": "1",
        "streams-0-id": str(stream.pk),
        "streams-0-camera": str(camera.pk),
    }
    refused = save(admin, change(camera), url=camera.url, **fields, **{"streams-0-url": "rtsp://10.0.0.66/y"})
    assert refused.status_code == 200 and b"another host" in refused.content
    moved = save(admin, change(camera), url=camera.url, **fields, **{"streams-0-url": "rtsp://10.0.0.9/z"})
    assert moved.status_code == 302
    stream.refresh_from_db()
    assert (stream.url, stream.source().password) == ("rtsp://10.0.0.9/z", PASSWORD)
