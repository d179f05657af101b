import json
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client, override_settings

from ninjacam.models import Camera, CameraGrant, Stream

pytestmark = pytest.mark.django_db

PAGES = [
    "/",
    "/add-camera/",
    "/replay/?camera=door",
    "/cameras/door/",
    "/cameras/door/edit/",
    "/cameras/door/delete/",
]


@pytest.fixture
def door() -> Camera:
    camera = Camera(slug="door", name="Front <door>")
    camera.set_source("rtsp://192.0.2.1/stream1", "viewer", "geheim")
    camera.save()
    return camera


def client_of(name: str, *roles: str, **fields: Any) -> Client:
    user = User.objects.create_user(name, **fields)
    for role in roles:
        CameraGrant.objects.create(camera=Camera.objects.get(slug="door"), user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def admin(door: Camera) -> Client:
    return client_of("root", is_superuser=True, is_staff=True)


@pytest.fixture
def viewer(door: Camera) -> Client:
    return client_of("vera", "view")


@pytest.fixture
def stranger(door: Camera) -> Client:
    return client_of("sam")


def html(client: Client, path: str, status: int = 200) -> str:
    response = client.get(path)
    assert response.status_code == status
    return response.content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_anonymous_users_are_redirected_to_the_login(client: Client, door: Camera, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"] == f"/login/?next={quote(path)}"


@pytest.mark.parametrize(
    ("path", "viewer_gets", "stranger_gets"),
    [
        ("/", 200, 200),
        ("/add-camera/", 403, 403),
        ("/cameras/door/", 200, 404),
        ("/cameras/door/edit/", 403, 404),
        ("/cameras/door/delete/", 403, 404),
        ("/cameras/nowhere/", 404, 404),
    ],
)
def test_a_camera_that_a_user_may_not_view_returns_404(
    viewer: Client, stranger: Client, path: str, viewer_gets: int, stranger_gets: int
) -> None:
    assert viewer.get(path).status_code == viewer_gets
    assert stranger.get(path).status_code == stranger_gets
    assert "Front" not in stranger.get(path).content.decode()


@pytest.mark.parametrize("path", PAGES)
def test_no_page_shows_credentials(admin: Client, path: str) -> None:
    assert "geheim" not in html(admin, path)


@pytest.mark.parametrize("path", [*PAGES, "/login/"])
def test_no_page_has_inline_scripts_or_styles(admin: Client, path: str) -> None:
    client = Client() if path == "/login/" else admin
    page = html(client, path)
    scripts = re.findall(r"<script(?![^>]*\bsrc=)([^>]*)>", page)
    assert all('type="application/json"' in script for script in scripts)
    assert "<style" not in page
    assert not re.search(r"<[^>]+\s(style|on\w+)=", page)


def test_users_log_in_and_out(door: Camera) -> None:
    User.objects.create_superuser("root", password="a long password")
    client = Client(enforce_csrf_checks=False)
    assert client.post("/login/", {"username": "root", "password": "wrong"}).status_code == 200
    assert client.post("/login/", {"username": "root", "password": "a long password"})["Location"] == "/"
    assert "Front" in html(client, "/")
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/").status_code == 302


def test_the_wall_shows_a_player_for_each_camera_that_the_user_may_view(
    viewer: Client, stranger: Client
) -> None:
    page = html(viewer, "/")
    assert '<ninjacam-player camera="door" base="/"' in page
    assert "Front &lt;door&gt;" in page
    assert "<ninjacam-player" not in html(stranger, "/")
    assert "Ask an administrator" in html(stranger, "/")


def test_an_empty_wall_says_how_to_add_a_camera() -> None:
    page = html(client_of("root", is_superuser=True), "/")
    assert "ninjacam add door rtsp://" in page
    assert 'href="/add-camera/"' in page


@pytest.fixture
def engine(tmp_path: Path) -> Any:
    error = {
        "code": "processor",
        "message": "ZeroDivisionError",
        "traceback": "Traceback: line 3",
        "retryable": True,
    }
    report = {
        "updated_ns": time.time_ns(),
        "cameras": {
            "door": {
                "state": "live", "error": None, "codec": "h264", "width": 1280, "height": 720,
                "notices": [{"code": "clock_rate", "message": "The camera's clock runs 40 % slow."}],
            }
        },
        "processors": [{"name": "edges", "module": "site.cameras", "cameras": ["*"], "description": "Canny"}],
        "modules": [],
        "views": {"door": {"edges": {"state": "failed", "error": error, "ms_per_frame": 3.0, "fps": 0.0}}},
        "processes": [],
    }  # fmt: skip
    (tmp_path / "status.json").write_text(json.dumps(report))
    with override_settings(NINJACAM={"RUN_DIR": tmp_path, "DATA_DIR": tmp_path}):
        yield


@pytest.mark.usefixtures("engine")
def test_the_page_of_a_camera_shows_its_health_and_addresses(viewer: Client) -> None:
    page = html(viewer, "/cameras/door/?view=edges")
    assert "1280 \N{MULTIPLICATION SIGN} 720 h264" in page
    assert 'role="status"> The camera&#x27;s clock runs 40 % slow.</p>' in page
    assert "http://testserver/live/door/mjpeg?view=edges" in page
    assert "{% camera &quot;door&quot; view=&quot;edges&quot; %}" in page
    assert '<ninjacam-player camera="door" base="/" view="edges" controls=""' in page


@pytest.mark.usefixtures("engine")
def test_tracebacks_are_for_users_who_may_configure(viewer: Client, admin: Client) -> None:
    for client, sees in ((viewer, False), (admin, True)):
        page = html(client, "/cameras/door/")
        assert "ZeroDivisionError" in page
        assert ("Traceback: line 3" in page) is sees


@pytest.mark.usefixtures("engine")
def test_a_recovered_processor_shows_how_often_and_when_it_failed(
    viewer: Client, admin: Client, tmp_path: Path
) -> None:
    path = tmp_path / "status.json"
    report = json.loads(path.read_text())
    edges = report["views"]["door"]["edges"]
    failed_us = int(datetime(2026, 3, 2, 7, 5, 9, tzinfo=UTC).timestamp()) * 10**6
    edges |= {"last_error": edges["error"], "error": None, "failures": 7, "last_failed_us": failed_us}
    path.write_text(json.dumps(report))
    for client, sees in ((viewer, False), (admin, True)):
        page = html(client, "/cameras/door/")
        when = '<time datetime="2026-03-02T07:05:09+00:00" data-show="datetime">03/02/2026 7:05 a.m.</time>'
        assert f"“edges” failed 7 times, last at {when}: ZeroDivisionError" in page
        assert ("Traceback: line 3" in page) is sees


@pytest.mark.usefixtures("engine")
def test_the_wall_shows_the_selected_view_where_it_exists(viewer: Client) -> None:
    assert 'view="edges"' in html(viewer, "/?view=edges")
    assert 'view="other"' not in html(viewer, "/?view=other")


def test_an_unknown_view_of_a_camera_is_not_found(viewer: Client) -> None:
    html(viewer, "/cameras/door/?view=nothing", 404)


CAMERA = {"slug": "yard", "name": "Yard", "url": "rtsp://eve:pw@192.0.2.7/main", "transport": "tcp", "audio": "on",
          "verify_tls": "on", "enabled": "on"}  # fmt: skip


def test_adding_a_camera_leads_to_its_page(admin: Client) -> None:
    response = admin.post("/add-camera/", CAMERA)
    assert response["Location"] == "/cameras/yard/"
    source = Camera.objects.get(slug="yard").source()
    assert (source.url, source.username, source.password) == ("rtsp://192.0.2.7/main", "eve", "pw")


@pytest.mark.parametrize("password", ["pa/ss", "a#b", "a?b", "a[b", "50%", "p@s/s"])
def test_a_password_in_a_url_may_contain_unescaped_characters(admin: Client, password: str) -> None:
    admin.post("/add-camera/", {**CAMERA, "url": f"rtsp://eve:{password}@192.0.2.7/main"})
    source = Camera.objects.get(slug="yard").source()
    assert (source.url, source.username, source.password) == ("rtsp://192.0.2.7/main", "eve", password)


def test_a_user_who_adds_a_camera_may_view_it() -> None:
    adder = client_of("ada")
    User.objects.get(username="ada").user_permissions.add(Permission.objects.get(codename="add_camera"))
    assert adder.post("/add-camera/", CAMERA).status_code == 302
    html(adder, "/cameras/yard/")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"url": "gopher://192.0.2.7/"}, "gopher"),
        ({"url": "rtsp://eve:12/34@cam/main"}, "If the password contains one of / ? # [ @ :"),
        ({"url": ""}, "This field is required."),
        ({"slug": "door"}, "already"),
        ({"slug": "Yard"}, "Use a-z, 0-9"),
    ],
)
def test_an_invalid_value_is_named(admin: Client, change: dict[str, str], says: str) -> None:
    response = admin.post("/add-camera/", {**CAMERA, **change})
    assert response.status_code == 422
    assert says in response.content.decode()
    assert not Camera.objects.filter(name="Yard").exists()


