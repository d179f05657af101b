"""Measure a phone's page: from the frame on its own screen to the same frame in another browser, both in Chromium."""

import re
import tempfile
import time
from html import unescape
from pathlib import Path

from benchmarks.loadclient import percentile
from benchmarks.stage import Figures, Plan, make_product
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.chrome import StampSample, Tab, chromium

FPS = 30
SECONDS = 8
_PREVIEW, _PLAYER = "#preview", "ninjacam-player"


def measure_phone(plan: Plan) -> Figures:
    """The fake camera plays a clip of numbered frames. Both browsers read the numbers from their pixels."""
    with tempfile.TemporaryDirectory() as directory, make_product({}) as product:
        film = Path(directory) / "camera.mjpeg"
        clip = make_clip(SceneOptions(width=1280, height=720, fps=FPS, seconds=SECONDS, codec="mjpeg"))
        film.write_bytes(b"".join(unit.data for unit in clip.video.units))
        product.cli("add", "phone", "push:")
        page = product.login().get("/cameras/phone/").text
        link = re.search(r'id="phone-url" readonly value="([^"]+)"', page)
        if link is None:
            raise RuntimeError("The camera's page shows no link for a phone.")
        flags = (
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={film}",
        )
        with chromium(*flags) as phone, chromium() as other, phone.tab() as camera, other.tab() as screen:
            camera.navigate(unescape(link[1]))
            camera.until("!document.getElementById('start').disabled")
            camera.js("document.getElementById('start').click()")
            product.wait_for_state("phone")
            product.sign_in(screen)
            screen.navigate(product.url("/cameras/phone/"))
            screen.wait_for_stamp(_PLAYER)
            time.sleep(plan.warm_up_s)
            seen = _sample_both(camera, screen, plan.window_s)
            shown = str(camera.js("document.getElementById('figures').textContent"))
    latencies_ms = _match(*seen)
    return {
        "p50_ms": percentile(latencies_ms, 0.5) or float("inf"),
        "p95_ms": percentile(latencies_ms, 0.95) or float("inf"),
        "frames": len(latencies_ms),
        "page": shown,
    }


def _sample_both(camera: Tab, screen: Tab, window_s: float) -> tuple[list[StampSample], list[StampSample]]:
    """Each browser collects its own samples; the calls return at once."""
    for tab, selector in ((camera, _PREVIEW), (screen, _PLAYER)):
        tab.begin_sampling(selector, window_s)
    time.sleep(window_s)
    return camera.take_samples(), screen.take_samples()


def _match(sent: list[StampSample], received: list[StampSample]) -> list[float]:
    """Return the times in ms from each number on the phone to its next appearance on the other screen.

    A number that the phone's screen skipped has no time; its last appearance was in the previous round of the clip.
    """
    latencies_ms = []
    for sample in received:
        earlier = [
            each.monotonic_s
            for each in sent
            if each.number == sample.number and 0 <= sample.monotonic_s - each.monotonic_s < SECONDS / 2
        ]
        if earlier:
            latencies_ms.append((sample.monotonic_s - max(earlier)) * 1000)
    return latencies_ms
