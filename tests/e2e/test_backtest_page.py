"""Options are tried on recordings in the running product: on the page in Chromium, and in the API."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from benchmarks.proc import descendants
from tests.harness.backtests import packets_of
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import is_alive, wait_until
from tests.harness.recordings import NOON_NS, write_files
from tests.harness.server import Product
from tests.unit.backtest.clips import write_video

CODE = """
import time
from pydantic import BaseModel, Field
from ninjacam import Box, Frame, Processor, events, processor

class BrightOptions(BaseModel):
    above: int = Field(200, ge=0, le=255, description="Brightness of the object, of 255.")
    fails: bool = False
    delay_s: float = 0

@processor
class Bright(Processor):
    "An event while something bright is there."
    Options = BrightOptions

    def setup(self, camera, options):
        self.options = options
        self.event = None

    def process(self, frame: Frame):
        time.sleep(self.options.delay_s)
        if self.options.fails:
            raise ValueError("on <purpose>")
        is_bright = frame.gray.max() > self.options.above
        if is_bright and self.event is None:
            self.event = events.begin(frame.camera, "bright", label="<b>lamp</b>")
        elif not is_bright and self.event is not None:
            self.event = self.event.end()
        assert list(frame.zones) == ["lawn"]
        return [Box(0.1, 0.3, 0.5, 0.7, "lamp")] if is_bright else []
