import json
import logging
import time
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client

from ninjacam.actions.probe import ProbeResult
from ninjacam.core.errors import ConfigError
from ninjacam.credentials import Credentials, seal
from ninjacam.models import Camera, CameraGrant
from tests.unit.conftest import PASSWORD, signed_in, with_token

CAMERAS = "/api/v1/cameras"


def send(client: Client, method: str, path: str, body: object) -> Any:
    return getattr(client, method)(path, body, content_type="application/json")


def report(run_dir: Path, *, age_s: float = 0, **values: Any) -> None:
    document = {"updated_ns": time.time_ns() - int(age_s * 1e9), "engine_pid": 1, **values}
    (run_dir / "status.json").write_text(json.dumps(document))


def test_a_camera_is_added_read_changed_and_removed(admin_user: User) -> None:
    client = signed_in(admin_user)
    body = {"slug": "gate", "url": "rtsp://bob:pw-in-url@10.0.0.8/x", "name": "Gate"}
    made = send(client, "post", CAMERAS, body)
    assert made.status_code == 201
    assert made.json()["source"] == {
        "url": "rtsp://10.0.0.8/x", "has_credentials": True, "transport": "tcp", "audio": True, "verify_tls": True,
        "onvif_url": "",
        "sleeps": False,
    }  # fmt: skip
    changed = send(client, "patch", f"{CAMERAS}/gate", {"enabled": False})
    assert changed.json()["enabled"] is False and changed.json()["state"] == "disabled"
    assert changed.json()["name"] == "Gate"
    assert Camera.objects.get().source().password == "pw-in-url"
    assert client.delete(f"{CAMERAS}/gate").status_code == 204
    assert client.get(f"{CAMERAS}/gate").status_code == 404


@pytest.mark.parametrize("password", ["pa/ss", "a#b", "a?b", "a[b", "50%", "p@s/s", "/#?[%"])
def test_a_password_in_a_url_may_contain_unescaped_characters(admin_user: User, password: str) -> None:
    body = {"slug": "gate", "url": f"rtsp://bob:{password}@10.0.0.8/x"}
    assert send(signed_in(admin_user), "post", CAMERAS, body).json()["source"]["url"] == "rtsp://10.0.0.8/x"
    source = Camera.objects.get().source()
    assert (source.url, source.username, source.password) == ("rtsp://10.0.0.8/x", "bob", password)


@pytest.mark.parametrize("url", ["rtsp://bob:12/secret@cam/x", "rtsp://bob:p@x/secret@cam/x"])
def test_an_ambiguous_login_in_a_url_is_refused_without_repeating_it(admin_user: User, url: str) -> None:
    for path, body in ((CAMERAS, {"slug": "gate", "url": url}), (f"{CAMERAS}/probe", {"url": url})):
        answer = send(signed_in(admin_user), "post", path, body)
        assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "url"
        assert "separately" in answer.json()["errors"][0]["message"] and b"secret" not in answer.content
    assert not Camera.objects.exists()


def test_no_response_and_no_log_contains_credentials(
    admin_user: User, camera: Camera, caplog: pytest.LogCaptureFixture
) -> None:
    client = signed_in(admin_user)
    answers = []
    with caplog.at_level(logging.DEBUG):
        for method, path, body in (
            ("get", CAMERAS, None),
            ("get", f"{CAMERAS}/door", None),
            ("patch", f"{CAMERAS}/door", {"password": PASSWORD, "username": "user-of-the-camera"}),
            ("patch", f"{CAMERAS}/door", {"password": PASSWORD, "transport": "pigeon"}),
            ("patch", f"{CAMERAS}/door", {"password": [PASSWORD]}),
            ("post", CAMERAS, {"slug": "door", "url": f"rtsp://user-of-the-camera:{PASSWORD}@10.0.0.5/"}),
            ("post", CAMERAS, {"slug": "x", "url": f"rtsp://user-of-the-camera:{PASSWORD}@[bad/"}),
            ("patch", f"{CAMERAS}/door", {"url": f"rtsp://user-of-the-camera:{PASSWORD}@[bad/"}),
            ("patch", f"{CAMERAS}/door", {"url": f"rtsp://user-of-the-camera:{PASSWORD}@10.0.0.5\uff20x/"}),
            (
                "post",
                f"{CAMERAS}/door/probe",
                {"url": f"rtsp://user-of-the-camera:{PASSWORD}@10.0.0.5\uff20x/"},
            ),
            ("post", f"{CAMERAS}/probe", {"url": f"gopher://user-of-the-camera:{PASSWORD}@h/"}),
        ):
            answers.append(send(client, method, path, body) if body else client.get(path))
    assert [answer.status_code for answer in answers] == [
        200,
        200,
        200,
        422,
        422,
        409,
        422,
        422,
        422,
        422,
        422,
    ]
    everything = "".join(answer.content.decode() for answer in answers) + caplog.text
    assert PASSWORD not in everything and "user-of-the-camera" not in everything