def test_an_address_that_can_never_work_is_saved_only_after_confirmation(admin: Client) -> None:
    entered = {**CAMERA, "url": "rtsp://169.254.169.254/main"}
    refused = admin.post("/add-camera/", entered)
    assert refused.status_code == 422 and "cannot be the address of a camera" in refused.content.decode()
    assert (
        'name="save_anyway"' in refused.content.decode() and not Camera.objects.filter(slug="yard").exists()
    )
    assert 'name="save_anyway"' not in html(admin, "/add-camera/")
    assert admin.post("/add-camera/", {**entered, "save_anyway": "1"}).status_code == 302
    assert Camera.objects.get(slug="yard").url == "rtsp://169.254.169.254/main"
    same = admin.post("/cameras/yard/edit/", {**entered, "name": "Far"})  # The address does not change.
    assert same.status_code == 302


def test_editing_keeps_the_stored_password(admin: Client, door: Camera) -> None:
    entered = {**CAMERA, "slug": "door", "name": "Back door", "url": "rtsp://192.0.2.1/stream1"}
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    changed = Camera.objects.get(slug="door")
    assert changed.name == "Back door"
    assert changed.source().password == "geheim"


def test_the_stored_password_can_be_removed(admin: Client, door: Camera) -> None:
    entered = {**CAMERA, "slug": "door", "url": "rtsp://192.0.2.1/stream1", "forget_credentials": "on"}
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    assert Camera.objects.get(slug="door").source().password == ""