"""
SECONDS = 40
API = "/api/v1/cameras/door"


class Scene:
    """`door` has SECONDS of recordings from `start` on, in which something bright moves from second 20 to 28."""

    def __init__(self, product: Product, start: datetime) -> None:
        self.product = product
        self.start = start

    def span(self) -> dict[str, str]:
        end = self.start + timedelta(seconds=SECONDS)
        return {"start": self.start.isoformat(), "end": end.isoformat()}

    def create(self, **values: Any) -> str:
        answer = self.product.client.post(
            f"{API}/options/bright/backtests", json_body={"values": values, **self.span()}
        )
        assert answer.status == 201, answer.text
        return f"{API}/backtests/{answer.json()['id']}"

    def wait_for(self, url: str, state: str) -> dict[str, Any]:
        def reached() -> Any:
            found = self.product.client.get(url).json()
            assert found["state"] in ("queued", "running", state), found
            return found if found["state"] == state else None

        return dict(wait_until(reached, 60, f"a backtest is {state}", processes=[self.product]))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    product = Product(tmp_path_factory.mktemp("data"), workers=1, environment={"TZ": "UTC"})
    (product.data / "cameras.py").write_text(CODE)
    (product.data / "cameras.py").chmod(0o600)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    start = yesterday.replace(hour=22, minute=1, second=0, microsecond=0)
    video = write_video(tmp_path_factory.mktemp("video") / "door.mp4", SECONDS, (20, 28))
    with product:
        product.add_camera("door", "rtsp://127.0.0.1:9/")
        zone = {"name": "lawn", "kind": "zone", "points": [[0, 0], [1, 0], [1, 1]]}
        assert product.client.post(f"{API}/zones", json_body=zone).status == 201
        later_ns = int(start.timestamp()) * 10**9 - NOON_NS
        packets = [packet._replace(captured_ns=packet.captured_ns + later_ns) for packet in packets_of(video)]
        write_files(product.data / "recordings", packets, 20)
        product.cli("index", "--rebuild")
        wait_until(
            lambda: product.client.get(f"{API}/options/bright").status == 200,
            30,
            "the processor",
            processes=[product],
        )
        yield Scene(product, start)


def test_the_comparison_has_the_events_of_only_one_of_the_runs(scene: Scene) -> None:
    done = scene.wait_for(scene.create(above=250), "done")
    comparison = done["comparison"]
    assert (comparison["events_only_before_count"], comparison["events_only_after_count"]) == (1, 0)
    (event,) = comparison["events_only_before"]
    begun_s = (datetime.fromisoformat(event["start"]) - scene.start).total_seconds()
    assert event["kind"] == "bright" and 19.8 < begun_s < 20.4, event
    assert scene.product.client.get(f"/rec/door/export/{done['id']}.mp4").status == 404, "it is not a video"
    assert not comparison["is_equal"] and comparison["different_frames"] > 70
    both = scene.wait_for(scene.create(above=190), "done")["comparison"]
    assert both["events_in_both"] == 1 and both["is_equal"]
    assert scene.product.client.get(f"{API}/options/bright").json()["values"] == {}, "nothing was saved"
    assert scene.product.client.get("/api/v1/events?camera=door&kind=bright").json()["items"] == []


def test_user_code_runs_in_a_child_that_ends_with_a_cancelled_backtest(scene: Scene) -> None:
    client, url = scene.product.client, scene.create(delay_s=1)
    jobs = wait_until(lambda: scene.product.pids("jobs"), 20, "the worker", processes=[scene.product])
    children = wait_until(
        lambda: found if len(found := [pid for pid in descendants(jobs[0]) if pid != jobs[0]]) > 1 else None,
        30,
        "the job and its child",
        processes=[scene.product],
    )
    second = client.post(
        f"{API}/options/bright/backtests", json_body={"values": {"above": 9}, **scene.span()}
    )
    assert second.status == 429 and "already have a backtest" in second.json()["detail"]
    assert client.request("DELETE", url).status == 204 and client.get(url).status == 404
    wait_until(lambda: not any(map(is_alive, children)), 10, "its processes end")
    assert not list((scene.product.data / "exports").glob("*.part"))


def test_a_killed_job_is_repeated(scene: Scene) -> None:
    url = scene.create(above=251, delay_s=0.02)
    jobs = wait_until(lambda: scene.product.pids("jobs"), 20, "the worker", processes=[scene.product])
    job = wait_until(
        lambda: [pid for pid in descendants(jobs[0]) if pid != jobs[0]],
        30,
        "the job",
        processes=[scene.product],
    )
    os.kill(job[0], signal.SIGKILL)
    assert scene.wait_for(url, "done")["comparison"]["events_only_before_count"] == 1


def test_exceptions_of_the_processor_are_in_the_result(scene: Scene) -> None:
    url = scene.create(fails=True)
    assert scene.wait_for(url, "done")["comparison"]["events_only_before_count"] == 1
    page = scene.product.login().get(f"/cameras/door/backtests/{url.rpartition('/')[2]}/").text
    assert "on &lt;purpose&gt;" in page and "Traceback" in page


@pytest.mark.chromium
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (apt install chromium).")
def test_the_page_shows_progress_and_then_the_events_with_pictures(scene: Scene, chromium: Browser) -> None:
    with chromium.tab() as tab:
        scene.product.sign_in(tab)
        tab.navigate(scene.product.url("/cameras/door/options/bright/"))
        _enter(tab, above=250, delay_s=0.01)
        tab.js("document.querySelector('[name=try][value=night]').click()")
        tab.until(
            "location.pathname.includes('/backtests/') && document.querySelector('#backtest progress') !== null"
        )
        _look(tab, "running")
        tab.until("document.querySelector('.report .events img')?.naturalWidth > 0", 60)
        heads = tab.js("[...document.querySelectorAll('.report h2')].map((each) => each.textContent)")
        assert heads == [
            "Only with the saved options (1)", "Only with the tried options (0)", "With both (0)",
        ]  # fmt: skip
        assert "<b>lamp</b>" in tab.js("document.querySelector('.report .events li').textContent")
        for width in (390, 1280):
            for scheme in ("light", "dark"):
                tab.size(width, 800, phone=width < 400)
                tab.call(
                    "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
                )
                assert tab.js("document.documentElement.scrollWidth <= innerWidth"), "it fits"
                _look(tab, f"done-{width}-{scheme}")
        tab.js("document.querySelector('button[name=save]').click()")
        tab.until("location.pathname.endsWith('/options/bright/')")
        assert scene.product.client.get(f"{API}/options/bright").json()["values"]["above"] == 250
        tab.js("document.querySelector('.trial-times').open = true")
        for width in (390, 1280):
            tab.size(width, 800, phone=width < 400)
            assert tab.js("document.documentElement.scrollWidth <= innerWidth"), "it fits"
            _look(tab, f"options-{width}")
        assert not [line for line in tab.log if "EXCEPTION" in line or "Content Security" in line]
    scene.product.client.request(
        "PATCH", f"{API}/options/bright", json_body={"values": {"above": None, "delay_s": None}}
    )


def test_the_page_works_without_scripts(scene: Scene) -> None:
    client = scene.product.login()
    path = "/cameras/door/options/bright/"
    form = {
        "option-above": "250", "option-delay_s": "0", "try": "times",
        "span-start": scene.start.strftime("%Y-%m-%dT%H:%M"),
        "span-end": (scene.start + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M"),
        "csrfmiddlewaretoken": client.get(path).text.partition('csrfmiddlewaretoken" value="')[2].partition('"')[0],
    }  # fmt: skip
    answer = client.post(path, form=form, headers={"Referer": scene.product.url(path)})
    assert answer.status == 200 and "/backtests/" in answer.url, answer.text
    assert '<noscript><meta http-equiv="refresh"' in answer.text
    shown = wait_until(
        lambda: (
            page
            if "Only with the saved options (1)" in (page := client.get(urlsplit(answer.url).path).text)
            else None
        ),
        60,
        "the comparison",
        processes=[scene.product],
    )
    assert "data:image/jpeg;base64," in shown and "<noscript>" not in shown


def _enter(tab: Tab, **values: object) -> None:
    for name, value in values.items():
        tab.js(f"document.querySelector('[name=option-{name}]').value = '{value}'")


def _look(tab: Tab, name: str) -> None:
    """Keep a screenshot for people, if NINJACAM_SCREENSHOTS names a directory."""
    directory = os.environ.get("NINJACAM_SCREENSHOTS")
    if directory:
        tab.js("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        tab.screenshot(Path(directory) / f"{name}.png", whole=True)
