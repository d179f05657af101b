"""The product under faults: started as users start it, with cameras as processes and real viewers.

The faults affect `door`. `yard` shares its capture process; `phone` has a separate capture process.
"""

import http.client
import os
import re
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.proc import pss_bytes
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.cameras import FakeCamera
from tests.harness.fair_clock import fair_s
from tests.harness.http import HttpClient
from tests.harness.processes import is_alive, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer, StoppedReader, Unit, WsViewer

CODE = """\
from ninjacam import Frame, processor


@processor
def mirror(frame: Frame):
    return frame.image[:, ::-1]
"""
SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")


class HealthProbe(threading.Thread):
    """Requests /healthz ten times a second throughout."""

    def __init__(self, base: str) -> None:
        super().__init__(name="health-probe", daemon=True)
        self.client = HttpClient(base)
        self.latencies_s: list[float] = []
        self.failures = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while not self.stop.wait(0.1):
            started_s = fair_s()
            try:
                answer = self.client.get("/healthz", timeout_s=5)
                self.failures += answer.status != 200
            except (OSError, http.client.HTTPException):
                self.failures += 1
            self.latencies_s.append(fair_s() - started_s)


class Scene:
    def __init__(self, product: Product, door: FakeCamera, health: HealthProbe) -> None:
        self.product = product
        self.door = door
        self.health = health

    def mjpeg(self, slug: str = "door", query: str = "") -> MjpegViewer:
        return MjpegViewer(self.product.url(f"/live/{slug}/mjpeg?{query}"), self.product.token)

    def ws(self, *cameras: str) -> WsViewer:
        return WsViewer(self.product.websocket_url, self.product.token, [(slug, "") for slug in cameras])


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("survival")
    (data / "cameras.py").write_text(CODE)
    clip = make_clip(SceneOptions(width=640, height=360, seconds=4, codec="mjpeg"))
    with (
        FakeCamera(*SMALL) as door,
        FakeCamera(*SMALL) as yard,
        FakeHttpCamera(clip) as phone,
        Product(data, workers=2) as product,
    ):
        product.add_camera("door", door.url())
        product.add_camera("yard", yard.url())
        product.add_camera("phone", phone.url("/video"))
        for slug in ("door", "yard", "phone"):
            product.wait_for_state(slug)
        health = HealthProbe(product.base)
        health.start()
        yield Scene(product, door, health)
        health.stop.set()
        health.join(10)


@pytest.fixture(autouse=True)
def _all_live(scene: Scene) -> None:
    """Each test starts with a healthy product, so the test that breaks it is the one that fails."""
    if not scene.door.is_running():
        scene.door.start()
    for slug in ("door", "yard", "phone"):
        scene.product.wait_for_state(slug, timeout_s=15)


def assert_unbroken(units: list[Unit]) -> None:
    gaps = [(a.sequence, b.sequence) for a, b in pairwise(units) if b.sequence != a.sequence + 1]
    assert not gaps, f"pictures lost between {gaps}"


def test_a_killed_camera_is_reported_as_lost_and_recovers_by_itself(scene: Scene) -> None:
    with scene.mjpeg() as picture, scene.ws("door", "yard") as player:
        picture.wait_live()
        player.wait_units(10)
        heard = len(player.messages)
        scene.door.kill()
        killed_s = fair_s()
        player.wait_state("reconnecting", 5, after=heard)
        picture.wait_placeholder(5 - (fair_s() - killed_s))
        assert scene.product.wait_for_state("door", "reconnecting", 2)["error"]["message"]
        time.sleep(3)  # it stays away for a while
        heard = len(player.messages)
        scene.door.start()
        back_s = fair_s()
        picture.wait_live(5)
        player.wait_state("live", max(0.1, 5 - (fair_s() - back_s)), after=heard)
        assert_unbroken(player.units_of(1))
        assert not picture.ended
        assert not player.ended


def test_a_frozen_camera_is_reported_as_lost_and_recovers_by_itself(scene: Scene) -> None:
    with scene.mjpeg() as picture, scene.ws("door") as player:
        picture.wait_live()
        player.wait_units(5)
        heard = len(player.messages)
        scene.door.freeze()
        try:
            frozen_s = fair_s()
            picture.wait_placeholder(5)
            player.wait_state("reconnecting", 5 - (fair_s() - frozen_s), after=heard)
            time.sleep(6)  # longer than the connection timeout
            assert scene.product.camera("door")["state"] == "reconnecting"
        finally:
            scene.door.thaw()
        picture.wait_live(5)
        assert not picture.ended
        assert not player.ended


