"""Measure ready-made processors: a detector on a small stream with and without motion, and motion on many cameras."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from benchmarks.clips import cache_dir, stamped_annexb
from benchmarks.meter import measure_cpu
from benchmarks.stage import CAMERA, Figures, Plan, add_cameras, make_product
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product

MODEL = Path(__file__).resolve().parents[2] / "shared/models/yolox_nano.onnx"
SETTLE_S = 35.0
"""Seconds until a scene is known to be still, and the single frames for the detector have an equal share."""


def missing() -> str:
    return "" if MODEL.exists() else "../shared has no models"


def still_clip() -> Path:
    """Return a clip of a noisy street without motion, 640x360 at 25 fps, a key frame every 2 s."""
    path = cache_dir() / "still-360p25.mp4"
    if path.exists():
        return path
    rng = np.random.default_rng(1)
    scene = cv2.blur(rng.integers(40, 200, (360, 640), np.uint8), (9, 9))
    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 360, "yuv420p", 50
        stream.codec_context.max_b_frames = 0
        for _ in range(500):
            image = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    unfinished.replace(path)
    return path


def street_clip(fps: int) -> Path:
    """Return a clip of the street with motion, 640x360."""
    path = cache_dir() / f"street-360p{fps}.h264"
    if not path.exists():
        options = SceneOptions(width=640, height=360, fps=fps, gop=2 * fps, bitrate_bps=20_000 * fps)
        path.write_bytes(make_clip(options, cache_dir=cache_dir()).annexb())
    return path


def views(product: Product, name: str) -> list[dict[str, Any]]:
    items = product.client.get("/api/v1/views?limit=200").json()["items"]
    return [each for each in items if each["view"] == name]


@contextmanager
def detecting(sub_clip: Path) -> Iterator[Product]:
    """Run the product with one camera of 720p25 and a sub-stream of 640x360, on which YOLOX-Nano detects objects."""
    with ExitStack() as stack:
        main = stack.enter_context(FakeCamera("--clip", str(stamped_annexb(720))))
        sub = stack.enter_context(FakeCamera("--clip", str(sub_clip)))
        product = stack.enter_context(make_product())
        product.cli("models", "add", str(MODEL))
        add_cameras(product, {CAMERA: main.url()})
        product.cli("set", CAMERA, "--sub", sub.url(), "--processors", "objects", "--no-check")
        wait_until(lambda: views(product, "objects"), 30, "the processor", processes=[product])
        yield product


def measure_vision(plan: Plan) -> Figures:
    figures: Figures = {}
    for name, clip, settle_s in (("moving", street_clip(25), 8.0), ("still", still_clip(), SETTLE_S)):
        with detecting(clip) as product:
            time.sleep(settle_s)
            cpu = measure_cpu(product.pid, 2 * plan.window_s)
            view = views(product, "objects")[0]
        figures[name] = {
            "cpu": cpu.as_dict(),
            "total": cpu.total,
            **{k: view[k] for k in ("fps", "ms_p50", "state")},
        }
    figures["many"] = _measure_many(plan)
    return figures


def _measure_many(plan: Plan) -> Figures:
    """Measure motion on forty cameras of 640x360 at 10 fps with constant motion."""
    count = plan.motion_cameras
    with (
        FakeCamera("--clip", str(street_clip(10)), "--fps", "10", streams=count) as camera,
        make_product() as product,
    ):
        slugs = [f"cam{number}" for number in range(count)]
        add_cameras(product, {slug: camera.url(number) for number, slug in enumerate(slugs)})
        for slug in slugs:
            answer = product.client.request(
                "PATCH", f"/api/v1/cameras/{slug}", json_body={"processors": ["motion"]}
            )
            assert answer.status == 200, answer.text
        wait_until(
            lambda: sum(each["state"] == "running" for each in views(product, "motion")) == count,
            60,
            "motion on all cameras",
            processes=[product],
        )
        time.sleep(plan.warm_up_s + 5)
        dropped = sum(each["dropped"] for each in views(product, "motion"))
        cpu = measure_cpu(product.pid, plan.window_s)
        found = views(product, "motion")
    return {
        "cameras": count,
        "cpu": cpu.as_dict(),
        "total": cpu.total,
        "fps_least": min(each["fps"] for each in found),
        "dropped": sum(each["dropped"] for each in found) - dropped,
        "ms_p95": max(each["ms_p95"] for each in found),
    }