def test_another_host_requires_the_password_again(admin: Client, door: Camera) -> None:
    response = admin.post("/cameras/door/edit/", {**CAMERA, "url": "rtsp://192.0.2.99/stream1"})
    assert response.status_code == 422
    assert "another host" in response.content.decode()


def test_a_password_for_tls_must_be_entered_again_before_it_is_sent_in_clear_text(
    admin: Client, door: Camera
) -> None:
    door.set_source("rtsps://192.0.2.1:554/stream1", "ada", "geheim")
    door.save()
    for change in ({"url": "rtsp://192.0.2.1:554/stream1"}, {"url": door.url, "verify_tls": ""}):
        response = admin.post("/cameras/door/edit/", {**CAMERA, **change})
        assert (
            response.status_code == 422 and "Enter the user and password again" in response.content.decode()
        )
    assert Camera.objects.get(slug="door").url.startswith("rtsps:")


def test_a_viewer_cannot_change_or_delete(viewer: Client, door: Camera) -> None:
    assert viewer.post("/cameras/door/edit/", CAMERA).status_code == 403
    assert viewer.post("/cameras/door/delete/").status_code == 403
    assert Camera.objects.filter(slug="door").exists()


def test_deleting_asks_for_confirmation(admin: Client, door: Camera) -> None:
    assert "Delete Front &lt;door&gt;?" in html(admin, "/cameras/door/delete/")
    assert admin.post("/cameras/door/delete/")["Location"] == "/"
    assert not Camera.objects.exists()


def test_recording_is_switched_in_the_form_and_kept_by_forms_without_the_field(
    admin: Client, door: Camera
) -> None:
    entered = {**CAMERA, "slug": "door", "url": door.url, "record": "always"}
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    assert Camera.objects.get(pk=door.pk).record == "always"
    page = admin.get("/cameras/door/edit/").content.decode()
    assert '<option value="always" selected>' in page
    del entered["record"]
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    assert Camera.objects.get(pk=door.pk).record == "always"


def test_the_form_shows_pre_roll_and_post_roll_and_schedule(admin: Client, door: Camera) -> None:
    entered = {
        **CAMERA,
        "slug": "door",
        "url": door.url,
        "record": "events",
        "record_before_s": "0",
        "record_after_s": "30",
    }
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    changed = Camera.objects.get(pk=door.pk)
    assert (changed.record, changed.record_before_s, changed.record_after_s) == ("events", 0, 30)
    entered |= {"record": "schedule", "record_schedule": "mon-fry 07:00-08:00"}
    refused = admin.post("/cameras/door/edit/", entered)
    assert refused.status_code == 422 and "Unknown day “mon-fry”" in refused.content.decode()
    entered["record_schedule"] = "mon-fri 07:00-08:00"
    assert admin.post("/cameras/door/edit/", entered).status_code == 302
    assert Camera.objects.get(pk=door.pk).record_schedule == "mon-fri 07:00-08:00"


