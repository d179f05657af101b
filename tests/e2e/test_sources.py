"""Errors while adding a camera, as reported by the command line, the API, the page and the camera's state.

Also sources other than RTSP over TCP, through the whole product.
"""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ninjacam.testing.authentication import Login
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s
from tests.harness.memory_bomb import serve_memory_bomb
from tests.harness.processes import free_port, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, Picture, WsViewer
from tests.integration.source_support import write_file
from tests.integration.test_sources_ffmpeg import needs_ffmpeg, sender

SECRET = "hunter2-of-the-yard"


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=900_000))


@pytest.fixture(scope="module")
def jpegs() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, codec="mjpeg"))


@pytest.fixture(scope="module")
def camera(clip: Clip) -> Iterator[FakeRtspCamera]:
    with FakeRtspCamera(clip, gop_at_once=True) as camera:
        yield camera


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("sources"), workers=1) as product:
        yield product


@dataclass(frozen=True)
class Mistake:
    """`says`: words of its message."""

    code: str
    url: str
    says: str
    password: str = ""


class Mistakes:
    """A camera, or a host that is not one, for each kind of mistake."""

    def __init__(self, clip: Clip, jpegs: Clip, stack: ExitStack) -> None:
        def rtsp(login: Login | None = None, **faults: Any) -> str:
            camera = stack.enter_context(FakeRtspCamera(clip, login=login))
            camera.set_faults(**faults)
            return camera.url(login=False)

        phone = stack.enter_context(FakeHttpCamera(jpegs))
        page = phone.url("/")
        closed = f"rtsp://127.0.0.1:{free_port()}/cam0"
        self.all = {
            "host": Mistake(
                "host_not_found", "rtsp://no-such-camera.invalid/cam0", "not found: check the name"
            ),
            "port": Mistake("connection_refused", closed, "port"),
            "password": Mistake(
                "authentication_failed", rtsp(Login("digest", "viewer", "right")), "password", SECRET
            ),
            "no-password": Mistake("authentication_failed", rtsp(Login("basic")), "add them"),
            "path": Mistake("stream_not_found", rtsp() + "-gone", "path"),
            "no-video": Mistake("no_video", rtsp(no_video=True), "video"),
            "codec": Mistake("unsupported_codec", rtsp(codec_name="VP8"), "H.264"),
            "page-for-http": Mistake("not_a_camera", page, "web page"),
            "http-behind-rtsp": Mistake("not_a_camera", page.replace("http:", "rtsp:"), "port"),
            "path-for-http": Mistake("stream_not_found", phone.url("/nothing"), "path"),
        }


KINDS = [
    "host", "port", "password", "no-password", "path", "no-video", "codec", "page-for-http", "http-behind-rtsp",
    "path-for-http",
]  # fmt: skip


@pytest.fixture(scope="module")
def mistakes(clip: Clip, jpegs: Clip) -> Iterator[dict[str, Mistake]]:
    with ExitStack() as stack:
        yield Mistakes(clip, jpegs, stack).all


def assert_sentence(text: str, mistake: Mistake) -> None:
    assert mistake.says in text
    assert text.strip()[-1] in ".)" and " " in text.strip()
    assert "Traceback" not in text and "Error(" not in text and "Errno" not in text
    assert not mistake.password or mistake.password not in text


def probe(product: Product, mistake: Mistake) -> dict[str, Any]:
    body = {
        "url": mistake.url,
        "username": "viewer" if mistake.password else "",
        "password": mistake.password,
    }
    answer = product.client.post("/api/v1/cameras/probe", json_body=body, timeout_s=20)
    assert answer.status == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize("kind", KINDS)
