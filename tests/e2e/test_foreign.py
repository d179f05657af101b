"""Interoperability with third-party software: GStreamer's cameras; ffmpeg, ffprobe and Chromium as clients."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Literal

import pytest

from benchmarks.proc import descendants
from tests.harness.cameras import GstCamera, gstreamer_missing
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s, spell
from tests.harness.processes import is_alive, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, Picture, WsViewer

pytestmark = [
    pytest.mark.gstreamer,
    pytest.mark.skipif(bool(gstreamer_missing()), reason=f"no GStreamer RTSP server: {gstreamer_missing()}"),
]
needs_ffmpeg = pytest.mark.skipif(
    not (shutil.which("ffmpeg") and shutil.which("ffprobe")),
    reason="ffmpeg is not installed (apt install ffmpeg).",
)
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed (apt install chromium)."
)
USER, SECRET, WRONG = "viewer", "geheim/mit@zeichen", "falsch-und-geheim"
PLAYER = "document.querySelector('ninjacam-player')"
CAMERAS_PY = """
from ninjacam import Frame, processor

@processor
def lower(frame: Frame) -> None:
    frame.image[frame.image.shape[0] // 2 :] //= 2
"""


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data = tmp_path_factory.mktemp("foreign")
    data.joinpath("cameras.py").write_text(CAMERAS_PY)
    with Product(data, workers=2) as product:
        yield product


@pytest.fixture(scope="module")
def door(product: Product) -> Iterator[GstCamera]:
    """H.264, 720p25, without authentication. The product calls it "door"."""
    with GstCamera() as camera:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        yield camera


# Cameras


@pytest.mark.parametrize(
    ("codec", "login"),
    [("h264", ""), ("h264", "basic"), ("h264", "digest"), ("h265", ""), ("mjpeg", "digest")],
    ids=["h264", "h264-basic", "h264-digest", "h265", "mjpeg-digest"],
)
def test_a_camera_is_live_with_a_frame(
    product: Product, codec: Literal["h264", "h265", "mjpeg"], login: str
) -> None:
    user, slug = USER if login else "", f"{codec}{login}"
    with GstCamera(codec=codec, user=user, password=SECRET, digest=login == "digest") as camera:
        added = product.cli(
            "add", slug, camera.url(), *(["--username", USER, "--password-stdin"] if login else []),
            stdin=SECRET + "\n",
        )  # fmt: skip
        assert f"{'hevc' if codec == 'h265' else codec}, 1280 x 720" in added
        told = product.wait_for_state(slug)
        assert told["error"] is None
        answer = product.client.get(f"/live/{slug}/snapshot.jpg")
        assert answer.status == 200, answer.text
        assert Picture(0, answer.body).stamp is not None
        assert product.client.request("DELETE", f"/api/v1/cameras/{slug}").status == 204


@pytest.mark.parametrize("digest", [False, True], ids=["basic", "digest"])
def test_a_wrong_password_fails_with_a_readable_error_that_never_contains_it(
    product: Product, digest: bool
) -> None:
    slug = "wrong-digest" if digest else "wrong-basic"
    with GstCamera(user=USER, password=SECRET, digest=digest) as camera:
        product.add_camera(slug, camera.url(), username=USER, password=WRONG)
        told = product.wait_for_state(slug, "failed")
        assert told["error"]["code"] == "authentication_failed"
        assert told["error"]["message"].endswith(".") and "password" in told["error"]["message"]
        assert told["source"]["has_credentials"] is True
        connects = camera.state()["connects"]
        time.sleep(2)
        assert camera.state()["connects"] == connects, "a camera locks the account of who keeps trying"
        answers = [
            product.client.get(f"/api/v1/cameras/{slug}").text,
            product.client.get("/api/v1/cameras").text,
            product.client.get(f"/live/{slug}/snapshot.jpg").text,
            product.client.get("/metrics").text,
            product.login().get(f"/cameras/{slug}/edit/").text,
            product.login().get(f"/cameras/{slug}/").text,
        ]
        for where, text in (
            ("an answer", "".join(answers)),
            ("the log", product.output),
            ("the process list", process_list(product.pid)),
        ):
            assert WRONG not in text, where
        kept = [path for path in product.data.rglob("*") if path.is_file()]
        assert product.data / "run/status.json" in kept
        for path in kept:
            assert WRONG.encode() not in path.read_bytes(), path
        product.client.request("DELETE", f"/api/v1/cameras/{slug}")


def process_list(pid: int) -> str:
    """Return the command lines and environments of a process and its descendants."""
    found = ""
    for member in descendants(pid):
        for name in ("cmdline", "environ"):
            if is_alive(member):
                found += Path(f"/proc/{member}/{name}").read_bytes().decode("utf-8", "replace")
    return found


# ffmpeg and ffprobe

AS_THEY_ARE = ["-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "null", "-"]
"""Options that keep each frame's timestamp.

By default, ffmpeg rounds timestamps to a constant rate and warns about duplicates, which occur while the camera's
computer is busy.
"""


def ffmpeg(*arguments: str, timeout_s: float = 30) -> str:
    """Return both outputs of the program. Raises: AssertionError: it failed."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def mjpeg_source(product: Product, how: str, view: str = "") -> list[str]:
    """Return ffmpeg's arguments for MJPEG from the product, with a token in a header or with a signed URL."""
    if how == "token":
        header = f"Authorization: Bearer {product.token}\r\n"
        return ["-headers", header, "-i", product.url(f"/live/door/mjpeg?view={view}")]
    body = {"camera": "door", "kind": "mjpeg", "view": view}
    answer = product.client.post("/api/v1/links", json_body=body)
    assert answer.status == 201, answer.text
    return ["-i", answer.json()["url"]]


@needs_ffmpeg
@pytest.mark.alone
@pytest.mark.ffmpeg
@pytest.mark.parametrize(("how", "view"), [("token", ""), ("signed", "lower")])
def test_ffmpeg_reads_our_mjpeg_at_full_rate(product: Product, door: GstCamera, how: str, view: str) -> None:
    with MjpegViewer(product.url(f"/live/door/mjpeg?view={view}"), product.token) as viewer:
        viewer.wait_live()  # the decoder runs now, so the measurement covers the stream only
        source = mjpeg_source(product, how, view)
        with spell() as passed:
            printed = ffmpeg(
                "ffmpeg", "-hide_banner", "-use_wallclock_as_timestamps", "1", *source,
                "-t", "3", "-fps_mode", "passthrough", "-f", "null", "-",
            )  # fmt: skip
    assert int(re.findall(r"frame=\s*(\d+)", printed)[-1]) * passed.slowdown >= 3 * 24, printed
    assert "error" not in printed.lower(), printed


@needs_ffmpeg
@pytest.mark.ffmpeg
def test_ffprobe_reads_our_mjpeg(product: Product, door: GstCamera) -> None:
    shown = "stream=codec_name,width,height"
    printed = ffmpeg(
        "ffprobe", "-v", "warning", *mjpeg_source(product, "token"), "-show_entries", shown, "-of", "csv=p=0"
    )
    assert printed.split() == ["mjpeg,1280,720"]


@needs_ffmpeg
@pytest.mark.ffmpeg
@pytest.mark.parametrize("view", ["", "lower"], ids=["raw", "processed"])
@pytest.mark.parametrize(("format", "suffix"), [("annexb", "h264"), ("fmp4", "mp4")])
def test_ffprobe_reads_the_websocket_stream(
    product: Product, door: GstCamera, tmp_path: Path, format: str, suffix: str, view: str
) -> None:
    with WsViewer(product.websocket_url, product.token, [("door", view)], format=format) as viewer:
        wait_until(lambda: len(viewer.units) >= 100, 15, "100 access units")
        units = viewer.units[:100]
    assert units[0].key
    path = tmp_path / f"dump.{suffix}"
    path.write_bytes(b"".join(unit.data for unit in units))
    for reader in (
        [
            "ffprobe",
            "-v",
            "warning",
            "-count_frames",
            "-show_entries",
            "stream=codec_name,nb_read_frames,width,height",
        ],
        ["ffmpeg", "-v", "warning", "-xerror", "-i"],
    ):
        probing = reader[0] == "ffprobe"
        printed = ffmpeg(*reader, str(path), *(["-of", "csv=p=0"] if probing else AS_THEY_ARE))
        assert printed.split() == (["h264,1280,720,100"] if probing else []), (
            printed,
            [(unit.sequence, unit.pts_us, unit.key, len(unit.data)) for unit in units],
        )


# Chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser, product: Product, door: GstCamera) -> Iterator[Tab]:
    """Open the page of the camera "door"."""
    with browser.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url("/cameras/door/"))
        yield tab
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]