def test_recordings_are_for_users_who_may_replay(viewer: Client, stranger: Client, door: Camera) -> None:
    replayer = client_of("rita", "view", "replay")
    page = html(replayer, "/replay/?camera=door")
    assert '<ninjacam-player camera="door" base="/" controls="" data-name="Front &lt;door&gt;"' in page
    assert "<ninjacam-timeline" in page and "data-range" not in page
    assert 'href="/replay/"' in html(replayer, "/") and "<ninjacam-timeline" in html(
        replayer, "/cameras/door/"
    )
    assert "data-range" in html(client_of("eve", "view", "replay", "export"), "/cameras/door/")
    html(viewer, "/replay/?camera=door", 403)
    html(stranger, "/replay/?camera=door", 404)
    html(replayer, "/replay/?camera=nowhere", 404)
    assert "Ask an administrator" in html(viewer, "/replay/")
    assert "/replay/" not in html(viewer, "/") and "<ninjacam-timeline" not in html(viewer, "/cameras/door/")


def test_the_form_shows_all_errors_at_once(admin: Client) -> None:
    entered = {
        "slug": "Front Door",
        "url": "gopher://192.0.2.1/",
        "transport": "tcp",
        "record": "schedule",
        "record_schedule": "someday",
        "record_before_s": "61",
    }
    response = admin.post("/add-camera/", entered)
    assert response.status_code == 422
    assert set(response.context["form"].errors) == {"slug", "url", "record_schedule", "record_before_s"}
    assert all(len(messages) == 1 for messages in response.context["form"].errors.values())
    entered |= {"slug": "Probe!", "url": "rtsp://192.0.2.1/", "record_schedule": "", "record_before_s": "5"}
    errors = admin.post("/add-camera/", entered).context["form"].errors
    assert set(errors) == {"slug", "record_schedule"}


def sub_url() -> str:
    return ",".join(stream.url for stream in Stream.objects.filter(camera__slug="door", name="sub"))


def test_a_second_stream_is_added_changed_and_removed_in_the_form(admin: Client, door: Camera) -> None:
    edit, entered = "/cameras/door/edit/", {**CAMERA, "slug": "door", "url": door.url}
    assert admin.post(edit, {**entered, "sub_url": "rtsp://192.0.2.1/stream2"}).status_code == 302
    assert Stream.objects.get().source().password == "geheim"
    page = admin.get(edit).content.decode()
    assert 'value="rtsp://192.0.2.1/stream2"' in page
    assert admin.post(edit, entered).status_code == 302
    assert sub_url() == "rtsp://192.0.2.1/stream2", "a form without the field does not change it"
    assert admin.post(edit, {**entered, "sub_url": "rtsp://192.0.2.1/stream3"}).status_code == 302
    assert sub_url() == "rtsp://192.0.2.1/stream3"
    assert "Streams" in admin.get("/cameras/door/").content.decode()
    assert admin.post(edit, {**entered, "sub_url": ""}).status_code == 302
    assert sub_url() == ""
    assert "Streams" not in admin.get("/cameras/door/").content.decode()


def test_a_wrong_address_of_the_second_stream_is_shown_at_its_field(admin: Client, door: Camera) -> None:
    for path, entered in (("/cameras/door/edit/", {**CAMERA, "url": door.url}), ("/add-camera/", CAMERA)):
        refused = admin.post(path, {**entered, "slug": "new", "sub_url": "gopher://192.0.2.1/"})
        assert refused.status_code == 422 and 'id="id_sub_url"' in refused.content.decode()
        assert refused.context["form"].errors.keys() == {"sub_url"}
    assert not Stream.objects.exists() and Camera.objects.count() == 1


def test_a_camera_is_added_with_a_second_stream(admin: Client) -> None:
    entered = {**CAMERA, "slug": "gate", "url": "rtsp://192.0.2.5/1", "sub_url": "rtsp://192.0.2.5/2"}
    assert admin.post("/add-camera/", entered).status_code == 302
    assert str(Stream.objects.get()) == "gate.sub"


@pytest.mark.parametrize(
    ("roles", "sees"),
    [
        (["view"], set()),
        (["view", "control"], {'id="ptz"', 'id="patrol"', 'id="device"', 'data-part="imaging"', 'data-part="outputs"'}),
        (["configure"], {'id="device"', 'data-part="device"', 'data-do="clock"'}),
    ],
)  # fmt: skip
def test_the_device_is_controlled_and_configured_by_role(
    door: Camera, roles: list[str], sees: set[str]
) -> None:
    client = client_of("guard", *roles)
    parts = {'id="ptz"', 'id="patrol"', 'id="device"', 'data-part="imaging"', 'data-part="outputs"',
             'data-part="device"', 'data-do="clock"'}  # fmt: skip
    assert not any(part in html(client, "/cameras/door/") for part in parts)  # it does not accept commands
    Camera.objects.update(onvif_url="auto")
    page = html(client, "/cameras/door/")
    assert {part for part in parts if part in page} == sees
    Camera.objects.update(enabled=False)
    assert not any(part in html(client, "/cameras/door/") for part in parts)