def test_a_mistake_is_reported_by_the_api_and_the_command_line(
    product: Product, mistakes: dict[str, Mistake], kind: str
) -> None:
    mistake = mistakes[kind]
    started_s = fair_s()
    told = probe(product, mistake)
    assert fair_s() - started_s < 15
    assert (told["ok"], told["error"]["code"], told["jpeg_base64"]) == (False, mistake.code, "")
    assert_sentence(told["error"]["message"], mistake)
    if kind == "silent":  # ten more seconds would test nothing new
        product.add_camera(kind, mistake.url)
    else:
        login = ["--username", "viewer", "--password-stdin"] if mistake.password else []
        printed = product.cli("add", kind, mistake.url, *login, stdin=mistake.password + "\n", check=False)
        assert "does not work yet" in printed
        assert_sentence(printed, mistake)
        assert told["error"]["message"] in printed


@pytest.mark.parametrize("kind", KINDS)
def test_a_camera_added_with_a_mistake_reports_it_in_its_state(
    product: Product, mistakes: dict[str, Mistake], kind: str
) -> None:
    def error() -> dict[str, Any] | None:
        told = product.camera(kind)
        return dict(told["error"]) | {"state": told["state"]} if told["error"] else None

    told = wait_until(error, 15, f"the error of {kind}", processes=[product])
    assert told["code"] == mistakes[kind].code
    assert_sentence(told["message"], mistakes[kind])
    assert told["state"] in (("reconnecting", "connecting") if told["retryable"] else ("failed",))


def test_adding_with_check_rejects_a_camera_that_does_not_answer(
    product: Product, mistakes: dict[str, Mistake]
) -> None:
    printed = product.cli("add", "never", mistakes["port"].url, "--check", check=False)
    assert printed.strip().endswith("Not saved.")
    assert printed.count("\n") == 1, printed
    assert product.client.get("/api/v1/cameras/never").status == 404


def test_an_invalid_camera_url_is_rejected_at_once(product: Product) -> None:
    for url, word in (
        ("ftp://host/x", "ftp"),
        ("rtmp://host/live/cam", "RTMP"),
        ("srt://host:9000", "SRT"),
        ("exec:ls", "exec"),
        ("file:/etc/passwd", "outside"),
        ("rtsp://169.254.7.7/x", "link-local"),
        ("rtsp://169.254.169.254/x", "cannot be the address of a camera"),
        ("rtsp://", "URL"),
        ("nonsense", "Use one of"),
    ):
        answer = product.client.post("/api/v1/cameras/probe", json_body={"url": url})
        told = answer.json()
        text = told["error"]["message"] if answer.status == 200 else told["detail"] + str(told["errors"])
        assert answer.status in (200, 422), (url, answer.text)
        assert word in text, (url, text)
        assert "Traceback" not in product.cli("add", "bad", url, "--check", check=False)


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
class TestTheForm:
    @pytest.fixture(scope="class")
    @classmethod
    def tab(cls, product: Product) -> Iterator[Tab]:
        with Browser() as browser, browser.tab() as tab:
            product.sign_in(tab)
            tab.navigate(product.url("/add-camera/"))
            tab.until("document.getElementById('test').hidden === false")
            yield tab

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_mistake_is_shown_next_to_the_form(
        self, tab: Tab, mistakes: dict[str, Mistake], kind: str
    ) -> None:
        mistake = mistakes[kind]
        values = {"url": mistake.url, "username": "viewer" if mistake.password else ""}
        values["password"] = mistake.password
        for name, value in values.items():
            tab.js(f"document.querySelector('[name={name}]').value = {value!r}")
        tab.js("document.getElementById('test').click()")
        tab.until("document.getElementById('test').disabled === false", 20)
        assert_sentence(tab.js("document.querySelector('#test-result .error').textContent"), mistake)


# Other kinds of sources


def assert_shows(product: Product, slug: str) -> None:
    """Require live video, with a stamped snapshot and a stamped MJPEG stream."""
    product.wait_for_state(slug)
    answer = product.client.get(f"/live/{slug}/snapshot.jpg")
    assert answer.status == 200, answer.text
    assert Picture(0, answer.body).stamp is not None
    with MjpegViewer(product.url(f"/live/{slug}/mjpeg"), product.token) as viewer:
        viewer.wait_live()


