"""Cameras with one anomaly each, in the running product: the findings, and where the product shows them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from benchmarks.clips import cache_dir
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import CHROMIUM, Browser
from tests.harness.processes import wait_until
from tests.harness.server import Product
from tests.harness.still_scenes import encode_clip
from tests.harness.viewers import MjpegViewer

FINDINGS = {
    "fine": [],
    "lossy": ["packet_loss"],
    "lossy-udp": ["packet_loss"],
    "slow": ["frame_rate", "key_frame_interval"],
    "late": ["clock_offset"],
    "garbage": [],
    "dark": ["black", "software_decoding"],
}
"""The wheels of PyAV have no VA-API, so software decodes, and says so."""


def clip(width: int, height: int, bitrate_bps: int, *, fps: int = 25, gop: int = 25) -> Clip:
    seconds = max(4.0, gop / fps)
    options = SceneOptions(width, height, fps=fps, seconds=seconds, gop=gop, bitrate_bps=bitrate_bps)
    return make_clip(options, cache_dir=cache_dir())


@pytest.fixture(scope="module")
def cameras() -> Iterator[FakeRtspCamera]:
    small, large = clip(320, 180, 200_000), clip(960, 540, 900_000)
    black = encode_clip([np.full((180, 320), 16, np.uint8)] * 40, bitrate_bps=100_000)
    clips = {
        "/fine": small,
        "/lossy": large,
        "/lossy-udp": large,
        "/slow": clip(320, 180, 100_000, fps=12, gop=120),
        "/late": small,
        "/garbage": small,
        "/dark": black,
    }
    with FakeRtspCamera(clips, gop_at_once=True) as running:
        for path in clips:
            running.set_faults(path, sender_report_interval_s=1.0)
        running.set_faults("/lossy", loss=0.02)
        running.set_faults("/lossy-udp", loss=0.02)
        running.set_faults("/slow", declared_fps=25.0)
        running.set_faults("/late", wall_offset_s=-3720.0)
        running.set_faults("/garbage", wall_offset_s=-2_000_000_000.0, declared_fps=999.0)
        yield running


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory, cameras: FakeRtspCamera) -> Iterator[Product]:
    data, decode = tmp_path_factory.mktemp("health") / "data", {"NINJACAM_DECODE": "vaapi"}
    with Product(data, workers=1, environment=decode) as product:
        for slug in FINDINGS:
            transport = ["--transport=udp"] if slug == "lossy-udp" else []
            product.add_camera(slug, cameras.url(f"/{slug}"), *transport)
        yield product
        assert "Traceback" not in product.output


def findings_of(product: Product, slug: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = product.camera(slug)["health"]["findings"]
    return found


@pytest.fixture(scope="module")
def observed(product: Product) -> Product:
    """Yield the product once it has reported all findings."""

    def codes() -> dict[str, list[str]]:
        """Return the codes, without jitter, which a busy machine causes."""
        found = {slug: [finding["code"] for finding in findings_of(product, slug)] for slug in FINDINGS}
        return {slug: [code for code in each if code != "jitter"] for slug, each in found.items()}

    with MjpegViewer(product.url("/live/dark/mjpeg?width=160"), product.token):
        wait_until(lambda: codes() == FINDINGS, 60, "all findings", processes=[product])
    return product


def test_a_camera_that_loses_packets_says_how_many_and_what_to_do(observed: Product) -> None:
    for slug in ("lossy", "lossy-udp"):
        health = observed.camera(slug)["health"]
        (finding,) = health["findings"]
        assert 0.01 < health["packet_loss"] < 0.04
        assert finding["message"].startswith("The camera loses ") and "cable" in finding["advice"]


def test_a_camera_that_sends_fewer_frames_than_it_declares_says_so(observed: Product) -> None:
    health = observed.camera("slow")["health"]
    rate, interval = health["findings"]
    assert health["declared_fps"] == 25
    assert rate["message"] == "The camera sends 12 frames per second instead of 25."
    assert interval["message"].startswith("The camera sends a key frame every 10 s")


def test_a_camera_whose_clock_is_wrong_says_how_much(observed: Product) -> None:
    health = observed.camera("late")["health"]
    (finding,) = health["findings"]
    assert health["clock_offset_s"] == pytest.approx(-3720, abs=2)
    assert finding["message"] == "The camera's clock is 1 h 2 min behind."
    assert observed.camera("fine")["health"]["clock_offset_s"] == pytest.approx(0, abs=2)
    assert observed.camera("garbage")["health"]["clock_offset_s"] is None


def test_a_black_image_is_an_event(observed: Product) -> None:
    def events() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = observed.client.get("/api/v1/events?kind=camera_black").json()["items"]
        return found

    (event,) = wait_until(events, 10, "the event", processes=[observed])
    assert (event["camera"], event["label"]) == ("dark", "The camera shows a black image.")


def test_a_viewer_reads_the_advice(observed: Product) -> None:
    token = observed.make_token("viewer", "view:late")
    answer = observed.client.get("/api/v1/cameras/late", headers={"Authorization": f"Bearer {token}"})
    assert (
        answer.json()["health"]["findings"][0]["advice"]
        == "Enable NTP in the camera, and check its time zone."
    )
    assert "127.0.0.1" not in str(answer.json()["health"])


def test_commands_show_the_findings(observed: Product) -> None:
    line = next(line for line in observed.cli("list").splitlines() if line.startswith("slow "))
    assert "few frames +1" in line
    assert "The camera's clock is 1 h 2 min behind. Enable NTP" in observed.cli("show", "late")
    assert "WARN  camera late: The camera's clock is 1 h 2 min behind." in observed.cli("doctor", check=False)


def test_doctor_and_log_say_why_software_decodes(observed: Product) -> None:
    why = "PyAV's FFmpeg cannot decode h264 on vaapi."
    assert f"camera dark: The video is decoded in software: {why}" in observed.cli("doctor", check=False)
    assert observed.output.count(f"h264 video is decoded in software: {why}") == 1


def test_metrics_have_the_figures(observed: Product) -> None:
    text = observed.client.get("/metrics").text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert 0.01 < float(values['ninjacam_camera_packet_loss_ratio{camera="lossy"}']) < 0.04
    assert float(values['ninjacam_camera_clock_offset_seconds{camera="late"}']) == pytest.approx(-3720, abs=2)
    assert float(values['ninjacam_camera_declared_fps{camera="slow"}']) == 25
    assert float(values['ninjacam_camera_key_frame_interval_seconds{camera="slow"}']) == pytest.approx(
        10, abs=0.5
    )
    assert values['ninjacam_camera_finding{camera="late",code="clock_offset",level="warning"}'] == "1"
    assert "camera_jitter_seconds" not in text or "jitter_seconds{" in text


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_pages_show_the_findings(observed: Product, chromium: Browser) -> None:
    with chromium.tab() as tab:
        observed.sign_in(tab)
        tab.navigate(observed.url("/cameras/slow/"))
        items = "[...document.querySelectorAll('#findings li')].map(e => e.textContent)"
        tab.until(f"{items}.length === 2")
        first = tab.js(f"{items}[0]")
        assert first.startswith("The camera sends 12 frames per second instead of 25. Lower the resolution")
        tab.until("/12.* \\/ 25/.test(document.querySelector('[data-figure=fps]').textContent)")
        tab.navigate(observed.url("/"))
        pills = "[...document.querySelectorAll('[data-finding]')]"
        labels = f"Object.fromEntries({pills}.map(e => [e.dataset.slug, e.hidden ? '' : e.textContent]))"
        found = tab.js(labels)
        assert (found["fine"], found["late"], found["lossy"]) == ("", "clock", "packet loss")
