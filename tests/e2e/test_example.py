"""A separate Django project: gunicorn with four workers next to the engine, and a camera displayed on its page."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.harness.asgi_servers import AsgiServer
from tests.harness.cameras import FakeCamera
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.fair_clock import fair_s, spell
from tests.harness.http import HttpClient
from tests.harness.processes import ROOT, Process, is_alive, python, run, wait_until
from tests.harness.viewers import MjpegViewer, WsViewer

pytestmark = pytest.mark.alone

USER, PASSWORD = "carpenter", "a plane and a saw"
PLAYER = "document.querySelector('ninjacam-player')"


class Workshop:
    """A copy of the example with database, engine and server."""

    def __init__(self, directory: Path, camera: FakeCamera) -> None:
        self.directory = directory
        self.camera = camera
        shutil.copytree(
            ROOT / "example",
            directory / "example",
            ignore=shutil.ignore_patterns("__pycache__", "*.sqlite3*", "ninjacam_data"),
        )
        self.environment = {
            "DJANGO_SETTINGS_MODULE": "example.settings",
            "EXAMPLE_DIR": str(directory),
            "PYTHONPATH": str(directory),
            "DJANGO_SUPERUSER_PASSWORD": PASSWORD,
        }
        self.manage("migrate", "--verbosity", "0")
        self.manage("createsuperuser", "--noinput", "--username", USER, "--email", "c@example.org")
        added = self.manage("ninjacam_add", "bench", camera.url())
        assert "1280 x 720" in added
        self.token = self.manage("ninjacam_token", "create", "tests", "--scope", "*").split()[-1]
        self.engine = Process(
            "engine", self.manage_command("ninjacam_engine"), environment=self.environment, cwd=directory
        )
        self.server = AsgiServer(
            "gunicorn-asgi",
            "example.asgi:application",
            workers=4,
            environment=self.environment,
            cwd=directory,
        )

    def manage_command(self, *arguments: str) -> list[str]:
        return python(str(self.directory / "example/manage.py"), *arguments)

    def manage(self, *arguments: str) -> str:
        return run(self.manage_command(*arguments), environment=self.environment)

    @property
    def client(self) -> HttpClient:
        return HttpClient(self.server.base, token=self.token)

    def mjpeg(self, view: str = "") -> MjpegViewer:
        return MjpegViewer(f"{self.server.base}/cam/live/bench/mjpeg?view={view}", self.token)

    def is_live(self) -> bool:
        return bool(self.client.get("/cam/api/v1/cameras/bench").json()["state"] == "live")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with FakeCamera("--gop-at-once") as camera:
        workshop = Workshop(tmp_path_factory.mktemp("workshop"), camera)
        with workshop.engine, workshop.server:
            wait_until(workshop.is_live, 20, "the camera live", processes=[workshop.engine, workshop.server])
            yield workshop
            assert "Traceback" not in workshop.engine.output, workshop.engine.output


def test_anonymous_users_see_nothing(workshop: Workshop) -> None:
    stranger = HttpClient(workshop.server.base)
    for path in ("/", "/cam/", "/cam/cameras/bench/"):
        page = stranger.get(path)
        assert page.url.startswith(workshop.server.base + "/admin/login/?next=/"), page.url
        assert "ninjacam-player" not in page.text
    for path in ("api/v1/cameras", "live/bench/mjpeg", "live/bench/snapshot.jpg", "metrics"):
        answer = stranger.get(f"/cam/{path}")
        assert (answer.status, answer.json()["code"]) == (401, "not_authenticated"), path
    assert stranger.get("/cam/healthz").status == 200


def test_four_workers_and_eight_viewers_are_one_connection_to_the_camera(workshop: Workshop) -> None:
    viewers = [workshop.mjpeg(view).start() for view in ("", "outline") for _ in range(4)]
    try:
        for viewer in viewers:
            viewer.wait_live()
        assert workshop.camera.state()["open"] == 1
        before = [viewer.count for viewer in viewers]
        with spell() as passed:
            time.sleep(3)
        rates = [
            (viewer.count - count) / passed.fair_s for viewer, count in zip(viewers, before, strict=True)
        ]
        assert min(rates) >= 22, rates
        assert workshop.camera.state()["open"] == 1
        assert len(workshop.server.worker_pids()) == 4
    finally:
        for viewer in viewers:
            viewer.__exit__(None, None, None)


def redness(jpeg: bytes) -> float:
    """Return the excess of red over blue and green, 0..255."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    blue, green, red = image[image.shape[0] // 2 :].reshape(-1, 3).mean(axis=0)
    return float(red - max(blue, green))


