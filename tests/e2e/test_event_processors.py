"""Processors of events in the running product: slow code that holds the interpreter, and processes that are killed."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.processes import is_alive, kill, wait_until
from tests.harness.server import Product
from tests.harness.viewers import WsViewer

SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
HELD_S = 3.0
CODE = f"""
import json, os, sys, time
from pathlib import Path
from ninjacam import Processor, Result, processor

NOTES = Path(__file__).with_name("notes")

def note(**fields):
    with NOTES.open("a") as file:
        file.write(json.dumps(fields) + chr(10))

@processor(when="events", kinds=["car", "van"])
def slow(event, snapshot):
    note(event=event.id, pid=os.getpid())
    sys.setswitchinterval(1000)  # no other thread of this process runs
    end = time.monotonic() + {HELD_S}
    while time.monotonic() < end:
        pass
    sys.setswitchinterval(0.005)
    return Result(data={{"size": [snapshot.width, snapshot.height]}}, values={{"seconds": {HELD_S}}})

@processor(when="events", kinds="broken")
def broken(event, snapshot):
    raise ValueError("unreadable")

@processor(when="always", fps=10, cameras="yard")
class Steady(Processor):
    "Measures the longest interval of the camera's clock without a frame for this processor."
    def setup(self, camera, options):
        self.last, self.longest, self.count = None, 0.0, 0

    def process(self, frame):
        if self.last is not None:
            self.longest = max(self.longest, frame.pts_s - self.last)
        self.last, self.count = frame.pts_s, self.count + 1
        return Result(values={{"longest": self.longest, "count": self.count}})
"""


class House:
    def __init__(self, product: Product) -> None:
        self.product = product

    def create(self, kind: str = "car") -> int:
        answer = self.product.client.post(
            "/api/v1/events", json_body={"camera": "door", "kind": kind, "duration_s": 0.5}
        )
        assert answer.status == 201, answer.text
        return int(answer.json()["id"])

    def data(self, event: int) -> dict[str, Any]:
        found: dict[str, Any] = self.product.client.get(f"/api/v1/events/{event}").json()["data"]
        return found

    def wait_result(self, event: int, timeout_s: float = 60) -> dict[str, Any]:
        data: dict[str, Any] = wait_until(
            lambda: self.data(event).get("slow"), timeout_s, "the result", processes=[self.product]
        )
        return data

    def calls(self, event: int) -> list[int]:
        """Return the pids of the processes that were called for an event, in order."""
        path = self.product.data / "notes"
        notes = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        return [note["pid"] for note in notes if note["event"] == event]

    def wait_call(self, event: int) -> int:
        """Wait until the processor runs, and return the pid of its process."""
        return wait_until(lambda: self.calls(event), 60, "the call", processes=[self.product])[-1]

    def changes(self, event: int) -> Counter[str]:
        with sqlite3.connect(self.product.data / "ninjacam.sqlite3") as database:
            rows = database.execute("SELECT kind FROM ninjacam_eventupdate WHERE event_id = ?", (event,))
            return Counter(kind for (kind,) in rows)

    def report(self, name: str) -> dict[str, Any]:
        items = self.product.client.get("/api/v1/cameras/door/event-processors").json()["items"]
        return next((each for each in items if each["processor"] == name), {})

    def steady(self) -> dict[str, float]:
        """Return the values of the processor of the other camera; none before its first frames."""
        items = self.product.client.get("/api/v1/cameras/yard/views").json()["items"]
        values: dict[str, float] = next((each["values"] for each in items if each["view"] == "steady"), {})
        return values


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    data: Path = tmp_path_factory.mktemp("event_processors")
    data.joinpath("cameras.py").write_text(CODE)
    with (
        FakeCamera(*SMALL, "--streams", "2") as camera,
        Product(data, workers=1) as product,
    ):
        product.add_camera("door", camera.url(0), "--record", "always")
        product.add_camera("yard", camera.url(1))
        for slug in ("door", "yard"):
            product.wait_for_state(slug)
        made = House(product)
        wait_until(lambda: made.report("slow"), 30, "the processors are loaded", processes=[product])
        wait_until(lambda: made.steady().get("count", 0) > 10, 30, "frames of yard", processes=[product])
        yield made


def test_a_call_that_holds_the_interpreter_delays_neither_the_stream_nor_other_processors(
    house: House,
) -> None:
    with WsViewer(house.product.websocket_url, house.product.token, [("door", "")]) as viewer:
        viewer.wait_units(10)
        before = house.steady()["count"]
        event = house.create()
        vision = house.product.pids("vision")
        pid = house.wait_call(event)
        assert pid not in (*vision, *house.product.pids("jobs"), *house.product.web_pids())
        assert house.wait_result(event) == {"size": [640, 360], "seconds": HELD_S}
        viewer.wait_units(10)
        units = viewer.units_of(0)
    assert all(after.sequence - unit.sequence == 1 for unit, after in pairwise(units)), "a frame is missing"
    assert house.steady()["count"] > before + 10 * HELD_S / 2
    assert house.steady()["longest"] < HELD_S / 2, "the other camera's processor did not wait"
    assert house.product.pids("vision") == vision, "no worker was restarted"
    assert house.calls(event) == [pid]
    assert house.changes(event) == {"begun": 1, "ended": 1, "changed": 2}, "the snapshot, and the result"
    views = house.product.client.get("/api/v1/cameras/door/views").json()["items"]
    assert [each["view"] for each in views] == [""]


def test_a_killed_process_repeats_the_call_and_stores_one_result(house: House) -> None:
    done = house.report("slow")["done"]
    event = house.create("van")
    kill(house.wait_call(event))
    for pid in house.product.pids("vision"):  # The call does not run there.
        kill(pid)
    assert house.wait_result(event)["seconds"] == HELD_S
    assert len(house.calls(event)) == 2 and house.changes(event)["changed"] == 2, house.product.tail()
    report = house.report("slow")
    assert report["done"] == done + 1 and report["waiting"] == report["failures"] == 0
    assert report["state"] == "idle" and report["last_error"] is None


def test_a_killed_jobs_process_loses_no_call(house: House) -> None:
    event = house.create()
    pid = house.wait_call(event)
    (jobs,) = house.product.pids("jobs")
    kill(jobs)
    wait_until(lambda: not is_alive(pid), 10, "the end of the call")
    assert house.wait_result(event, 90)["seconds"] == HELD_S
    assert len(house.calls(event)) == 2 and house.changes(event)["changed"] == 2


def test_an_exception_is_shown_and_the_object_has_an_image(house: House) -> None:
    event = house.create("broken")
    wait_until(lambda: house.report("broken").get("last_error"), 60, "the error", processes=[house.product])
    report = house.report("broken")
    assert "ValueError: unreadable (cameras.py, line" in report["last_error"]["message"]
    assert "Traceback" in report["last_error"]["traceback"]
    assert house.data(event) == {}
    page = house.product.login().get("/cameras/door/").text
    assert "ValueError: unreadable" in page
    image = house.product.client.get(f"/api/v1/events/{event}/snapshot.jpg?crop=1")
    assert image.status == 200 and image.body.startswith(b"\xff\xd8")