def play(tab: Tab, **attributes: str) -> None:
    for name, value in attributes.items():
        tab.js(f"{PLAYER}.setAttribute({name!r}, {value!r})")
    tab.until(f"{PLAYER}.state === 'live'", 15)
    tab.wait_for_stamp("ninjacam-player", 15)


def stats(tab: Tab) -> dict[str, Any]:
    return dict(tab.js(f"{PLAYER}.stats"))


@needs_chromium
@pytest.mark.alone
@pytest.mark.chromium
@pytest.mark.parametrize("view", ["", "lower"], ids=["raw", "processed"])
@pytest.mark.parametrize("rung", ["webcodecs", "mse", "mjpeg"])
def test_chromium_plays_every_rung(tab: Tab, rung: str, view: str) -> None:
    play(tab, format=rung, view=view)
    with spell() as passed:
        samples = tab.sample_stamps("ninjacam-player", 1.5)
    assert stats(tab)["rung"] == rung
    assert len({sample.number for sample in samples}) * passed.slowdown >= 30
    # JPEG images of the camera's own view have the width at which the page displays them.
    expected = (960, 540) if rung == "mjpeg" and not view else (1280, 720)
    assert {(sample.width_px, sample.height_px) for sample in samples} == {expected}
    # If the machine was busy at the start, playback begins late and catches up within some seconds.
    wait_until(lambda: is_fresh(tab), 8, "pictures less than 0.4 s old")


