"""A device's description, the streams created from it, and advice about its settings."""

import json
from dataclasses import asdict, replace
from typing import Any

import pytest

from ninjacam.core.errors import AuthenticationError, SourceTimeoutError
from ninjacam.core.streams import MAX_STREAMS
from ninjacam.devices import description
from ninjacam.devices.advice import advise_device, advise_encoder
from ninjacam.devices.description import DeviceDescription, VideoProfile, describe_device, name_streams
from ninjacam.onvif.device import DeviceInformation
from ninjacam.onvif.media import Encoder
from ninjacam.onvif.recordings import RecordingSummary
from ninjacam.testing.onvif_camera import FakeOnvifCamera
from tests.unit.onvif.test_client import run

ENCODER = Encoder("e", "H264", 1920, 1080, 25, 4096, 50)


def profile(token: str, width_px: int, **changes: Any) -> VideoProfile:
    encoder = replace(ENCODER, token=f"e-{token}", width_px=width_px, height_px=width_px // 2)
    made = VideoProfile(token, token, "v1", f"rtsp://10.0.0.5/{token}", "", encoder)
    return replace(made, **changes)


@pytest.mark.parametrize("legacy", [False, True])
def test_a_device_is_described(legacy: bool) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.legacy = legacy
        camera.faults.clock_offset_s = 100
        found = run(camera, describe_device)
    assert (found.information.manufacturer, found.information.serial) == ("Example", "0001")
    assert found.functions == ("ptz", "imaging", "events", "outputs")
    assert abs(found.clock_offset_s - 100) < 3
    assert [(each.token, each.url, each.error) for each in found.profiles] == [
        ("sub", "rtsp://127.0.0.1:8554/sub", ""), ("main", "rtsp://127.0.0.1:8554/main", ""),
    ]  # fmt: skip
    assert [each.snapshot_url for each in found.profiles] == [
        f"http://127.0.0.1:{camera.port}/snapshot.jpg"
    ] * 2
    assert json.loads(json.dumps(asdict(found)))["profiles"][0]["encoder"]["width_px"] == 640


def test_a_stream_on_another_host_is_described_without_its_address() -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.stream_uri = "rtsp://169.254.169.254/latest"
        found = run(camera, describe_device)
    assert [each.url for each in found.profiles] == ["", ""]
    assert "another host" in found.profiles[0].error
    assert name_streams(found.profiles, {}) == {}


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        ("http://admin:secret@127.0.0.1:81/a.jpg?x=1", "http://127.0.0.1:81/a.jpg?x=1"),
        ("http://169.254.169.254/latest", ""),
        ("file:///etc/passwd", ""),
        ("http://127.0.0.1/" + 2000 * "x", ""),
        ("http://[::1", ""),
        (" ", ""),
    ],
)
def test_snapshots_are_described_at_the_devices_own_host_without_a_login(stated: str, shown: str) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.snapshot_uri = stated
        found = run(camera, describe_device)
    assert [each.snapshot_url for each in found.profiles] == [shown, shown]


@pytest.mark.parametrize("fault", ["ActionNotSupported", "NoEntity", "NotAuthorized"])
def test_a_device_without_snapshots_is_described(fault: str) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.fail = {"GetSnapshotUri": fault}
        found = run(camera, describe_device)
    assert [(bool(each.url), each.snapshot_url) for each in found.profiles] == [(True, ""), (True, "")]
    requests = 1 if fault == "NotAuthorized" else 2  # Cameras lock accounts.
    assert len(camera.named("GetSnapshotUri")) == requests


def test_a_device_that_does_not_return_its_snapshots_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "DETAILS_TIMEOUT_S", 0.2)
    with FakeOnvifCamera() as camera:
        camera.faults.delays_s = {"GetSnapshotUri": 60}
        found = run(camera, describe_device)
    assert [(bool(each.url), each.snapshot_url) for each in found.profiles] == [(True, ""), (True, "")]


