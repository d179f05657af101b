"""Measure the same figures for the blog's way (`benchmarks/seed`), under gunicorn with four uvicorn workers."""

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.clients import mjpeg_watchers
from benchmarks.first_frame import first_frame_ms
from benchmarks.live import VIEWERS
from benchmarks.loadclient import percentile
from benchmarks.proc import tree_usage
from benchmarks.stage import WORKERS, Figures, Plan, loop_of, make_camera
from tests.harness.asgi_servers import AsgiServer
from tests.harness.processes import wait_until


def missing() -> str:
    """Return the reason why it cannot be measured; empty if it can."""
    wanted = ("gunicorn", "uvicorn_worker")
    absent = [name for name in wanted if importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@contextmanager
def _seed(camera_url: str) -> Iterator[AsgiServer]:
    """Start a new server for every figure, because it never releases a camera."""
    server = AsgiServer(
        "gunicorn-uvicorn",
        "benchmarks.seed.asgi:application",
        workers=WORKERS,
        environment={"CAM": camera_url},
    )
    with server:
        time.sleep(2)
        yield server


def measure_seed(plan: Plan) -> Figures:
    figures: Figures = {}
    with make_camera() as camera:
        for viewers, warm_up_s in ((1, 6.0), (VIEWERS, plan.seed_warm_up_s)):
            wait_until(lambda: camera.state()["open"] == 0, 10, "no viewers", processes=[camera])
            with _seed(camera.url()) as server:
                before = tree_usage(server.pid)
                watchers = mjpeg_watchers(
                    f"{server.base}/api/thread",
                    viewers=viewers,
                    warm_up_s=warm_up_s,
                    seconds=plan.window_s,
                    loop=loop_of(camera),
                )
                with watchers:
                    figures[f"cpu_{viewers}"] = watchers.measure(server.pid).as_dict()
                    figures["connections"] = camera.state()["open"]
                    during = tree_usage(server.pid)
                    figures[f"viewers_{viewers}"] = watchers.summary()
                figures["threads_per_viewer"] = (during.threads - before.threads) / viewers
                figures[f"pss_bytes_{viewers}"] = during.pss_bytes
        with _seed(camera.url()) as server:
            figures["second_viewer_ms"] = _second_viewers(server, plan.seed_second_viewers, loop_of(camera))
    times = figures["second_viewer_ms"]
    figures["second_viewer_p50_ms"], figures["second_viewer_worst_ms"] = percentile(times, 0.5), max(times)
    return figures


def _second_viewers(server: AsgiServer, count: int, loop: int) -> list[float]:
    """One viewer stays connected. The others connect one after the other, and disconnect after their first frame."""
    url = f"{server.base}/api/thread"
    with mjpeg_watchers(url, viewers=1, warm_up_s=0, seconds=count * 20, loop=loop):
        time.sleep(6)
        return [first_frame_ms(url, timeout_s=20) for _ in range(count)]