def is_fresh(tab: Tab) -> bool:
    with spell() as passed:
        samples = tab.sample_stamps("ninjacam-player", 1.0)
    return bool(samples) and median(each.latency_ms() for each in samples) < 400 * passed.slowdown


@needs_chromium
@pytest.mark.alone
@pytest.mark.chromium
def test_chromium_without_h265_gets_a_format_that_it_can_play(product: Product, tab: Tab) -> None:
    if "hvc" in str(
        tab.js("MediaSource.isTypeSupported('video/mp4; codecs=\"hvc1.1.6.L120.90\"') ? 'hvc' : ''")
    ):
        pytest.skip("this Chromium decodes H.265")
    with GstCamera(codec="h265") as camera:
        product.add_camera("h265", camera.url())
        product.wait_for_state("h265")
        tab.navigate(product.url("/cameras/h265/"))
        tab.until(f"{PLAYER}.state === 'live'", 20)
        tab.wait_for_stamp("ninjacam-player", 20)
        # The camera encodes H.265 in real time, on a separate core if there is one.
        with spell() as passed:
            samples = tab.sample_stamps("ninjacam-player", 2)
        assert len(samples) * passed.slowdown >= 8
        assert product.camera("h265")["health"]["codec"] == "hevc"
        tab.navigate("about:blank")
        product.client.request("DELETE", "/api/v1/cameras/h265")


@needs_chromium
@pytest.mark.chromium
@pytest.mark.parametrize("rung", ["webcodecs", "mjpeg"])
def test_the_player_reports_that_it_reconnects_and_recovers_by_itself(
    tab: Tab, product: Product, door: GstCamera, rung: str
) -> None:
    play(tab, format=rung, view="")
    tab.js("window.notReloaded = true")
    door.kill()
    try:
        tab.until(f"{PLAYER}.state === 'reconnecting'", 5)
        said = tab.js(f"{PLAYER}.shadowRoot.querySelector('.overlay').textContent")
        assert "Reconnecting" in said
    finally:
        door.start()
    returned_s = fair_s()
    tab.until(f"{PLAYER}.state === 'live'", 5)
    tab.wait_for_stamp("ninjacam-player", 5 - (fair_s() - returned_s))
    assert tab.js("window.notReloaded") is True