@pytest.mark.parametrize("fault", ["ActionNotSupported", "NoEntity", "NotAuthorized"])
def test_a_device_that_only_describes_its_streams_is_described(fault: str) -> None:
    with FakeOnvifCamera(has_ptz=False) as camera:
        camera.faults.fail = {"GetDeviceInformation": fault, "GetRelayOutputs": fault}
        found = run(camera, describe_device)
    assert found.information == DeviceInformation() and found.functions == ("imaging", "events")
    assert len(found.profiles) == 2


def test_a_rejected_login_and_a_slow_device_are_typed_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeOnvifCamera() as camera:
        with pytest.raises(AuthenticationError):
            run(camera, describe_device, password="wrong")
        assert camera.rejected == 1, "cameras lock accounts"
        monkeypatch.setattr(description, "TIMEOUT_S", 0.2)
        camera.faults.delays_s = {"GetProfiles": 60}
        with pytest.raises(SourceTimeoutError, match="did not describe itself"):
            run(camera, describe_device)


def test_only_so_many_profiles_are_asked_for() -> None:
    with FakeOnvifCamera() as camera:
        camera.encoders = {str(number): dict(camera.encoders["main"]) for number in range(60)}
        found = run(camera, describe_device)
        assert len(found.profiles) == len(camera.named("GetStreamUri")) == description.MAX_PROFILES


@pytest.mark.parametrize("legacy", [False, True])
def test_the_recordings_of_a_device_are_summarized(legacy: bool) -> None:
    with FakeOnvifCamera() as camera:
        camera.faults.legacy = legacy
        assert run(camera, describe_device).recordings is None
        assert not camera.named("GetRecordingSummary")
        camera.extras.recordings = ("2", "2026-01-01T00:00:00Z", "2026-01-01T02:00:00.5+01:00")
        found = run(camera, describe_device)
    assert found.recordings == RecordingSummary(2, 1_767_225_600.0, 1_767_229_200.5)
    assert found.profiles[0].snapshot_url