@pytest.mark.parametrize(
    "order",
    [
        {"op": "inject"},
        {"op": "jump", "seconds": 3600},
        {"op": "jump", "seconds": -3600},
        {"garbage": 0.3},
        {"loss": 0.1},
        {"reorder": 0.2},
    ],
    ids=lambda order: "-".join(map(str, order.values())) if "op" in order else next(iter(order)),
)
def test_a_misbehaving_camera_does_not_affect_others(scene: Scene, order: dict[str, object]) -> None:
    with scene.mjpeg() as picture, scene.ws("yard") as neighbour, scene.ws("door") as player:
        picture.wait_live()
        neighbour.wait_units(5)
        player.wait_units(5)
        capture = scene.product.pids("capture")
        scene.door.order(**order)
        neighbour.wait_units(75)
        scene.door.order(garbage=0.0, loss=0.0, reorder=0.0)
        picture.wait_live(8)
        player.wait_units(5)
        assert_unbroken(neighbour.units)
        assert max(b.at_s - a.at_s for a, b in pairwise(neighbour.units)) < 1.0
        steps_s = [(b.pts_us - a.pts_us) / 1e6 for a, b in pairwise(player.units)]
        assert min(steps_s) > 0 and max(steps_s) < 10, "its time continues, whatever its clock does"
        assert scene.product.pids("capture") == capture, "no process died"
        assert not picture.ended


def test_a_camera_that_changes_its_resolution_is_shown_in_the_new_one(tmp_path: Path, scene: Scene) -> None:
    options = ("--clip", str(tmp_path / "small.h264"), "--clip", str(tmp_path / "large.h264"))
    (tmp_path / "small.h264").write_bytes(
        make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25)).annexb()
    )
    (tmp_path / "large.h264").write_bytes(
        make_clip(SceneOptions(width=960, height=540, seconds=2, gop=25)).annexb()
    )
    with FakeCamera(*options, "--gop-at-once") as camera:
        scene.product.add_camera("changing", camera.url())
        scene.product.wait_for_state("changing")
        with scene.mjpeg("changing") as picture, scene.ws("changing", "yard") as player:
            picture.wait_live()
            player.wait_message(lambda m: m.get("op") == "stream" and m["id"] == 0, 5, after=0)
            heard = len(player.messages)
            camera.order(op="switch", clip=1)
            player.wait_message(lambda m: m.get("op") == "stream" and m.get("width") == 960, 5, after=heard)
            picture.wait_for(lambda p: b"\x02\x1c\x03\xc0" in p.data[:1000], 5, "a picture of 960x540")
            assert_unbroken(player.units_of(1))
            assert not picture.ended
    scene.product.client.request("DELETE", "/api/v1/cameras/changing")


def dropped(scene: Scene) -> int:
    """Return the frames that slow viewers missed, summed over all web workers."""
    text = scene.product.client.get("/metrics").text
    (count,) = re.findall(r"^ninjacam_frames_dropped_total (\d+)$", text, re.M)
    return int(count)


def test_viewers_that_stop_reading_cost_little_and_do_not_affect_others(scene: Scene) -> None:
    web = scene.product.web_pids()
    with scene.mjpeg() as healthy:
        healthy.wait_live()
        before = sum(map(pss_bytes, web))
        readers = [StoppedReader(healthy.url, scene.product.token) for _ in range(20)]
        try:
            started_s = fair_s()
            time.sleep(8)
            assert healthy.longest_gap_s(started_s) < 1.0
            assert sum(picture.at_s > started_s for picture in healthy.pictures) >= 8 * 24
            wait_until(
                lambda: dropped(scene) > 20 * 25, 30, "frames are dropped, not kept, for stopped readers"
            )
            grown = sum(map(pss_bytes, web)) - before
            assert grown < 20 * 3 * 2**20, f"{grown / 2**20:.0f} MB for 20 stopped readers"
        finally:
            for reader in readers:
                reader.__exit__()


