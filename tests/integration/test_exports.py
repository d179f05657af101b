"""Exports of the running product: the engine's worker, its processes, downloads. The recordings are generated."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import av
import numpy as np
import pytest

from benchmarks.proc import descendants
from ninjacam.core.packets import Packet
from tests.harness.http import HttpClient
from tests.harness.processes import is_alive, kill, wait_until
from tests.harness.recorded import assert_decodes
from tests.harness.recordings import FPS, NOON_NS, encode_stamped, read_stamps, write_files
from tests.harness.server import Product

SECONDS = 16
LONG = 30
"""Number of repetitions of the same frames, for exports that take a while to render."""
MAX_ACTIVE = 5
"""The default of ACTIVE_EXPORTS_PER_USER."""
CODE = """
    from ninjacam import processor

    @processor
    def white(frame):
        frame.image[100:200] = 255

    @processor
    def broken(frame):
        raise ValueError("no picture for you")
"""


class Scene:
    """`door` has SECONDS of stamped frames from `start_ns` on, and `long` has many minutes of the same."""

    def __init__(self, product: Product, start_ns: int) -> None:
        self.product = product
        self.start_ns = start_ns
        self.exports = product.data / "exports"

    def at(self, seconds: float) -> str:
        return datetime.fromtimestamp(self.start_ns / 1e9 + seconds, UTC).isoformat()

    def ask(self, camera: str = "door", end_s: float = SECONDS, **body: Any) -> str:
        wanted = {"camera": camera, "start": self.at(0), "end": self.at(end_s), **body}
        answer = self.product.client.request("POST", "/api/v1/exports", json_body=wanted)
        assert answer.status == 201, answer.text
        return str(answer.json()["id"])

    def told(self, number: str) -> dict[str, Any]:
        told: dict[str, Any] = self.product.client.get(f"/api/v1/exports/{number}").json()
        return told

    def wait_for(self, number: str, state: str, timeout_s: float = 60) -> dict[str, Any]:
        def reached() -> dict[str, Any] | None:
            told = self.told(number)
            assert told["state"] == state or told["state"] in ("queued", "running"), told
            return told if told["state"] == state else None

        return wait_until(reached, timeout_s, f"export {state}", processes=[self.product])

    def wait_for_progress(self, number: str) -> None:
        def on_its_way() -> bool:
            told = self.told(number)
            assert told["state"] in ("queued", "running"), told
            return float(told["progress"]) > 0

        wait_until(on_its_way, 60, "progress", processes=[self.product])

    def fetch(self, told: dict[str, Any], path: Path) -> Path:
        """Download an export by its signed link."""
        answer = HttpClient(self.product.base).get(_path(told["download_url"]))
        assert answer.status == 200
        assert len(answer.body) == told["size_bytes"]
        assert hashlib.sha256(answer.body).hexdigest() == told["sha256"]
        path.write_bytes(answer.body)
        return path

    def worker(self) -> int:
        return wait_until(lambda: self.product.pids("jobs"), 20, "the worker")[0]

    def job(self) -> int:
        """Return the process that renders the running export."""
        return wait_until(
            lambda: [pid for pid in descendants(self.worker()) if pid != self.worker()], 20, "the job"
        )[0]


def _path(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def moved(packets: list[Packet], ns: int, first: int = 0) -> list[Packet]:
    step = first * 90_000 // FPS
    return [
        packet._replace(captured_ns=packet.captured_ns + ns + first * 40_000_000, pts=packet.pts + step)
        for packet in packets
    ]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    data = tmp_path_factory.mktemp("data")
    (data / "cameras.py").write_text(textwrap.dedent(CODE))
    start_ns = (time.time_ns() // 10**9 - 3600) * 10**9
    packets = encode_stamped(SECONDS * FPS)
    root = data / "recordings"
    product = Product(data)
    product.data.mkdir(exist_ok=True)
    with product:
        for slug in ("door", "long"):
            product.add_camera(slug, "rtsp://127.0.0.1:9/")
            product.client.request("PATCH", f"/api/v1/cameras/{slug}", json_body={"enabled": False})
        # A new camera does not inherit existing recordings.
        write_files(root, moved(packets, start_ns - NOON_NS), 8)
        for number in range(LONG):
            write_files(root, moved(packets, start_ns - NOON_NS, number * len(packets)), SECONDS, slug="long")
        product.cli("index", "--rebuild")
        yield Scene(product, start_ns)


@pytest.mark.ffmpeg
def test_a_copy_contains_what_was_recorded(scene: Scene, tmp_path: Path) -> None:
    told = scene.wait_for(scene.ask(), "done")
    assert told["progress"] == 1 and told["attempts"] == 1
    path = scene.fetch(told, tmp_path / "copy.mp4")
    assert read_stamps(path) == list(range(SECONDS * FPS))
    assert_decodes(path)
    assert [each.name[:36] for each in scene.exports.iterdir()] == [told["id"]]
    # Partial download by permitted users; 404 for others.
    product, url = scene.product, str(told["url"])
    part = product.client.get(url, headers={"Range": "bytes=100-199"})
    assert (part.status, part.body) == (206, path.read_bytes()[100:200])
    assert part.headers["etag"].strip('"') == told["sha256"][:32]
    assert (
        "attachment" in part.headers["content-disposition"] and "door-" in part.headers["content-disposition"]
    )
    signed = HttpClient(product.base).get(_path(told["download_url"]), headers={"Range": "bytes=-5"})
    assert (signed.status, signed.body) == (206, path.read_bytes()[-5:])
    assert HttpClient(product.base).get(url).status == 401
    assert HttpClient(product.base).get(url + "?sig=forged").status == 401
    product.cli("createuser", "guest", "--password-stdin", stdin="correct horse battery staple\n")
    guest = HttpClient(product.base, token=product.make_token("guest", "*", user="guest"))
    assert guest.get(url).status == 404 and guest.get(f"/api/v1/exports/{told['id']}").status == 404
    viewing = HttpClient(product.base, token=product.make_token("replays", "view", "replay"))
    assert viewing.get(url).status == 403
    assert product.client.get(url.replace("door", "long")).status == 404
    assert product.client.request("DELETE", f"/api/v1/exports/{told['id']}").status == 204
    assert product.client.get(url).status == 404 and not list(scene.exports.iterdir())


@pytest.mark.ffmpeg
def test_clock_and_view_are_burned_in(scene: Scene, tmp_path: Path) -> None:
    numbers = [scene.ask(kind="burned", view=view, end_s=4) for view in ("", "white")]
    plain, white = (
        scene.fetch(scene.wait_for(number, "done"), tmp_path / f"{number}.mp4") for number in numbers
    )
    for path in (plain, white):
        assert_decodes(path)
        assert read_stamps(path) == list(range(4 * FPS))
    band = [_luma(path)[110:190] for path in (plain, white)]
    assert band[0].max() < 180 and band[1].min() > 220
    for path in (plain, white):
        clock = _luma(path)[336:, :215]
        assert clock.max() > 200 and clock.min() < 40


@pytest.mark.ffmpeg
def test_a_burned_export_is_cut_to_the_span(scene: Scene, tmp_path: Path) -> None:
    told = scene.wait_for(scene.ask(kind="burned", start=scene.at(6.9), end_s=8.1), "done")
    path = scene.fetch(told, tmp_path / "cut.mp4")
    assert_decodes(path)
    assert read_stamps(path) == list(range(173, 203))


def _luma(path: Path) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        return frame.to_ndarray(format="gray").astype(np.uint8)


def test_an_error_of_a_view_is_reported(scene: Scene) -> None:
    failed = scene.wait_for(scene.ask(kind="burned", view="broken", end_s=4), "failed")
    assert failed["error"]["code"] == "processor"
    assert failed["error"]["message"] == "broken: ValueError: no picture for you (cameras.py, line 10)"
    assert "raise ValueError" in failed["error"]["traceback"]
    missing = scene.wait_for(scene.ask(kind="burned", view="nothing", end_s=4), "failed")
    assert missing["error"]["code"] == "view_not_found"
    assert not [path for path in scene.exports.iterdir() if path.name.endswith(".part")]


@pytest.mark.ffmpeg
def test_a_timelapse_has_the_requested_length(scene: Scene, tmp_path: Path) -> None:
    wanted: dict[str, Any] = {"kind": "timelapse", "fps": 10, "clock": False, "end_s": LONG * SECONDS}
    numbers = [scene.ask("long", speed=60, **wanted), scene.ask("long", length_s=6, **wanted)]
    for number, seconds in zip(numbers, (LONG * SECONDS / 60, 6), strict=True):
        path = scene.fetch(scene.wait_for(number, "done"), tmp_path / f"{number}.mp4")
        assert_decodes(path)
        stamps = read_stamps(path)
        assert len(stamps) == pytest.approx(seconds * 10, abs=1)
        step = round(LONG * SECONDS * FPS / (seconds * 10))
        for at, stamp in enumerate(stamps):  # the key frame due in each second
            assert stamp is not None and (stamp - at * step) % (SECONDS * FPS) <= FPS


@pytest.mark.ffmpeg
def test_a_timelapse_of_key_frames_is_copied(scene: Scene, tmp_path: Path) -> None:
    told = scene.wait_for(
        scene.ask("long", kind="key_frames", speed=60, fps=10, end_s=LONG * SECONDS), "done"
    )
    path = scene.fetch(told, tmp_path / "lapse.mp4")
    assert_decodes(path)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        length_s = float(stream.duration * stream.time_base)
        assert length_s == pytest.approx(LONG * SECONDS / 60, abs=0.2)
        assert all(packet.is_keyframe for packet in container.demux(stream) if packet.size)
    stamps = read_stamps(path)
    assert len(stamps) == pytest.approx(length_s * 10, abs=1)
    assert all(stamp is not None and stamp % FPS == 0 for stamp in stamps)


@pytest.mark.ffmpeg
def test_a_timelapse_of_few_frames_is_no_faster(scene: Scene, tmp_path: Path) -> None:
    """Twice as fast at 60 steps a second needs more frames than there are."""
    told = scene.wait_for(scene.ask(kind="timelapse", speed=2, fps=60), "done")
    with av.open(str(scene.fetch(told, tmp_path / "lapse.mp4"))) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None and stream.time_base is not None
        assert float(stream.duration * stream.time_base) == pytest.approx(SECONDS / 2, abs=0.02)
    failed = scene.wait_for(scene.ask(kind="timelapse", length_s=3600, fps=60), "failed")
    assert failed["error"]["code"] == "too_little_recorded"
    assert f"Ask for at most {SECONDS / 2} s" in failed["error"]["message"]


def test_a_cancelled_export_ends_and_can_be_requested_again(scene: Scene) -> None:
    number = scene.ask("long", kind="burned", end_s=LONG * SECONDS)
    scene.wait_for_progress(number)
    pid = scene.job()
    scene.product.client.request("POST", f"/api/v1/exports/{number}/cancel", json_body={})
    scene.wait_for(number, "cancelled", timeout_s=5)
    assert not is_alive(pid)
    assert not [path for path in scene.exports.iterdir() if number in path.name]
    answer = scene.product.client.request("POST", f"/api/v1/exports/{number}/retry", json_body={})
    assert answer.json()["state"] == "queued"
    scene.product.client.request("DELETE", f"/api/v1/exports/{number}")


def test_all_workers_share_the_limit_of_exports_per_user(scene: Scene) -> None:
    """Sixteen concurrent requests to two processes: each counts the others."""
    wanted = {"camera": "long", "start": scene.at(0), "end": scene.at(LONG * SECONDS), "kind": "burned"}

    def ask(_: int) -> tuple[int, Any]:
        client = HttpClient(scene.product.base, token=scene.product.token)
        answer = client.request("POST", "/api/v1/exports", json_body=wanted)
        return answer.status, answer.json()

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(ask, range(16)))
    made = [answer["id"] for status, answer in answers if status == 201]
    try:
        assert len(made) == MAX_ACTIVE
        assert {answer["code"] for status, answer in answers if status == 429} == {"limit"}
        assert len(made) + [status for status, _ in answers].count(429) == 16
    finally:
        for number in made:
            scene.product.client.request("POST", f"/api/v1/exports/{number}/cancel", json_body={})
            scene.wait_for(number, "cancelled")
            scene.product.client.request("DELETE", f"/api/v1/exports/{number}")


@pytest.mark.ffmpeg
def test_an_export_is_completed_whichever_process_is_killed(scene: Scene, tmp_path: Path) -> None:
    span_s = 4 * SECONDS
    number = scene.ask("long", kind="burned", end_s=span_s)
    scene.wait_for_progress(number)
    kill(scene.job())
    wait_until(lambda: scene.told(number)["attempts"] == 2, 20, "another attempt")
    scene.wait_for_progress(number)
    job, worker = scene.job(), scene.worker()
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: not is_alive(job), 5, "the job's end with its worker")
    told = scene.told(number)
    assert told["url"] is None and told["state"] in ("running", "queued")
    done = scene.wait_for(number, "done", timeout_s=90)
    assert done["attempts"] == 3 and scene.worker() != worker
    path = scene.fetch(done, tmp_path / "drawn.mp4")
    assert_decodes(path)
    numbers = [each for _ in range(4) for each in range(SECONDS * FPS)]
    assert read_stamps(path) == numbers


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_reported_and_leaves_no_file(tmp_path: Path) -> None:
    disk = tmp_path / "exports"
    disk.mkdir()
    script = f'mount -t tmpfs -o size=64k tmpfs "{disk}" && "$@"; ls -A "{disk}" >&2'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    made = write_files(tmp_path / "recordings", encode_stamped(20 * FPS), 10)
    question = {
        "camera": "door", "paths": [str(each.path) for each in made], "start_ns": NOON_NS,
        "end_ns": NOON_NS + 20 * 10**9, "output": str(disk / "x.mp4.part"),
    }  # fmt: skip
    # Through a shell, so that the job's parent exists, which the job checks at its start.
    job = f'exec {sys.executable} -m ninjacam.processes.export_job --parent "$PPID"'
    for kind in ("copy", "burned"):
        told = json.dumps({**question, "kind": kind})
        done = subprocess.run(
            [*before, "sh", "-c", job], input=told, capture_output=True, text=True, check=True
        )
        error = json.loads(done.stdout.splitlines()[-1])["error"]
        assert error["code"] == "disk_full" and str(tmp_path) not in error["message"]
        assert done.stderr == ""
