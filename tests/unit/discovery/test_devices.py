import json

from ninjacam.discovery.devices import MAX_EVIDENCE, Evidence, FoundDevice, FoundStream

ADDRESS = "192.168.1.20"


def device(*evidence: Evidence) -> FoundDevice:
    made = FoundDevice(ADDRESS)
    for each in evidence:
        made.add(each)
    return made


def test_evidence_of_several_sources_adds_up() -> None:
    made = device(
        Evidence(ADDRESS, "neighbour", "mac_camera", kind="camera", maker="Dahua", mac="08:ed:ed:00:00:01"),
        Evidence(ADDRESS, "rtsp", "rtsp_locked", port=554, needs_password=True),
        Evidence(ADDRESS, "onvif", "onvif_camera", kind="camera", maker="Amcrest", name="Door"),
    )
    assert made.certainty > 0.99 and made.kind == "camera"
    assert (made.text("maker"), made.text("name"), made.text("mac")) == (
        "Amcrest",
        "Door",
        "08:ed:ed:00:00:01",
    )
    assert made.codes[0] == "onvif_camera" and made.needs_password is True


def test_the_same_evidence_counts_once() -> None:
    first = Evidence(ADDRESS, "neighbour", "mac_camera", kind="camera")
    made = device(first)
    assert not made.add(Evidence(ADDRESS, "neighbour", "mac_camera", kind="camera", maker="Other"))
    assert made.certainty == 0.5 and made.text("maker") == ""
    for port in range(1000):
        made.add(Evidence(ADDRESS, "mdns", "mdns_service", port=port))
    assert len(made._evidence) == MAX_EVIDENCE
    assert made.certainty < 0.9


def test_an_open_stream_comes_first_and_needs_no_password() -> None:
    locked = FoundStream("rtsp://192.168.1.20/a", "main", "locked")
    opened = FoundStream("rtsp://192.168.1.20:8554/b", "main", "verified", "h264", 640, 360)
    made = device(
        Evidence(ADDRESS, "rtsp", "rtsp_locked", port=554, streams=(locked,), needs_password=True),
        Evidence(ADDRESS, "rtsp", "rtsp_video", port=8554, streams=(opened, locked), needs_password=False),
    )
    assert [stream.url for stream in made.streams] == [opened.url, locked.url]
    assert made.needs_password is False


def test_a_recorder_is_recognized_by_its_model() -> None:
    assert (
        device(Evidence(ADDRESS, "onvif", "onvif_camera", kind="camera", model="DS-7608NI-NVR")).kind
        == "recorder"
    )
    assert device(Evidence(ADDRESS, "http", "http_page", kind="phone", model="IP Webcam")).kind == "phone"
    assert device(Evidence(ADDRESS, "neighbour", "mac_mixed")).kind == "unknown"


def test_a_device_fits_into_a_line_of_json() -> None:
    made = device(Evidence(ADDRESS, "onvif", "onvif_camera", name="<script>alert('x')</script>\u2028"))
    line = json.dumps(made.as_dict())
    assert "\n" not in line and line.isascii()