def pictures_back_after(viewer: MjpegViewer, since_s: float, timeout_s: float) -> float:
    """Return the seconds from `since_s` until frames arrive continuously again (or were never interrupted)."""

    def run() -> bool:
        now_s = fair_s()
        latest = [picture for picture in viewer.pictures[-15:] if picture.at_s > now_s - 0.6]
        # Frames in flight at `since_s` do not count.
        return now_s > since_s + 1 and len(latest) >= 8 and latest[-1].stamp is not None

    wait_until(run, timeout_s, "the picture is back")
    fresh = [picture.at_s for picture in viewer.pictures if picture.at_s > since_s]
    gaps = [(b - a, b) for a, b in zip([since_s, *fresh], fresh, strict=False)]
    longest, ended_s = max(gaps)
    return ended_s - since_s if longest > 0.3 else 0.0


def test_a_killed_capture_process_restarts_and_other_cameras_continue(scene: Scene) -> None:
    product = scene.product
    status = product.status()
    shared = next(p["pid"] for p in status["processes"] if p["name"] == "capture-1")
    with scene.mjpeg() as picture, scene.mjpeg("phone") as other, scene.ws("door") as player:
        picture.wait_live()
        other.wait_live()
        player.wait_units(5)
        os.kill(shared, signal.SIGKILL)
        killed_s = fair_s()
        units = player.wait_units(30, 5)
        assert units[-1].at_s - killed_s < 2 + 30 / 25
        assert pictures_back_after(picture, killed_s, 5) < 2.5
        assert other.longest_gap_s(killed_s) < 0.5
        assert not picture.ended
        assert not player.ended


def test_a_killed_vision_worker_restarts_and_other_cameras_continue(scene: Scene) -> None:
    product = scene.product
    with scene.mjpeg() as picture, scene.ws("door", "yard") as player:
        picture.wait_live()
        player.wait_units(10)
        workers = [p for p in product.status()["processes"] if p["kind"] == "vision"]
        killed = next(worker["pid"] for worker in workers if "door" in worker["cameras"])
        os.kill(killed, signal.SIGKILL)
        killed_s = fair_s()
        assert pictures_back_after(picture, killed_s, 6) < 2.0
        for number in (0, 1):
            assert_unbroken(player.units_of(number))
        assert not picture.ended
        assert killed not in product.pids("vision")


def test_a_killed_template_disturbs_nothing_and_later_deaths_are_still_recovered(scene: Scene) -> None:
    product = scene.product
    (template,) = product.pids_titled("ninjacam template")
    for title in ("engine", "web-1", "web-2", "vision-1"):
        assert product.pids_titled(f"ninjacam {title}"), f"{title} is a fork, which shares what is imported"
    with scene.mjpeg() as picture, scene.ws("door") as player:
        picture.wait_live()
        player.wait_units(10)
        before = product.pids("vision")
        os.kill(template, signal.SIGKILL)
        killed_s = fair_s()
        time.sleep(1)
        assert picture.longest_gap_s(killed_s) < 0.5
        assert product.pids("vision") == before
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: before[0] not in product.pids("vision"), 20, "another vision worker")
        picture.wait_live()
        assert_unbroken(player.units)
        # A new engine has a new template.
        engine = product.engine_pid()
        os.kill(engine, signal.SIGKILL)
        wait_until(lambda: product.engine_pid() != engine, 10, "another engine")
        wait_until(lambda: product.pids_titled("ninjacam template"), 10, "another template")


def test_a_killed_engine_restarts_unnoticed(scene: Scene) -> None:
    product = scene.product
    with scene.mjpeg(query="view=mirror") as picture, scene.ws("door") as player:
        picture.wait_live()
        player.wait_units(5)
        before = {"capture": product.pids("capture"), "vision": product.pids("vision")}
        engine = product.engine_pid()
        os.kill(engine, signal.SIGKILL)
        killed_s = fair_s()
        wait_until(lambda: product.engine_pid() != engine, 10, "another engine")
        assert fair_s() - killed_s < 2
        player.wait_units(50)
        assert_unbroken(player.units)
        assert picture.longest_gap_s(killed_s) < 0.5
        assert {"capture": product.pids("capture"), "vision": product.pids("vision")} == before, "adopted"