@pytest.mark.parametrize(
    ("stated", "shown"),
    [
        (("0", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z"), RecordingSummary(0)),
        (("1", "2026-01-01T00:00:00", "2026-01-01T00:00:01"), RecordingSummary(1, 1_767_225_600, 1_767_225_601)),
        (("1", "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"), RecordingSummary(1)),
        (("1", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"), RecordingSummary(1)),
        (("1", "yesterday", ""), RecordingSummary(1)),
        (("-1", "", ""), None),
        (("99999999999", "", ""), None),
        (("many", "", ""), None),
    ],
)  # fmt: skip
def test_false_summaries_of_recordings_are_bounded(
    stated: tuple[str, str, str], shown: RecordingSummary | None
) -> None:
    with FakeOnvifCamera() as camera:
        camera.extras.recordings = stated
        assert run(camera, describe_device).recordings == shown


@pytest.mark.parametrize("fault", ["ActionNotSupported", "NotAuthorized", "slow"])
def test_a_device_that_does_not_return_its_recordings_is_described(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(description, "DETAILS_TIMEOUT_S", 0.5)
    with FakeOnvifCamera() as camera:
        camera.extras.recordings = ("1", "", "")
        if fault == "slow":
            camera.faults.delays_s = {"GetRecordingSummary": 60}
        else:
            camera.faults.fail = {"GetRecordingSummary": fault}
        found = run(camera, describe_device)
    assert found.recordings is None and found.profiles[1].snapshot_url


# --- names of streams ---

THREE = [profile("small", 640), profile("large", 2560), profile("medium", 1280)]


def test_the_largest_profile_is_main_and_the_others_are_subs_from_the_smallest() -> None:
    assert name_streams(THREE, {}) == {"large": "main", "small": "sub", "medium": "sub2"}


def test_the_streams_that_a_camera_has_keep_their_names() -> None:
    present = {"main": "rtsp://10.0.0.5:554/small", "sub": "rtsp://10.0.0.9/other"}
    assert name_streams(THREE, present) == {"small": "main", "medium": "sub2", "large": "sub3"}
    full = {"main": "rtsp://10.0.0.5/large", "sub": "rtsp://10.0.0.5/small", "x": "rtsp://10.0.0.5/medium"}
    assert name_streams(THREE, full) == {"large": "main", "small": "sub", "medium": "x"}


def test_an_unknown_address_of_main_is_taken_for_the_largest_profile() -> None:
    """Cameras have several paths for one stream."""
    named = name_streams(THREE, {"main": "rtsp://10.0.0.5/h264/ch1"})
    assert named == {"large": "main", "small": "sub", "medium": "sub2"}


def test_a_stored_address_with_a_masked_secret_is_recognized() -> None:
    profiles = [profile("a", 640, url="rtsp://10.0.0.5/live?password=hunter2&stream=1"), THREE[1]]
    present = {"main": "rtsp://10.0.0.5/large", "sub": "rtsp://10.0.0.5/live?password=***&stream=1"}
    assert name_streams(profiles, present) == {"large": "main", "a": "sub"}


def test_profiles_that_are_not_other_streams_are_skipped() -> None:
    large = THREE[1]
    profiles = [
        large,
        replace(large, token="same-url", encoder=replace(large.encoder, token="e2", width_px=640)),
        replace(large, token="same-encoder", url="rtsp://10.0.0.5/copy"),
        profile("second-lens", 640, source="v2"),
        profile("no-url", 640, url="", error="It names another host."),
        profile("mpeg4", 640, encoder=replace(ENCODER, codec="MPEG4", width_px=640)),
    ]
    assert name_streams(profiles, {}) == {"large": "main"}
    assert name_streams(profiles, {"main": large.url}) == {
        "large": "main", "same-url": "main",
    }  # fmt: skip


def test_a_camera_gets_at_most_the_maximum_number_of_streams() -> None:
    profiles = [profile(f"p{number}", 100 + number) for number in range(16)]
    named = name_streams(profiles, {"main": "rtsp://10.0.0.5/p15", "x": "rtsp://10.0.0.6/"})
    assert len(named) == 1 + MAX_STREAMS - 1
    assert name_streams([], {}) == {}


# --- advice ---


@pytest.mark.parametrize(
    ("changes", "code", "says"),
    [
        ({}, "", ""),
        ({"gop_frames": 250}, "key_frames_rare", "key frame every 10 s delays the first picture; set 2 s (50"),
        ({"gop_frames": 5}, "key_frames_frequent", "every 0.2 s"),
        ({"codec": "H265", "bitrate_kbps": 2048}, "h265", "set H.264"),
        ({"codec": "JPEG", "bitrate_kbps": 0}, "jpeg", "Motion JPEG"),
        ({"fps": 5, "gop_frames": 10, "bitrate_kbps": 1000}, "fps_low", "jerky"),
        ({"bitrate_kbps": 512}, "bitrate_low", "512 kbit/s is little for 1920x1080"),
        ({"bitrate_kbps": 20_000}, "bitrate_high", "set"),
        ({"fps": 0, "gop_frames": 0, "bitrate_kbps": 0}, "", ""),
        ({"width_px": 0}, "", ""),
    ],
)  # fmt: skip
def test_advice_about_an_encoder_is_one_sentence(changes: dict[str, Any], code: str, says: str) -> None:
    advice = advise_encoder(replace(ENCODER, **changes))
    assert [each.code for each in advice] == ([code] if code else [])
    if code == "bitrate_high":
        says = "without a better picture"
    assert all(says in each.message and each.message.count(". ") == 0 for each in advice)


@pytest.mark.parametrize(
    ("offset_s", "says"),
    [(4.0, ""), (-5.5, "6 seconds behind"), (300.0, "5 minutes ahead"), (-30_000.0, "8 hours behind"), (1e9, "days")],
)  # fmt: skip
def test_advice_about_the_clock(offset_s: float, says: str) -> None:
    found = DeviceDescription(DeviceInformation(), (), offset_s, tuple(THREE))
    advice = advise_device(found)
    assert [says in each.message for each in advice] == ([True] if says else [])


def test_a_camera_with_one_large_profile_should_get_another_one() -> None:
    found = DeviceDescription(DeviceInformation(), (), 0.0, (THREE[1],))
    assert [each.code for each in advise_device(found)] == ["one_profile"]
    assert not advise_device(replace(found, profiles=(THREE[0],)))