def test_the_mask_is_never_stored(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    for body in ({"password": "***"}, {"username": "***"}, {"url": "rtsp://***@10.0.0.5/stream1"}):
        response = send(client, "patch", f"{CAMERAS}/door", body)
        assert response.status_code == 422 and response.json()["code"] == "invalid"
    assert Camera.objects.get().source().password == PASSWORD


def test_sending_back_the_shown_values_keeps_the_stored_ones(admin_user: User, db: None) -> None:
    camera = Camera(slug="q")
    camera.set_source("http://10.0.0.8:8080/video?token=abc", "", "")
    camera.save()
    client = signed_in(admin_user)
    shown = client.get(f"{CAMERAS}/q").json()["source"]["url"]
    assert "abc" not in shown
    assert send(client, "patch", f"{CAMERAS}/q", {"url": shown, "name": "Q"}).status_code == 200
    assert Camera.objects.get().source().url.endswith("token=abc")


def test_a_stored_password_is_not_sent_to_another_host(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    for url in ("rtsp://10.0.0.66/stream1", "rtsp://10.0.0.5:8554/stream1"):
        for path, method in ((f"{CAMERAS}/door", "patch"), (f"{CAMERAS}/door/probe", "post")):
            response = send(client, method, path, {"url": url})
            assert response.status_code == 422
            assert response.json()["errors"][0]["field"] == "password"
    assert send(client, "patch", f"{CAMERAS}/door", {"url": "rtsp://10.0.0.5:554/stream2"}).status_code == 200
    assert Camera.objects.get().source().password == PASSWORD
    moved = send(client, "patch", f"{CAMERAS}/door", {"url": "rtsp://10.0.0.66/x", "password": "new"})
    assert moved.status_code == 200
    source = Camera.objects.get().source()
    assert (source.username, source.password) == ("", "new")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "rtsp://10.0.0.5:322/stream1"}, "rtsp: instead of rtsps:"),
        ({"url": "http://10.0.0.5:322/stream1"}, "http: instead of rtsps:"),
        ({"url": "rtsps://10.0.0.5:323/stream1"}, "another port"),
        ({"verify_tls": False}, "TLS verification"),
        ({"verify_tls": False, "username": "user-of-the-camera"}, "TLS verification"),
    ],
)
def test_a_password_for_tls_must_be_entered_again_when_its_protection_changes(
    admin_user: User, camera: Camera, change: dict[str, Any], says: str
) -> None:
    camera.set_source("rtsps://10.0.0.5/stream1", "user-of-the-camera", PASSWORD)
    camera.save()
    client = signed_in(admin_user)
    for path, method in ((f"{CAMERAS}/door", "patch"), (f"{CAMERAS}/door/probe", "post")):
        response = send(client, method, path, change)
        assert response.status_code == 422 and says in response.json()["detail"], response.json()
        assert response.json()["errors"][0]["field"] == "password"
    unchanged = Camera.objects.get()
    assert (unchanged.url, unchanged.verify_tls) == ("rtsps://10.0.0.5/stream1", True)
    assert send(client, "patch", f"{CAMERAS}/door", {"url": "rtsps://10.0.0.5/stream2"}).status_code == 200
    assert Camera.objects.get().source().password == PASSWORD
    assert send(client, "patch", f"{CAMERAS}/door", {**change, "password": "new"}).status_code == 200
    assert Camera.objects.get().source().password == "new"


def test_secrets_in_the_query_are_bound_to_a_host_like_a_password(admin_user: User, camera: Camera) -> None:
    camera.set_source("https://10.0.0.5/video?token=abc")
    camera.save()
    client = signed_in(admin_user)
    assert send(client, "patch", f"{CAMERAS}/door", {"verify_tls": False}).status_code == 422
    answer = send(client, "patch", f"{CAMERAS}/door", {"verify_tls": False, "password": "x"})
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == "url"
    assert Camera.objects.get().source().url.endswith("token=abc")


@pytest.mark.parametrize("change", [{"url": "rtsp://10.0.0.5:322/stream1"}, {"verify_tls": False}])
def test_a_concurrent_change_does_not_send_the_password_elsewhere(
    camera: Camera, change: dict[str, Any]
) -> None:
    camera.set_source("rtsps://10.0.0.5/stream1", "user-of-the-camera", PASSWORD)
    camera.save()
    Camera.objects.update(**change)
    with pytest.raises(ConfigError, match="Enter the user and password again"):
        Camera.objects.get().source()


