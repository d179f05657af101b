"""Measure a wall of cameras with two streams each, in Chromium: sub-streams against `main`, and switches."""

import json
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.loadclient import percentile
from benchmarks.proc import tree_cpu_seconds
from benchmarks.stage import Camera, Figures, Plan, make_camera, make_product
from ninjacam.capture.demand import LINGER_S
from tests.harness.chrome import CHROMIUM, Browser, Tab
from tests.harness.processes import wait_until
from tests.harness.server import Product

FRAME_MS = 40
_WALL = "[...document.querySelectorAll('ninjacam-player')]"
_PROBE = Path(__file__).parents[1] / "tests/e2e/player_probe.js"
_SIZES = ((1200, "main", 1920), (320, "sub", 640))
"""Width of the player in CSS pixels, the stream for it, and that stream's width in pixels."""
_MAIN_TILES = 1
"""Number of tiles that show `main`.

More than one or two of 1080p, decoded without a GPU, saturate two cores, and a slow client is sent fewer bytes. All
figures are those of one tile.
"""
_AROUND_MS = 1000
"""Milliseconds before and after a switch in which the longest interval between new frames is measured."""


def missing() -> str:
    """Return the reason why it cannot be measured; empty if it can."""
    return "" if CHROMIUM else "Chromium is not installed"


def measure_streams(plan: Plan) -> Figures:
    count = plan.wall_cameras
    with (
        make_camera(mounts=count, height_px=1080) as main,
        make_camera(mounts=count, height_px=360) as sub,
        make_product() as product,
        Browser() as browser,
        browser.tab() as tab,
    ):
        _add_cameras(product, main, sub, count)
        time.sleep(plan.warm_up_s)
        unwatched = sub.state()["open"]
        product.sign_in(tab)
        tab.size(1920, 1080)
        tab.navigate(product.url("/"))
        walls = {}
        for name in ("sub", "main"):
            if name == "main":
                tab.js(f"{_WALL}.slice({_MAIN_TILES}).forEach((each) => each.remove())")
                tab.js(f"{_WALL}.forEach((each) => each.setAttribute('stream', 'main'))")
            tab.until(
                f"{_WALL}.every((each) => each.stats?.stream === '{name}' && each.stats.framesPainted > 0)",
                60,
            )
            time.sleep(plan.warm_up_s)
            walls[name] = _measure_wall(tab, browser, plan.window_s) | {"connections": sub.state()["open"]}
        time.sleep(LINGER_S)
        unwatched = max(unwatched, sub.state()["open"])
        for number in range(1, count):  # They and their fake cameras would take CPU time from the player.
            product.client.request("DELETE", f"/api/v1/cameras/cam{number}")
        switches = _measure_switches(tab, product, plan.stream_switches)
        tab.navigate("about:blank")
        time.sleep(2 * LINGER_S)
        unwatched = max(unwatched, sub.state()["open"])
    return {"cameras": count, "walls": walls, "unwatched_connections": unwatched, "switches": switches}


def _add_cameras(product: Product, main: Camera, sub: Camera, count: int) -> None:
    """Add cameras, and wait until both streams of each report their size."""
    for number in range(count):
        fields: dict[str, Any] = {
            "slug": f"cam{number}",
            "url": main.url(number),
            "streams": [{"name": "sub", "url": sub.url(number)}],
        }
        answer = product.client.post("/api/v1/cameras", json_body=fields)
        if answer.status != 201:
            raise RuntimeError(f"A camera was not added: {answer.status} {answer.text}")
    for number in range(count):
        product.wait_for_state(f"cam{number}", timeout_s=30)
    wait_until(
        lambda: all(product.camera(f"cam{number}")["streams"][0]["width_px"] for number in range(count)),
        90,
        "the sizes of the streams",
        processes=[product],
    )


def _measure_wall(tab: Tab, browser: Browser, seconds: float) -> Figures:
    """Return the average figures of one tile."""
    tiles = int(tab.js(f"{_WALL}.length"))
    before, cpu_before_s, started_s = _counters(tab), tree_cpu_seconds(browser.pid), time.monotonic()
    time.sleep(seconds)
    after, cpu_s = _counters(tab), tree_cpu_seconds(browser.pid) - cpu_before_s
    lasted_s = time.monotonic() - started_s
    frames = after["framesDecoded"] - before["framesDecoded"]
    return {
        "tiles": tiles,
        "mbit_s": (after["bytesReceived"] - before["bytesReceived"]) * 8 / lasted_s / 1e6 / tiles,
        "frames_per_s": frames / lasted_s / tiles,
        "cpu_percent": 100 * cpu_s / lasted_s / tiles,
    }


def _counters(tab: Tab) -> dict[str, int]:
    return {
        name: int(tab.js(f"{_WALL}.reduce((sum, each) => sum + each.stats.{name}, 0)"))
        for name in ("bytesReceived", "framesDecoded")
    }


def _measure_switches(tab: Tab, product: Product, count: int) -> Figures:
    tab.navigate(product.url("/cameras/cam0/"))
    tab.until("Boolean(document.querySelector('ninjacam-player')?.stats)", 15)
    tab.js("document.querySelector('ninjacam-player').remove()")
    tab.js(_PROBE.read_text())
    tab.js("probe.make('p', { camera: 'cam0' }, 'width:320px')")
    tab.js("probe.players.p.player.scrollIntoView()")  # It follows the page's content.
    tab.until("probe.players.p.player.stats.stream === 'sub'", 30)
    missing_frames, usual_frames = [], []
    for number in range(count):
        width, stream, width_px = _SIZES[number % 2]
        tab.js(f"probe.players.p.player.style.width = '{width}px'; 1")
        tab.until(f"probe.players.p.player.stats.stream === '{stream}'", 30)
        tab.until(f"probe.players.p.paints.at(-1)?.width === {width_px}", 30)
        time.sleep(3 * _AROUND_MS / 1000)
        paints = json.loads(tab.js("JSON.stringify(probe.players.p.paints.splice(0))"))
        paints = [each for each in paints if each["stamp"] is not None]
        changed_ms = next(
            after["atMs"] for before, after in pairwise(paints) if before["width"] != after["width"]
        )
        missing_frames.append(_longest_wait(paints, changed_ms))
        usual_frames.append(_longest_wait(paints, changed_ms + 2 * _AROUND_MS))
    return {
        "count": count,
        "p50_frames": percentile(missing_frames, 0.5),
        "p95_frames": percentile(missing_frames, 0.95),
        "worst_frames": max(missing_frames),
        "usual_p95_frames": percentile(usual_frames, 0.95),
    }


def _longest_wait(paints: list[dict[str, Any]], around_ms: float) -> float:
    """Return the longest time without a new frame around `around_ms`, in frames beyond the usual one.

    A frame is new if its number is higher than all previous ones.
    """
    first, loop = paints[0]["stamp"], 250
    newest, times = -1, []
    for paint in paints:
        number = (paint["stamp"] - first) % loop
        if number < newest - loop // 2:
            first, newest = paint["stamp"], -1  # the clip restarts
            number = 0
        if newest < number < newest + loop // 2:
            newest = number
            times.append(paint["atMs"])
    near = [at for at in times if around_ms - _AROUND_MS <= at <= around_ms + _AROUND_MS]
    return float(max(after - before for before, after in pairwise(near))) / FRAME_MS - 1