def test_a_phone_that_sends_jpegs_over_http_is_a_camera(product: Product, jpegs: Clip) -> None:
    with FakeHttpCamera(jpegs, login=Login("basic", "me", SECRET)) as phone:
        url = phone.url("/video", login=False)
        login = ("--username", "me", "--password-stdin")
        added = product.cli("add", "phone", url, *login, stdin=SECRET + "\n")
        assert "mjpeg, 640 x 360" in added
        assert_shows(product, "phone")
        assert product.camera("phone")["health"]["codec"] == "mjpeg"


def test_a_url_with_a_single_image_is_a_camera(product: Product, jpegs: Clip) -> None:
    with FakeHttpCamera(jpegs) as camera:
        assert "mjpeg, 640 x 360" in product.cli("add", "stills", camera.url("/shot.jpg#interval=0.2"))
        assert_shows(product, "stills")


@needs_ffmpeg[0]
@needs_ffmpeg[1]
def test_an_encoder_that_sends_mpeg_ts_over_udp_is_a_camera(
    product: Product, tmp_path: Path, clip: Clip
) -> None:
    write_file(clip, tmp_path / "film.mp4")
    port = free_port()
    with sender(tmp_path / "film.mp4", "-f", "mpegts", f"udp://127.0.0.1:{port}?pkt_size=1316"):
        assert "h264, 640 x 360" in product.cli("add", "encoder", f"udp://127.0.0.1:{port}")
        assert_shows(product, "encoder")


def test_a_battery_camera_is_connected_only_while_it_is_watched_and_is_never_down(
    product: Product, clip: Clip
) -> None:
    def watched() -> WsViewer:
        return WsViewer(product.websocket_url, product.token, [("battery", "")])

    with FakeRtspCamera(clip) as battery:
        product.cli("add", "battery", battery.url(), "--sleeps", "--no-check")
        product.wait_for_state("battery", "asleep")
        assert battery.stats.connections == 0
        with watched() as viewer:
            viewer.wait_units(5)
            product.wait_for_state("battery")
        product.wait_for_state("battery", "asleep")
        connections = battery.stats.connections
    with watched() as viewer:  # Nothing listens on that port any more.
        wait_until(
            lambda: product.camera("battery")["health"]["notices"], 20, "a notice", processes=[product]
        )
        found = product.camera("battery")
        assert (found["state"], found["error"]) == ("asleep", None)
        assert [notice["code"] for notice in found["health"]["notices"]] == ["asleep"]
        states = [message["state"] for message in viewer.messages if message["op"] == "state"]
    assert set(states) <= {"asleep", "connecting"} and "asleep" in states
    assert connections == 1
    events = product.client.get("/api/v1/events?camera=battery").json()["items"]
    assert events == []


def test_a_camera_over_udp_is_live(product: Product, camera: FakeRtspCamera) -> None:
    added = product.cli("add", "udp", camera.url(), "--transport", "udp")
    assert "h264, 640 x 360" in added
    assert_shows(product, "udp")
    assert product.camera("udp")["source"]["transport"] == "udp"


def test_a_file_below_the_data_directory_is_a_camera(product: Product, clip: Clip) -> None:
    files = product.data / "files"
    files.mkdir(exist_ok=True)
    write_file(clip, files / "film.mp4")
    added = product.cli("add", "film", "file:film.mp4")
    assert "h264, 640 x 360" in added
    assert_shows(product, "film")
    time.sleep(2.5)  # longer than the film
    assert_shows(product, "film")


