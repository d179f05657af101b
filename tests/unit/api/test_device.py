"""Devices in the API: a camera over real HTTP, behind the socket of its capture process."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from ninjacam.devices import onvif_device
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.server import DeviceServer
from ninjacam.models import Camera, CameraGrant, Stream
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.unit.conftest import signed_in

pytestmark = pytest.mark.django_db


@contextmanager
def served(run_dir: Path, device: FakeOnvifCamera, slug: str = "dome") -> Iterator[None]:
    """Run the socket for commands to a device in a thread, as the capture process does."""
    ready, ended = threading.Event(), threading.Event()

    async def serve() -> None:
        config = SourceConfig(device.url, username="admin", password="secret")
        server = DeviceServer(run_dir, slug, OnvifDevice(config))
        await server.start()
        ready.set()
        await asyncio.to_thread(ended.wait)
        await server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    try:
        yield
    finally:
        ended.set()
        thread.join(20)


@pytest.fixture
def device() -> Iterator[FakeOnvifCamera]:
    with FakeOnvifCamera() as started:
        yield started


@pytest.fixture
def dome(db: None) -> Camera:
    made = Camera(slug="dome", onvif_url="http://127.0.0.1/")
    made.set_source("rtsp://127.0.0.1:8554/main", "admin", "secret")
    made.save()
    return made


@pytest.fixture
def served_dome(dome: Camera, device: FakeOnvifCamera, run_dir: Path) -> Iterator[Camera]:
    with served(run_dir, device):
        yield dome


@pytest.fixture
def admin(admin_user: User) -> Client:
    return signed_in(admin_user)


def with_role(name: str, camera: Camera, role: str) -> Client:
    user = User.objects.create_user(name)
    CameraGrant.objects.create(camera=camera, user=user, role=role)
    return signed_in(user)


def send(client: Client, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
    call = getattr(client, method)
    return call(f"/api/v1/cameras/{path}", data=json.dumps(body or {}), content_type="application/json")


def get(client: Client, path: str) -> Any:
    return client.get(f"/api/v1/cameras/{path}")


def test_a_device_is_described_with_advice(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.encoders["main"]["gop"] = "250"
    device.faults.clock_offset_s = 600
    device.faults.snapshot_uri = "http://127.0.0.1/image.jpg?token=hunter2"
    found = get(admin, "dome/device").json()
    assert (found["manufacturer"], found["model"], found["firmware"]) == ("Example", "Dome 5", "1.2.3")
    assert found["functions"] == ["ptz", "imaging", "events", "outputs"]
    assert abs(found["clock_offset_s"] - 600) < 3 and found["advice"][0]["code"] == "clock"
    sub, main = found["profiles"]
    assert (main["stream"], main["url"]) == ("main", "rtsp://127.0.0.1:8554/main")
    assert (sub["stream"], sub["url"]) == (None, "rtsp://127.0.0.1:8554/sub")
    assert main["snapshot_url"] == "http://127.0.0.1/image.jpg?token=***"
    assert main["encoder"] == {
        "codec": "H264", "width_px": 1920, "height_px": 1080, "fps": 25, "bitrate_kbps": 4096, "gop_frames": 250,
    }  # fmt: skip
    assert [each["code"] for each in main["advice"]] == ["key_frames_rare"]


def test_the_recordings_of_a_device_are_summarized(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera
) -> None:
    assert get(admin, "dome/device").json()["recordings"] is None
    device.extras.recordings = ("1", "2026-01-01T00:00:00Z", "2026-01-08T12:00:00Z")
    body = {"url": "rtsp://127.0.0.1/", "username": "admin", "password": "secret", "onvif_url": device.url}
    found = send(admin, "post", "probe/device", body).json()["recordings"]
    assert found == {"count": 1, "start": "2026-01-01T00:00:00Z", "end": "2026-01-08T12:00:00Z"}


def test_the_streams_of_a_device_are_added_once(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "ninjacam.audit"):
        added = send(admin, "post", "dome/device/streams")
    assert added.status_code == 201
    assert [(each["name"], each["url"]) for each in added.json()["streams"]] == [
        ("sub", "rtsp://127.0.0.1:8554/sub")
    ]
    assert '"verb": "stream.create", "subject": "dome", "by": "root' in caplog.text
    stream = Stream.objects.get()
    assert not stream.has_credentials and stream.source().username == "admin"  # the camera's, at its own port
    assert send(admin, "post", "dome/device/streams").json() == {"streams": []}


def test_a_login_is_not_used_at_another_port_of_the_device(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.faults.stream_uri = "http://127.0.0.1:6379/video"
    send(admin, "post", "dome/device/streams")
    assert not any(stream.source().username for stream in Stream.objects.all())


def test_a_device_that_names_another_host_adds_no_stream(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.faults.stream_uri = "rtsp://169.254.169.254/latest"
    assert send(admin, "post", "dome/device/streams").json() == {"streams": []}
    profile = get(admin, "dome/device").json()["profiles"][0]
    assert profile["url"] is None and "another host" in profile["error"]


def test_encoder_settings_are_shown_and_changed(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera, caplog: pytest.LogCaptureFixture
) -> None:
    found = get(admin, "dome/device/encoders/main").json()
    assert found["encoder"]["codec"] == "H264" and found["advice"] == []
    assert found["options"][1] == {
        "codec": "H265",
        "sizes": [{"width_px": 1920, "height_px": 1080}, {"width_px": 1280, "height_px": 720},
                  {"width_px": 640, "height_px": 360}],
        "fps": [5, 15, 25, 30], "fps_range": None, "bitrate_kbps": {"min": 64, "max": 8192},
        "gop_frames": {"min": 1, "max": 100},
    }  # fmt: skip
    changes = {"codec": "H265", "width_px": 1280, "height_px": 720, "fps": 15, "bitrate_kbps": 1000}
    with caplog.at_level("INFO", "ninjacam.audit"):
        assert send(admin, "patch", "dome/device/encoders/main", changes).status_code == 204
    assert device.encoders["main"] == {
        "codec": "H265", "width": "1280", "height": "720", "fps": "15", "kbps": "1000", "gop": "50",
    }  # fmt: skip
    assert device.encoders["sub"]["codec"] == "H264"
    assert '"verb": "encoder.update", "subject": "dome"' in caplog.text and '"result": "ok"' in caplog.text


@pytest.mark.parametrize(
    ("path", "changes", "status", "code"),
    [
        ("main", {"width_px": 1281}, 502, "command_rejected"),
        ("main", {"fps": 24}, 502, "command_rejected"),
        ("main", {"codec": "VP8"}, 502, "command_rejected"),
        ("none/such", {"fps": 25}, 502, "command_rejected"),
        ("main", {}, 422, "invalid"),
        ("main", {"fps": 0}, 422, "invalid"),
        ("main", {"nonsense": 1}, 422, "invalid"),
    ],
)
def test_only_offered_values_are_sent(
    admin: Client,
    served_dome: Camera,
    device: FakeOnvifCamera,
    path: str,
    changes: dict[str, Any],
    status: int,
    code: str,
) -> None:
    answer = send(admin, "patch", f"dome/device/encoders/{path}", changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert not device.named("SetVideoEncoderConfiguration")


def test_the_clock_is_set(
    admin: Client, served_dome: Camera, device: FakeOnvifCamera, caplog: pytest.LogCaptureFixture
) -> None:
    device.faults.clock_offset_s = -9000
    with caplog.at_level("INFO", "ninjacam.audit"):
        assert abs(send(admin, "put", "dome/device/clock").json()["offset_s"]) < 3
    assert abs(device.faults.clock_offset_s) < 3
    assert '"verb": "clock.set"' in caplog.text


def test_imaging_and_outputs_need_the_role_control(
    served_dome: Camera, device: FakeOnvifCamera, caplog: pytest.LogCaptureFixture
) -> None:
    client = with_role("guard", served_dome, "control")
    found = get(client, "dome/imaging").json()
    assert found["ir_cut_filters"] == ["on", "off", "auto"]
    assert found["levels"]["brightness"] == {"value": 50, "min": 0, "max": 100}
    with caplog.at_level("INFO", "ninjacam.audit"):
        changes = {"ir_cut_filter": "off", "brightness": 60}
        assert send(client, "patch", "dome/imaging", changes).status_code == 204
        assert send(client, "post", "dome/focus", {"speed": -0.5, "duration_s": 0.05}).status_code == 204
        assert send(client, "put", "dome/outputs/relay1", {"active": True}).status_code == 204
    assert (device.imaging["IrCutFilter"], device.imaging["Brightness"]) == ("OFF", "60")
    assert [each.name for each in device.named("Move", "Stop")] == ["Move", "Stop"]
    assert get(client, "dome/outputs").json()["outputs"][0]["token"] == "relay1"
    assert device.relays == {"relay1": "active"}
    for verb in ("imaging.update", "focus.move", "output.set"):
        assert f'"verb": "{verb}", "subject": "dome", "by": "guard' in caplog.text
    for method, path, body in (
        ("patch", "dome/imaging", {"brightness": 500}),
        ("post", "dome/focus", {"speed": 0}),
        ("put", "dome/outputs/other", {"active": True}),
    ):
        assert send(client, method, path, body).json()["code"] == "command_rejected"
    for path in ("dome/device", "dome/device/encoders/main"):
        assert get(client, path).status_code == 403
    for method, path, body in (
        ("put", "dome/device/clock", {}),
        ("post", "dome/device/streams", {}),
        ("post", "dome/probe/device", {}),
        ("patch", "dome/device/encoders/main", {"gop_frames": 50}),
    ):
        assert send(client, method, path, body).status_code == 403


def test_the_lamp_is_one_of_the_imaging_settings(
    served_dome: Camera, device: FakeOnvifCamera, caplog: pytest.LogCaptureFixture
) -> None:
    device.extras.auxiliary, device.extras.auxiliary_in = ["tt:IRLamp|On", "tt:IRLamp|Off"], "services"
    client = with_role("guard", served_dome, "control")
    assert get(client, "dome/imaging").json()["ir_lamp_modes"] == ["on", "off"]
    with caplog.at_level("INFO", "ninjacam.audit"):
        assert send(client, "patch", "dome/imaging", {"ir_lamp": "on"}).status_code == 204
    assert '"verb": "imaging.update", "subject": "dome", "by": "guard' in caplog.text
    assert not device.named("SetImagingSettings")
    both = {"ir_lamp": "off", "ir_cut_filter": "on"}
    assert send(client, "patch", "dome/imaging", both).status_code == 204
    sent = device.named("SendAuxiliaryCommand")
    assert [each.values["AuxiliaryCommand"] for each in sent] == ["tt:IRLamp|On", "tt:IRLamp|Off"]
    assert device.imaging["IrCutFilter"] == "ON"
    refused = send(client, "patch", "dome/imaging", {"ir_lamp": "auto", "ir_cut_filter": "off"})
    assert refused.json()["code"] == "command_rejected" and "It offers: on, off" in refused.json()["detail"]
    assert send(client, "patch", "dome/imaging", {"ir_lamp": "reboot"}).status_code == 422
    viewer = with_role("viewer", served_dome, "view")
    assert send(viewer, "patch", "dome/imaging", {"ir_lamp": "on"}).status_code == 403
    assert len(device.named("SendAuxiliaryCommand")) == 2 and device.imaging["IrCutFilter"] == "ON"


def test_a_camera_has_a_lamp_without_other_imaging_settings(
    served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.extras.auxiliary = ["tt:IRLamp|On"]
    device.faults.fail = {"GetImagingSettings": "NoImagingForSource"}
    client = with_role("guard", served_dome, "control")
    found = get(client, "dome/imaging").json()
    assert (found["ir_lamp_modes"], found["levels"]) == (["on"], {})
    assert send(client, "patch", "dome/imaging", {"ir_lamp": "on"}).status_code == 204


@pytest.mark.parametrize("fault", ["ActionNotSupported", "NotAuthorized"])
def test_imaging_settings_are_returned_without_the_lamp(
    served_dome: Camera, device: FakeOnvifCamera, fault: str
) -> None:
    device.extras.auxiliary = ["tt:IRLamp|On"]
    device.faults.fail = {"GetNodes": fault, "GetServiceCapabilities": fault}
    client = with_role("guard", served_dome, "control")
    for _ in range(2):
        found = get(client, "dome/imaging").json()
        assert (found["ir_lamp_modes"], found["ir_cut_filter"]) == ([], "auto")
    assert len(device.named("GetNodes")) == 1


def test_imaging_settings_do_not_wait_for_the_lamp(
    served_dome: Camera, device: FakeOnvifCamera, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onvif_device, "LAMP_TIMEOUT_S", 0.2)
    device.extras.auxiliary = ["tt:IRLamp|On"]
    device.faults.delays_s = {"GetNodes": 60}
    client = with_role("guard", served_dome, "control")
    assert get(client, "dome/imaging").json()["ir_lamp_modes"] == []
    device.faults.delays_s = {}
    assert get(client, "dome/imaging").json()["ir_lamp_modes"] == ["on"]


def test_the_focus_stops_although_the_answer_to_its_movement_is_lost(
    served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.faults.fail = {"Move": "OperationProhibited"}
    client = with_role("guard", served_dome, "control")
    assert send(client, "post", "dome/focus", {"speed": 1}).json()["code"] == "command_rejected"
    assert device.named("Stop")


def test_errors_of_a_device_are_shown_without_addresses_to_users_without_configure(
    served_dome: Camera, device: FakeOnvifCamera
) -> None:
    device.faults.raw = {"GetImagingSettings": b"SSH-2.0-OpenSSH_9.2\r\n"}
    answer = get(with_role("guard", served_dome, "control"), "dome/imaging")
    assert (answer.status_code, answer.json()["code"]) == (502, "not_a_camera")
    assert answer.json()["detail"] == "What answers at the camera's address is not a camera."


# --- before a camera is saved ---


def test_the_device_of_a_new_camera_is_described(admin: Client, device: FakeOnvifCamera) -> None:
    body = {"url": "rtsp://127.0.0.1/", "username": "admin", "password": "secret", "onvif_url": device.url}
    answer = send(admin, "post", "probe/device", body)
    assert answer.status_code == 200, answer.content
    named = {each["stream"]: each["url"] for each in answer.json()["profiles"]}
    assert named == {"main": "rtsp://127.0.0.1:8554/main", "sub": "rtsp://127.0.0.1:8554/sub"}
    assert not Stream.objects.exists() and "secret" not in answer.content.decode()


def test_changes_to_a_camera_are_used_to_describe_its_device(
    admin: Client, dome: Camera, device: FakeOnvifCamera
) -> None:
    """The stored login is used, but sent only to the host that it was entered for."""
    answer = send(admin, "post", "dome/probe/device", {"onvif_url": device.url})
    assert [each["stream"] for each in answer.json()["profiles"]] == ["sub", "main"]
    rejected = device.rejected
    answer = send(
        admin, "post", "dome/probe/device", {"onvif_url": device.url.replace("127.0.0.1", "localhost")}
    )
    assert answer.json()["code"] == "authentication_failed"
    assert device.rejected == rejected + 1 and not any(
        b"Security" in body for body in list(device.bodies)[-1:]
    )


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"url": "rtsp://127.0.0.1/", "onvif_url": "ftp://127.0.0.1/"}, 422, "invalid"),
        ({"url": "file:/x.mp4"}, 422, "invalid"),
        (
            {"url": "rtsp://169.254.169.254/", "onvif_url": "http://169.254.169.254/"},
            502,
            "forbidden_address",
        ),
        ({"url": "rtsp://127.0.0.1/", "onvif_url": "http://127.0.0.1:9/"}, 502, "connection_refused"),
    ],
)
def test_devices_that_cannot_be_described_are_typed_errors(
    admin: Client, body: dict[str, Any], status: int, code: str
) -> None:
    answer = send(admin, "post", "probe/device", body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_only_users_who_may_add_cameras_describe_new_devices(dome: Camera) -> None:
    client = with_role("owner", dome, "configure")
    assert send(client, "post", "probe/device", {"url": "rtsp://127.0.0.1/"}).status_code == 403