def test_credentials_of_an_earlier_version_can_be_read(camera: Camera) -> None:
    camera.credentials = seal(Credentials("user-of-the-camera", PASSWORD))
    assert camera.source().password == PASSWORD


def test_a_login_in_the_url_replaces_the_stored_one(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    url = "rtsp://another:new%20one@10.0.0.5/stream1"
    assert send(client, "patch", f"{CAMERAS}/door", {"url": url}).status_code == 200
    source = Camera.objects.get().source()
    assert (source.username, source.password) == ("another", "new one")


@pytest.mark.parametrize("name", ["username", "password"])
def test_a_login_that_is_not_a_string_is_rejected(admin_user: User, camera: Camera, name: str) -> None:
    body = json.dumps({name: "p\ud800"})
    answer = signed_in(admin_user).patch(f"{CAMERAS}/door", body, content_type="application/json")
    assert answer.status_code == 422 and answer.json()["errors"][0]["field"] == name


def test_a_masked_url_cannot_redirect_the_password_to_another_host(admin_user: User, camera: Camera) -> None:
    camera.set_source("rtsp://10.0.0.9/live@0.0.0.1/", "user-of-the-camera", PASSWORD)
    camera.save()
    client = signed_in(admin_user)
    moved = send(client, "patch", f"{CAMERAS}/{camera.slug}", {"url": "rtsp://0.0.0.1/"})
    assert moved.status_code == 422 and moved.json()["errors"][0]["field"] == "password"


def test_a_new_password_repairs_a_camera_whose_key_is_lost(
    admin_user: User, camera: Camera, settings: Any
) -> None:
    settings.NINJACAM = {**settings.NINJACAM, "SECRET_KEYS": ["another key"]}
    client = signed_in(admin_user)
    kept = send(client, "patch", f"{CAMERAS}/{camera.slug}", {"url": camera.url, "username": "x"})
    assert kept.status_code == 422 and "secret key has changed" in kept.json()["detail"]
    body = {"username": "x", "password": "new"}
    assert send(client, "patch", f"{CAMERAS}/{camera.slug}", body).status_code == 200
    assert Camera.objects.get(pk=camera.pk).source().password == "new"


@pytest.mark.parametrize("url", ["rtsp:bob:pw@10.0.0.9/x", "rtsp:/bob:pw@10.0.0.9/x", "rtsp:\\\\bob:pw@h/x"])
def test_an_address_without_a_host_is_rejected_before_it_is_stored(
    admin_user: User, db: None, url: str
) -> None:
    answer = send(signed_in(admin_user), "post", CAMERAS, {"slug": "a", "url": url})
    assert answer.status_code == 422 and "pw" not in answer.content.decode()


def test_credentials_can_be_removed(admin_user: User, camera: Camera) -> None:
    answer = send(signed_in(admin_user), "patch", f"{CAMERAS}/door", {"username": "", "password": ""})
    assert answer.json()["source"]["has_credentials"] is False


def test_users_who_may_add_cameras_may_configure_those_they_added(stranger: User) -> None:
    client = signed_in(stranger)
    body = {"slug": "gate", "url": "rtsp://10.0.0.8/x"}
    assert send(client, "post", CAMERAS, body).status_code == 403
    stranger.user_permissions.add(Permission.objects.get(codename="add_camera"))
    made = send(client, "post", CAMERAS, body)
    assert made.status_code == 201 and made.json()["roles"] == ["view", "configure"]
    assert send(client, "patch", f"{CAMERAS}/gate", {"name": "Mine"}).status_code == 200


def test_the_source_is_shown_only_to_users_who_may_configure(viewer: User, camera: Camera) -> None:
    client = signed_in(viewer)
    assert client.get(f"{CAMERAS}/door").json()["source"] is None
    CameraGrant.objects.create(camera=camera, user=viewer, role="configure")
    assert client.get(f"{CAMERAS}/door").json()["source"]["url"] == "rtsp://10.0.0.5/stream1"


def test_another_role_gives_403_and_no_role_gives_404(stranger: User, camera: Camera, yard: Camera) -> None:
    CameraGrant.objects.create(camera=camera, user=stranger, role="replay")
    client = signed_in(stranger)
    assert client.get(f"{CAMERAS}/door").status_code == 403
    assert client.get(f"{CAMERAS}/yard").status_code == 404
    assert client.get(f"{CAMERAS}/nowhere").json()["code"] == "not_found"


def test_a_scope_for_one_camera_hides_the_others(admin_user: User, camera: Camera, yard: Camera) -> None:
    client = with_token(admin_user, "view:door")
    assert [item["slug"] for item in client.get(CAMERAS).json()["items"]] == ["door"]
    assert client.get(f"{CAMERAS}/yard").status_code == 404
    assert {view["camera"] for view in client.get("/api/v1/views").json()["items"]} == {"door"}
    assert send(client, "patch", f"{CAMERAS}/door", {"name": "x"}).status_code == 403


def test_lists_have_pages(admin_user: User) -> None:
    for number in range(5):
        Camera.objects.create(slug=f"c{number}", url="rtsp://10.0.0.1/")
    client = signed_in(admin_user)
    seen: list[str] = []
    after: str | None = ""
    while after is not None:
        page = client.get(f"{CAMERAS}?limit=2&after={after}").json()
        seen += [item["slug"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"c{number}" for number in range(5)]


def test_state_and_health_come_from_the_engine(viewer: User, run_dir: Path) -> None:
    report(
        run_dir,
        cameras={
            "door": {
                "state": "reconnecting", "codec": "h264", "width": 1280, "height": 720, "fps": 25.0,
                "error": {"code": "timeout", "message": "No answer.", "retryable": True}, "last_video_ns": 10**18,
                "notices": [{"code": "waiting_for_key_frame", "message": "Waiting for a key frame."}],
                "frames_skipped": 70, "packets_ignored": 3, "clock_rate": 0.6,
                "sequence_restarts": 2, "frames_dropped": 4,
            }
        },
    )  # fmt: skip
    answer = signed_in(viewer).get(f"{CAMERAS}/door").json()
    assert answer["state"] == "reconnecting" and answer["error"]["code"] == "timeout"
    assert answer["health"]["notices"] == [
        {"code": "waiting_for_key_frame", "message": "Waiting for a key frame."}
    ]
    assert (answer["health"]["frames_skipped"], answer["health"]["clock_rate"]) == (70, 0.6)
    counters = ("packets_ignored", "sequence_restarts", "frames_dropped")
    assert [answer["health"][name] for name in counters] == [3, 2, 4]
    assert answer["health"]["width_px"] == 1280 and answer["health"]["last_video_at"].startswith("2001-09-09")


@pytest.mark.parametrize("age_s", [6, -60])
def test_an_outdated_report_is_unknown(viewer: User, run_dir: Path, age_s: float) -> None:
    report(run_dir, age_s=age_s, cameras={"door": {"state": "live"}})
    answer = signed_in(viewer).get(f"{CAMERAS}/door").json()
    assert answer["state"] == "unknown" and answer["health"]["codec"] == ""


def test_views_show_tracebacks_only_to_users_who_may_configure(
    viewer: User, camera: Camera, run_dir: Path, stranger: User
) -> None:
    error = {
        "code": "processor",
        "message": "edges raised ValueError.",
        "traceback": "in my code",
        "retryable": True,
    }
    report(
        run_dir,
        processors=[
            {"name": "edges", "module": "app.cameras", "cameras": ["d*"], "description": "Edges."},
            {"name": "other", "module": "app.cameras", "cameras": ["yard"], "description": ""},
        ],
        modules=[{"module": "app.cameras", "error": "Traceback of an import"}],
        views={
            "door": {
                "edges": {
                    "state": "failed",
                    "error": error,
                    "ms_per_frame": 3.5,
                    "fps": 20,
                    "failures": 3,
                    "last_error": error,
                    "last_failed_us": 1_700_000_000_000_000,
                }
            },
            "yard": {"edges": {"state": "running", "failures": 100}},
        },
    )
    client = signed_in(viewer)
    views = client.get(f"{CAMERAS}/door/views").json()["items"]
    assert [(view["view"], view["label"], view["state"]) for view in views] == [
        ("", "raw", "idle"),
        ("edges", "edges", "failed"),
    ]
    assert views[1]["error"]["message"] == "edges raised ValueError." and views[1]["error"]["traceback"] == ""
    assert (views[0]["failures"], views[0]["last_error"], views[0]["last_failed_at"]) == (0, None, None)
    assert (views[1]["failures"], views[1]["last_failed_at"]) == (3, "2023-11-14T22:13:20Z")
    assert views[1]["last_error"]["message"] == "edges raised ValueError."
    assert views[1]["last_error"]["traceback"] == ""
    processors = client.get("/api/v1/processors").json()
    assert processors["items"][0]["failures"] == 3, "those of cameras that the viewer may see"
    assert [item["name"] for item in processors["items"]] == ["edges"] and processors["errors"] == []
    CameraGrant.objects.create(camera=camera, user=viewer, role="configure")
    assert client.get(f"{CAMERAS}/door/views").json()["items"][1]["error"]["traceback"] == "in my code"
    assert client.get(f"{CAMERAS}/door/views").json()["items"][1]["last_error"]["traceback"] == "in my code"
    viewer.user_permissions.add(Permission.objects.get(codename="configure_camera"))
    assert client.get("/api/v1/processors").json()["errors"][0]["traceback"] == "Traceback of an import"


def test_a_probe_returns_a_frame_or_the_error(
    admin_user: User, camera: Camera, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def run_probe(source: Any, user: Any) -> ProbeResult:
        asked.append(source)
        return ProbeResult(ok=True, codec="h264", width=1280, height=720, jpeg=b"\xff\xd8")

    monkeypatch.setattr("ninjacam.actions.probe.run_probe", run_probe)
    client = signed_in(admin_user)
    answer = send(client, "post", f"{CAMERAS}/probe", {"url": "rtsp://a:b@10.0.0.9/"}).json()
    assert answer["ok"] and answer["jpeg_base64"] == "/9g=" and answer["width_px"] == 1280
    send(client, "post", f"{CAMERAS}/door/probe", {"url": "rtsp://10.0.0.5/stream2"})
    assert [(each.url, each.password) for each in asked] == [
        ("rtsp://10.0.0.9/", "b"), ("rtsp://10.0.0.5/stream2", PASSWORD),
    ]  # fmt: skip
    assert Camera.objects.get().url == "rtsp://10.0.0.5/stream1"


def test_a_probe_runs_in_its_own_process(admin_user: User) -> None:
    body = {"url": "rtsp://127.0.0.1:9/x", "password": PASSWORD}
    answer = send(signed_in(admin_user), "post", f"{CAMERAS}/probe", body).json()
    assert answer["ok"] is False and answer["error"]["code"] == "connection_refused"


def test_a_write_by_session_needs_the_csrf_token(admin_user: User, camera: Camera) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user, backend="django.contrib.auth.backends.ModelBackend")
    refused = send(client, "patch", f"{CAMERAS}/door", {"name": "x"})
    assert refused.status_code == 403 and refused.json()["code"] == "csrf"
    by_token = with_token(admin_user)
    by_token.handler.enforce_csrf_checks = True
    assert send(by_token, "patch", f"{CAMERAS}/door", {"name": "x"}).status_code == 200


def test_only_users_who_may_configure_a_camera_read_its_address_in_errors(
    viewer: User, admin_user: User, camera: Camera, run_dir: Path
) -> None:
    text = "10.0.0.5 refuses port 554."
    error = {"code": "connection_refused", "message": text, "retryable": True}
    report(run_dir, cameras={"door": {"state": "reconnecting", "error": error}})
    paths = ("/api/v1/cameras/door", "/api/v1/cameras", "/cameras/door/", "/", "/api/v1/cameras/door/views")
    shown = {path: signed_in(viewer).get(path).content.decode() for path in paths}
    assert not any("10.0.0.5" in text or "554" in text for text in shown.values())
    assert "refuses the connection" in shown["/api/v1/cameras/door"] + shown["/cameras/door/"]
    for path in ("/api/v1/cameras/door", "/cameras/door/"):
        assert text in signed_in(admin_user).get(path).content.decode()


def test_ready_made_processors_are_chosen_by_name(admin_user: User, camera: Camera) -> None:
    client = signed_in(admin_user)
    assert client.get(f"{CAMERAS}/door").json()["processors"] == []
    changed = send(client, "patch", f"{CAMERAS}/door", {"processors": ["motion"]})
    assert changed.status_code == 200 and changed.json()["processors"] == ["motion"]
    assert Camera.objects.get().spec().processors == ("motion",)
    send(client, "patch", f"{CAMERAS}/door", {"name": "Door"})
    assert Camera.objects.get().processors == ["motion"], "unchanged"
    for wrong in (["none-such"], ["../motion"], [1], "motion", ["motion"] * 51):
        answer = send(client, "patch", f"{CAMERAS}/door", {"processors": wrong})
        assert answer.status_code == 422, wrong
    assert "Use: motion" in send(client, "patch", f"{CAMERAS}/door", {"processors": ["x"]}).json()["detail"]
    assert send(client, "patch", f"{CAMERAS}/door", {"processors": []}).json()["processors"] == []