def test_a_file_elsewhere_is_rejected(product: Product, tmp_path: Path, clip: Clip) -> None:
    write_file(clip, tmp_path / "film.mp4")
    (product.data / "files").mkdir(exist_ok=True)
    (product.data / "files/link.mp4").symlink_to(tmp_path / "film.mp4")
    for url in (f"file://{tmp_path}/film.mp4", "file:../db.sqlite3", "file:link.mp4"):
        printed = product.cli("add", "elsewhere", url, "--check", check=False)
        assert "outside" in printed, printed
        assert str(tmp_path) not in printed


# Opening a source does not block other cameras


def run_beside(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_camera_that_never_answers_does_not_delay_others(
    product: Product, clip: Clip, camera: FakeRtspCamera
) -> None:
    product.add_camera("door", camera.url())
    product.wait_for_state("door")
    with FakeRtspCamera(clip) as silent:
        silent.set_faults(hang=("DESCRIBE",))
        with WsViewer(product.websocket_url, product.token, [("door", "")]) as viewer:
            viewer.wait_units(5)
            product.add_camera("hanging", silent.url())
            wait_until(lambda: silent.stats.methods["DESCRIBE"], 5, "the question that is not answered")
            question = Mistake("timeout", silent.url(), "within 10 s")
            answers: list[dict[str, Any]] = []
            asking = run_beside(lambda: answers.append(probe(product, question)))
            started_s = fair_s()
            while asking.is_alive():
                before_s = fair_s()
                assert product.camera("door")["state"] == "live"
                assert fair_s() - before_s < 1.0
                time.sleep(0.2)
            assert fair_s() - started_s < 15
            assert [answer["error"]["code"] for answer in answers] == ["timeout"]
            assert_sentence(answers[0]["error"]["message"], question)
            gaps = [(a, b) for a, b in pairwise(unit.sequence for unit in viewer.units) if b != a + 1]
            assert not gaps
            assert max(b.at_s - a.at_s for a, b in pairwise(viewer.units)) < 0.5
        started_s = fair_s()
        answer = product.client.request("DELETE", "/api/v1/cameras/hanging")
        assert answer.status == 204 and fair_s() - started_s < 1
    product.wait_for_state("door")


def test_a_camera_that_makes_ffmpeg_allocate_without_limit_affects_only_itself(
    product: Product, camera: FakeRtspCamera
) -> None:
    """An MP4 of 400 bytes announces a table of 800 MB; the process's limit is 512 MB."""

    with serve_memory_bomb() as bomb_url:
        product.add_camera("neighbour", camera.url())
        wait_until(lambda: product.camera("neighbour")["state"] == "live", 20, "live", processes=[product])
        before = camera.stats.connections
        product.add_camera("bomb", bomb_url)
        error = wait_until(
            lambda: product.camera("bomb")["error"], 20, "the error of the bomb", processes=[product]
        )
        assert error["code"] == "too_much_memory" and "memory" in error["message"]
        assert product.camera("neighbour")["state"] == "live"
        assert camera.stats.connections == before


def test_a_camera_whose_capture_process_was_killed_reports_it_until_its_next_state(
    product: Product,
) -> None:
    """The camera accepts connections and never responds, so its new process tries for some seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        product.add_camera("mute", f"http://127.0.0.1:{silent.getsockname()[1]}/video")
        wait_until(
            lambda: product.camera("mute")["state"] == "connecting", 20, "the first try", processes=[product]
        )
        with silent.accept()[0]:  # wait for the connection
            captures = [each for each in product.status()["processes"] if each["kind"] == "capture"]
            for each in captures:
                os.kill(each["pid"], signal.SIGKILL)
            wait_until(
                lambda: product.camera("mute")["state"] == "reconnecting",
                20,
                "its process died",
                processes=[product],
            )
            error = product.camera("mute")["error"]
            assert "process that reads this camera ended (SIGKILL)" in error["message"] and error["retryable"]
            wait_until(
                lambda: (product.camera("mute")["error"] or {}).get("code") == "timeout",
                30,
                "the camera's own error",
                processes=[product],
            )