RED = """
from ninjacam import Frame, processor


@processor
def outline(frame: Frame) -> None:
    frame.image[frame.image.shape[0] // 2 :] = (0, 0, 255)
"""


def test_saving_cameras_py_changes_the_video_within_two_seconds(workshop: Workshop) -> None:
    path = workshop.directory / "example/workshop/cameras.py"
    original = path.read_text()
    with workshop.mjpeg("outline") as viewer:
        viewer.wait_live()
        try:
            path.write_text(RED)
            saved_s = fair_s()
            changed = viewer.wait_for(lambda picture: redness(picture.data) > 150, 5, "the new picture")
            assert changed.at_s - saved_s <= 2.0
        finally:
            path.write_text(original)
        viewer.wait_for(lambda picture: redness(picture.data) < 100, 5, "the old picture again")
        assert not viewer.ended
        assert viewer.longest_gap_s(saved_s) < 1.0


def log_in(tab: Tab, workshop: Workshop) -> None:
    tab.navigate(workshop.server.base + "/")
    tab.until("location.pathname === '/admin/login/' && document.readyState === 'complete'")
    tab.js(
        f"document.querySelector('[name=username]').value = {USER!r};"
        f"document.querySelector('[name=password]').value = {PASSWORD!r};"
        "document.querySelector('#login-form').requestSubmit(); 1"
    )
    tab.until("location.pathname === '/' && document.readyState === 'complete'")


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
class TestInTheBrowser:
    @pytest.fixture(scope="class")
    @classmethod
    def tab(cls, workshop: Workshop) -> Iterator[Tab]:
        with Browser() as browser, browser.tab() as tab:
            log_in(tab, workshop)
            yield tab

    def test_the_page_shows_the_outline_of_the_camera_live(self, tab: Tab) -> None:
        assert "Table, oak" in tab.js("document.body.textContent"), "the project's own page"
        tab.wait_for_stamp("ninjacam-player", 20)
        assert tab.js(f"[{PLAYER}.getAttribute('view'), {PLAYER}.state]") == ["outline", "live"]
        with spell() as passed:
            samples = tab.sample_stamps("ninjacam-player", 2)
        assert len({sample.number for sample in samples}) >= 17 * passed.fair_s
        assert {(sample.width_px, sample.height_px) for sample in samples} == {(1280, 720)}
        assert sorted(sample.latency_ms() for sample in samples)[len(samples) // 2] < 400 * passed.slowdown

    def test_the_same_player_shows_the_camera_itself(self, tab: Tab) -> None:
        tab.js(f"{PLAYER}.setAttribute('view', '')")
        tab.until(f"{PLAYER}.state === 'live' && {PLAYER}.stats.rung === 'webcodecs'", 10)
        with spell() as passed:
            samples = tab.sample_stamps("ninjacam-player", 2)
        assert len(samples) >= 17 * passed.fair_s
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]

    def test_the_pages_below_the_mount_point_are_served_too(self, tab: Tab, workshop: Workshop) -> None:
        tab.navigate(f"{workshop.server.base}/cam/cameras/bench/")
        tab.wait_for_stamp("ninjacam-player", 10)


def test_gunicorn_stops_within_two_seconds_despite_open_streams(workshop: Workshop) -> None:
    pictures = [workshop.mjpeg().start() for _ in range(8)]
    url = workshop.server.base.replace("http", "ws") + "/cam/live/ws"
    players = [WsViewer(url, workshop.token, [("bench", "")]).start() for _ in range(8)]
    try:
        for picture in pictures:
            picture.wait_live()
        for player in players:
            player.wait_units(1)
        workers = workshop.server.worker_pids()
        took_s = workshop.server.terminate(10)
        for viewer in (*pictures, *players):
            viewer.wait_ended(0.5)
        assert took_s < 2.0, workshop.server.tail()
        assert workshop.server.returncode == 0
        assert not [pid for pid in workers if is_alive(pid)]
        assert "Traceback" not in workshop.server.output, workshop.server.output
        assert workshop.engine.is_running(), "the engine is a child of the shell"
        assert workshop.camera.state()["open"] == 1
    finally:
        for viewer in (*pictures, *players):
            viewer.__exit__(None, None, None)
