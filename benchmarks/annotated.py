"""Measure annotations: the delay from the camera to a player, and whether Chromium draws them on their own frame."""

import json
import time
from itertools import pairwise
from typing import Any

from websockets.sync.client import connect

from benchmarks.loadclient import percentile
from benchmarks.stage import CAMERA, Figures, Plan, add_cameras, loop_of, make_camera, make_product
from tests.harness.chrome import CHROMIUM, Browser, stamp_js
from tests.harness.processes import wait_until
from tests.harness.server import Product

FPS = 25
NUMBERS = '''\
from ninjacam import Frame, Text, processor
from ninjacam.testing import stamp


@processor
def numbers(frame: Frame):
    """The number that is stamped into the frame."""
    return [Text(20, 100, str(stamp.read(frame.gray)))]
'''
_PLAYER = "document.querySelector('ninjacam-player')"
_SAMPLE = """
new Promise((resolve) => {
  const rows = [], end = performance.now() + %d, stamps = %s;
  const look = () => {
    const label = Number(%s.annotations?.numbers?.[0]?.label ?? NaN), stamp = stamps.read("ninjacam-player")?.[0];
    if (label >= 0 && label !== rows.at(-1)?.[0] && stamp >= 0) rows.push([label, stamp]);
    if (performance.now() < end) requestAnimationFrame(look);
    else resolve(rows);
  };
  look();
})
"""


def missing() -> str:
    return "" if CHROMIUM else "Chromium is not installed"


def measure_annotated(plan: Plan) -> Figures:
    with make_camera() as camera, make_product() as product:
        (product.data / "cameras.py").write_text(NUMBERS)
        add_cameras(product, {CAMERA: camera.url()})
        answer = product.client.request(
            "PATCH", f"/api/v1/cameras/{CAMERA}", json_body={"processors": ["motion"]}
        )
        assert answer.status == 200, answer.text

        def has_both() -> bool:
            items = product.client.get(f"/api/v1/cameras/{CAMERA}/views").json()["items"]
            return {"numbers", "motion"} <= {each["view"] for each in items}

        wait_until(has_both, 30, "the processors", processes=[product])
        delays_ms = _delays_ms(product, plan.warm_up_s, plan.window_s)
        drawn = _drawn(product, plan.warm_up_s, plan.window_s, loop_of(camera))
    return {
        "annotations": len(delays_ms),
        "p50_ms": percentile(delays_ms, 0.5),
        "p95_ms": percentile(delays_ms, 0.95),
        **drawn,
    }


def _delays_ms(product: Product, warm_up_s: float, seconds: float) -> list[float]:
    """Return the delay of each set of annotations of `motion`: from the time at which the camera sends its frame.

    The camera sends a frame at each multiple of 1/25 s of the monotonic clock, so its time is the multiple next to the
    estimated capture time.
    """
    delays = []
    wall_offset_s = time.time() - time.monotonic()
    headers = {"Authorization": f"Bearer {product.token}"}
    with connect(product.websocket_url, additional_headers=headers, compression=None) as socket:
        request = {"op": "subscribe", "id": 1, "camera": CAMERA, "view": "motion", "format": "annotations"}
        socket.send(json.dumps(request))
        begins_s = time.monotonic() + warm_up_s + 2
        while time.monotonic() < begins_s + seconds:
            message: dict[str, Any] = json.loads(socket.recv(timeout=30))
            now_s = time.monotonic()
            if message["op"] == "annotations" and now_s >= begins_s:
                captured_s = message["captured_us"] / 1e6 - wall_offset_s
                delays.append((now_s - round(captured_s * FPS) / FPS) * 1000)
    return delays


def _drawn(product: Product, warm_up_s: float, seconds: float, loop: int) -> Figures:
    """Compare each set of annotations, when the page first draws it, with the frame that the page shows."""
    with Browser() as browser, browser.tab() as tab:
        product.sign_in(tab)
        tab.navigate(product.url(f"/cameras/{CAMERA}/"))
        tab.until(f"{_PLAYER}?.stats", 15)
        tab.js(f"{_PLAYER}.setAttribute('overlay', 'numbers'); 1")
        tab.until(f"{_PLAYER}.annotations?.numbers?.length", 20)
        time.sleep(warm_up_s)
        rows = tab.js(_SAMPLE % (seconds * 1000, stamp_js(), _PLAYER))
    own = sum(label % loop == stamp % loop for label, stamp in rows)
    frames = sum((after[0] - before[0]) % loop for before, after in pairwise(rows)) + 1
    return {"drawn": len(rows), "of_frames": frames, "own_frame": own / max(1, len(rows))}
