import json
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.core.streams import MAX_STREAMS
from ninjacam.models import Camera, CameraGrant, Stream
from tests.unit.conftest import PASSWORD, signed_in

CAMERAS, STREAMS = "/api/v1/cameras", "/api/v1/streams"
SUB = f"{CAMERAS}/door/streams/sub"


def send(client: Client, method: str, path: str, body: object) -> Any:
    return getattr(client, method)(path, body, content_type="application/json")


def put(client: Client, **fields: str) -> Any:
    return send(client, "put", SUB, {"url": "rtsp://10.0.0.5/stream2", **fields})


def test_a_camera_without_other_streams_has_main(admin_user: User, camera: Camera) -> None:
    (main,) = signed_in(admin_user).get(f"{CAMERAS}/door").json()["streams"]
    assert (main["name"], main["url"], main["width_px"], main["seen_at"]) == (
        "main", "rtsp://10.0.0.5/stream1", 0, None,
    )  # fmt: skip


def test_a_stream_is_added_changed_and_removed(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    added = put(client, url="rtsp://bob:pw@10.0.0.9/stream2")
    assert added.status_code == 200
    assert (added.json()["name"], added.json()["url"]) == ("sub", "rtsp://10.0.0.9/stream2")
    assert added.json()["has_credentials"] is True and "pw" not in added.content.decode().replace("fps", "")
    changed = put(client, url="rtsp://10.0.0.9/stream3")
    assert changed.json()["url"] == "rtsp://10.0.0.9/stream3"
    assert Stream.objects.get().source().password == "pw"
    assert [each["name"] for each in client.get(f"{CAMERAS}/door").json()["streams"]] == ["main", "sub"]
    assert client.delete(SUB).status_code == 204
    missing = client.delete(SUB)
    assert (missing.status_code, missing.json()["code"]) == (404, "stream_not_found")


def test_the_password_of_a_stream_stays_with_its_host(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    put(client, url="rtsp://10.0.0.9/x", username="bob", password="pw")
    moved = put(client, url="rtsp://10.0.0.10/x")
    assert moved.status_code == 422 and "another host" in moved.json()["detail"]
    assert Stream.objects.get().url == "rtsp://10.0.0.9/x"
    assert put(client, url="rtsp://10.0.0.10/x", username="", password="").status_code == 200
    assert Stream.objects.get().source().password == ""


@pytest.mark.parametrize(
    ("name", "url", "status"),
    [
        ("main", "rtsp://10.0.0.5/x", 422),
        ("Sub", "rtsp://10.0.0.5/x", 422),
        ("x" * 31, "rtsp://10.0.0.5/x", 422),
        ("sub", "nonsense://10.0.0.5/x", 422),
        ("sub", "", 422),
    ],
)
def test_names_and_addresses_are_checked(
    admin_user: User, camera: Camera, name: str, url: str, status: int
) -> None:
    answer = send(signed_in(admin_user), "put", f"{CAMERAS}/door/streams/{name}", {"url": url})
    assert answer.status_code == status
    assert not Stream.objects.exists()


def test_the_number_of_streams_is_limited(admin_user: User, camera: Camera) -> None:
    for number in range(MAX_STREAMS):
        Stream.objects.create(camera=camera, name=f"s{number}", url="rtsp://10.0.0.5/x")
    assert put(signed_in(admin_user)).status_code == 409
    again = send(signed_in(admin_user), "put", f"{CAMERAS}/door/streams/s0", {"url": "rtsp://10.0.0.5/y"})
    assert again.status_code == 200


def test_a_camera_is_added_with_its_streams(admin_user: User) -> None:
    body = {
        "slug": "gate",
        "url": "rtsp://10.0.0.8/x",
        "username": "u",
        "password": "p",
        "streams": [{"name": "sub", "url": "rtsp://10.0.0.8/y"}],
        "detect_stream": "sub",
    }
    made = send(signed_in(admin_user), "post", CAMERAS, body)
    assert made.status_code == 201
    assert [each["name"] for each in made.json()["streams"]] == ["main", "sub"]
    assert made.json()["detect_stream"] == "sub"
    assert Stream.objects.get().source().password == "p"


def test_a_camera_is_not_added_if_one_of_its_streams_is_wrong(admin_user: User) -> None:
    client, body = signed_in(admin_user), {"slug": "gate", "url": "rtsp://10.0.0.8/x"}
    twice = [{"name": "sub", "url": "rtsp://10.0.0.8/y"}] * 2
    for wrong in (
        {"streams": [{"name": "sub", "url": "nonsense://x"}]},
        {"streams": twice},
        {"live_stream": "sub"},
    ):
        assert send(client, "post", CAMERAS, {**body, **wrong}).status_code == 422
    assert not Camera.objects.exists()


def test_a_role_names_a_stream_of_the_camera(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    wrong = send(client, "patch", f"{CAMERAS}/door", {"record_stream": "sub"})
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["field"] == "record_stream"
    put(client)
    changed = send(client, "patch", f"{CAMERAS}/door", {"record_stream": "sub", "live_stream": "main"})
    assert (changed.json()["record_stream"], changed.json()["live_stream"]) == ("sub", "main")
    client.delete(SUB)
    assert client.get(f"{CAMERAS}/door").json()["record_stream"] == "", "the rule again"


def test_viewers_see_streams_without_addresses_and_change_nothing(viewer: User, camera: Camera) -> None:
    Stream.objects.create(camera=camera, name="sub", url="rtsp://10.0.0.77/hidden")
    client = signed_in(viewer)
    answer = client.get(STREAMS)
    assert [(each["name"], each["url"]) for each in answer.json()["items"]] == [("main", None), ("sub", None)]
    assert "10.0.0" not in answer.content.decode() + client.get(f"{CAMERAS}/door").content.decode()
    assert put(client).status_code == client.delete(SUB).status_code == 403


def test_streams_of_hidden_cameras_are_not_listed(viewer: User, camera: Camera, yard: Camera) -> None:
    client = signed_in(viewer)
    assert {each["camera"] for each in client.get(STREAMS).json()["items"]} == {"door"}
    assert client.get(f"{STREAMS}?camera=yard").status_code == 404
    assert client.get(f"{STREAMS}?camera=nothing").status_code == 404


def test_the_state_is_that_of_the_engine(admin_user: User, camera: Camera, run_dir: Path) -> None:
    Stream.objects.create(camera=camera, name="sub", url="rtsp://10.0.0.5/x", codec="h264", width_px=640)
    Stream.objects.create(camera=camera, name="tiny", url="rtsp://10.0.0.5/y")
    client = signed_in(admin_user)

    def states() -> list[tuple[str, str, int]]:
        items = client.get(f"{STREAMS}?camera=door").json()["items"]
        return [(each["name"], each["state"], each["subscribers"]) for each in items]

    assert states() == [("main", "unknown", 0), ("sub", "unknown", 0), ("tiny", "unknown", 0)]
    sub = {"state": "live", "error": None, "subscribers": 2}
    report = {"door": {"state": "live", "error": None, "subscribers": 1, "streams": {"sub": sub}}}
    (run_dir / "status.json").write_text(json.dumps({"updated_ns": time.time_ns(), "cameras": report}))
    assert states() == [("main", "live", 1), ("sub", "live", 2), ("tiny", "idle", 0)]
    Camera.objects.update(enabled=False)
    assert states() == [("main", "disabled", 0), ("sub", "disabled", 0), ("tiny", "disabled", 0)]


def test_only_users_who_may_configure_a_camera_read_the_address_of_a_stream_in_its_error(
    viewer: User, admin_user: User, camera: Camera, run_dir: Path
) -> None:
    Stream.objects.create(camera=camera, name="sub", url="rtsp://10.0.0.9/x")
    error = {"code": "connection_refused", "message": "10.0.0.9 refuses port 554.", "retryable": True}
    report = {"door": {"state": "live", "streams": {"sub": {"state": "reconnecting", "error": error}}}}
    (run_dir / "status.json").write_text(json.dumps({"updated_ns": time.time_ns(), "cameras": report}))
    for path in (f"{STREAMS}?camera=door", f"{CAMERAS}/door", "/cameras/door/"):
        shown = signed_in(viewer).get(path).content.decode()
        assert "sub" in shown and "10.0.0.9" not in shown, path
    (sub,) = (each for each in signed_in(viewer).get(STREAMS).json()["items"] if each["name"] == "sub")
    assert sub["error"]["message"] == "The camera refuses the connection."
    assert "10.0.0.9 refuses port 554." in signed_in(admin_user).get(STREAMS).content.decode()


def test_changes_of_streams_are_on_record(
    viewer: User, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    CameraGrant.objects.create(camera=camera, user=viewer, role="configure")
    client = signed_in(viewer)
    with caplog.at_level("INFO", "ninjacam.audit"):
        put(client, username="bob", password=PASSWORD)
        put(client)
        client.delete(SUB)
    verbs = [record.audit["verb"] for record in caplog.records if hasattr(record, "audit")]
    assert [verb for verb in verbs if verb.startswith("stream.")] == [
        "stream.create",
        "stream.update",
        "stream.delete",
    ]
    assert PASSWORD not in caplog.text
