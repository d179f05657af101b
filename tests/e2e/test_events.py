"""Events of the running product: a new event is recorded with its pre-roll; a camera that disappears causes one."""

import contextlib
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.e2e.test_playback import CAMERA, assert_in_sequence, text_of
from tests.harness.cameras import FakeCamera
from tests.harness.processes import kill, wait_until
from tests.harness.recordings import read_stamps
from tests.harness.server import Product


def test_an_event_is_recorded_with_its_pre_roll_and_a_lost_camera_creates_an_event(tmp_path: Path) -> None:
    with FakeCamera(*CAMERA) as camera, Product(tmp_path / "data", workers=1) as product:
        product.add_camera("door", camera.url(), "--record", "events", "--before", "3", "--after", "2")
        product.wait_for_state("door")
        _is_recorded(product, tmp_path)
        _goes_and_comes_back(product, camera)


def test_thousands_of_events_of_one_camera_do_not_stop_the_recording_of_another(tmp_path: Path) -> None:
    with FakeCamera(*CAMERA) as camera, Product(tmp_path / "data", workers=1) as product:
        for slug in ("alley", "door"):
            product.add_camera(slug, camera.url(), "--record", "events", "--before", "3", "--after", "2")
            product.wait_for_state(slug)
        now_ns = time.time_ns()
        with (
            contextlib.closing(sqlite3.connect(tmp_path / "data/ninjacam.sqlite3", timeout=30)) as database,
            database,
        ):
            database.executemany(
                "INSERT INTO ninjacam_event (slug, kind, label, start_ns, end_ns, data, source, triggers_recording,"
                " protected) VALUES ('alley', 'flood', '', ?, ?, '{}', 'x', 1, 0)",
                ((now_ns - n, now_ns - n) for n in range(6000)),
            )
        answers = [
            product.client.request("POST", "/api/v1/events", json_body={"camera": "alley", "kind": "motion"})
            for _ in range(100)
        ]
        assert {answer.status for answer in answers} == {201, 429}
        refused = next(answer for answer in answers if answer.status == 429)
        assert int(refused.headers["retry-after"]) >= 1
        _is_recorded(product, tmp_path)


def _is_recorded(product: Product, directory: Path) -> None:
    def ring_s() -> float:
        return float(product.status()["cameras"]["door"]["recording"]["ring_s"])

    wait_until(lambda: ring_s() > 4, 20, "pictures that wait for an event", processes=[product])
    assert product.client.get("/api/v1/recordings?camera=door").json()["items"] == []
    told = product.client.request(
        "POST", "/api/v1/events", json_body={"camera": "door", "kind": "motion", "label": "cat"}
    )
    assert told.status == 201, told.text
    start = datetime.fromisoformat(told.json()["start"])
    first, last = start - timedelta(seconds=3), start + timedelta(seconds=2)

    def spans() -> list[dict[str, str]]:
        cameras: list[dict[str, Any]] = product.client.get("/api/v1/timeline?camera=door").json()["cameras"]
        assert [event["label"] for event in cameras[0]["events"]] == ["cat"]
        found: list[dict[str, str]] = cameras[0]["spans"]
        return found

    def is_whole() -> bool:
        found = spans()
        return bool(found) and datetime.fromisoformat(found[-1]["end"]) >= last

    wait_until(is_whole, 20, "the event is recorded", processes=[product])
    (span,) = spans()
    assert datetime.fromisoformat(span["start"]) <= first
    clip = product.client.get(f"/rec/door/clip.mp4?start={text_of(first)}&end={text_of(last)}")
    assert clip.status == 200, clip.text
    path = directory / "clip.mp4"
    path.write_bytes(clip.body)
    shown = read_stamps(path)
    assert len(shown) >= 125
    assert_in_sequence(shown)


def _goes_and_comes_back(product: Product, camera: FakeCamera) -> None:
    def downs() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = product.client.get("/api/v1/events?kind=camera_down").json()["items"]
        return found

    gone = datetime.now(UTC)
    camera.kill()
    (begun,) = wait_until(downs, 20, "the camera is down", processes=[product])
    assert begun["end"] is None and begun["source"] == "engine" and begun["label"]
    assert gone - timedelta(seconds=3) < datetime.fromisoformat(begun["start"]) <= datetime.now(UTC)
    engine = product.engine_pid()
    kill(engine)
    wait_until(lambda: product.engine_pid() != engine, 20, "another engine", processes=[product])
    back = datetime.now(UTC)
    camera.start()
    product.wait_for_state("door")
    wait_until(lambda: downs()[0]["end"], 20, "it is back", processes=[product])
    (ended,) = downs()
    assert ended["id"] == begun["id"]
    assert back <= datetime.fromisoformat(ended["end"]) <= datetime.now(UTC)
    assert len(product.client.get("/api/v1/timeline?camera=door").json()["cameras"][0]["spans"]) == 1