def test_a_killed_web_worker_restarts_and_viewers_of_other_workers_continue(scene: Scene) -> None:
    product = scene.product
    viewers = [scene.mjpeg().start() for _ in range(6)]
    try:
        for viewer in viewers:
            viewer.wait_live()
        # The kernel may give all viewers to one worker: kill the one with fewer open files.
        killed = min(product.web_pids(), key=lambda pid: len(os.listdir(f"/proc/{pid}/fd")))
        os.kill(killed, signal.SIGKILL)
        killed_s = fair_s()
        wait_until(
            lambda: len(product.web_pids()) == 2 and killed not in product.web_pids(), 5, "another web worker"
        )
        assert fair_s() - killed_s < 2
        time.sleep(1)
        left = [viewer for viewer in viewers if not viewer.ended]
        assert left, "the viewers of the other worker"
        for viewer in left:
            assert viewer.longest_gap_s(killed_s - 0.5) < 0.7
    finally:
        for viewer in viewers:
            viewer.__exit__(None, None, None)


def test_a_removed_run_directory_is_recreated(scene: Scene) -> None:
    gone = scene.product.data / "run-taken-away"
    (scene.product.data / "run").rename(gone)  # atomically: the engine writes there at any time
    shutil.rmtree(gone)
    wait_until((scene.product.data / "run/status.json").exists, 5, "status.json")
    scene.product.wait_for_state("door", timeout_s=15)
    with scene.mjpeg() as picture, scene.ws("yard") as player:
        picture.wait_live()
        player.wait_units(25)


def test_a_stopped_child_is_replaced_by_the_new_engine(scene: Scene) -> None:
    product = scene.product
    stopped = next(p["pid"] for p in product.status()["processes"] if p["name"] == "capture-1")
    before = scene.door.state()["connects"]
    os.kill(stopped, signal.SIGSTOP)
    os.kill(product.engine_pid(), signal.SIGKILL)
    wait_until(lambda: not is_alive(stopped), 15, "the end of the stopped process")
    # The API is not sufficient: for a moment it reads the last status of the killed engine.
    wait_until(lambda: scene.door.state()["connects"] > before, 15, "another session")
    with scene.ws("door") as player:
        player.wait_units(25)
    state = scene.door.state()
    assert (state["connects"], state["open"]) == (before + 1, 1), "one session, not two"


def test_requests_while_the_camera_is_down_never_get_an_empty_200(scene: Scene) -> None:
    watching = [scene.mjpeg().start() for _ in range(6)]  # both web workers have a frame of it, from before
    try:
        for viewer in watching:
            viewer.wait_live()
        scene.door.kill()
        scene.product.wait_for_state("door", "reconnecting")
        with ThreadPoolExecutor(6) as pool:  # Each waits some seconds for a picture.
            asked = [pool.submit(scene.product.client.get, "/live/door/snapshot.jpg") for _ in range(6)]
        for each in asked:
            answer = each.result()
            assert answer.status == 503
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["code"]
        with scene.mjpeg() as picture:
            wait_until(lambda: picture.status, 6, "an answer")
            if picture.status == 200:
                picture.wait_placeholder(6)
            else:
                assert picture.status == 503
    finally:
        for viewer in watching:
            viewer.__exit__(None, None, None)
        scene.door.start()


def test_health_checks_are_answered_at_once_throughout(scene: Scene) -> None:
    latencies = sorted(scene.health.latencies_s)
    assert len(latencies) > 100
    assert latencies[int(len(latencies) * 0.95)] < 0.05
    assert scene.health.failures <= 3, "but for those that a killed worker had in hand"


def test_sigterm_with_twenty_open_streams_stops_everything_cleanly(tmp_path: Path) -> None:
    with FakeCamera(*SMALL) as camera, Product(tmp_path / "data", workers=2) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        pictures = [MjpegViewer(product.url("/live/door/mjpeg"), product.token).start() for _ in range(10)]
        players = [WsViewer(product.websocket_url, product.token, [("door", "")]).start() for _ in range(10)]
        try:
            for picture in pictures:
                picture.wait_live()
            for player in players:
                player.wait_units(1)
            family = [
                *product.pids("capture"),
                *product.pids("vision"),
                *product.web_pids(),
                product.engine_pid(),
            ]
            assert product.terminate(10) < 2.0
            assert product.returncode == 0
            assert not [pid for pid in family if is_alive(pid)]
            assert "Traceback" not in product.output, product.output
            for viewer in (*pictures, *players):
                viewer.wait_ended(3)
        finally:
            for viewer in (*pictures, *players):
                viewer.__exit__(None, None, None)
