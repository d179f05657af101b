"""Measure threads of the web workers, and their open database connections, without and with viewers."""

import asyncio
import os
import statistics
import time

from benchmarks.clients import mjpeg_watchers, websocket_watchers
from benchmarks.memory import come_and_go
from benchmarks.proc import thread_count
from benchmarks.stage import CAMERA, Figures, Stage, loop_of
from tests.harness.server import Product

_SAMPLES = 40
_FILL_VIEWERS = 60
"""Number of viewers after which each worker has started its few permanent threads."""


def measure_threads(stage: Stage) -> Figures:
    product, plan = stage.product, stage.plan
    asyncio.run(come_and_go(stage.mjpeg_url, product, _FILL_VIEWERS))
    time.sleep(1)
    before = _threads(product)
    half = plan.thread_viewers // 2
    times = {"warm_up_s": plan.warm_up_s, "seconds": plan.window_s / 2}
    frames = mjpeg_watchers(
        stage.mjpeg_url, viewers=half, loop=loop_of(stage.camera), token=product.token, **times
    )
    video = websocket_watchers(product.websocket_url, CAMERA, viewers=half, token=product.token, **times)
    with frames, video:
        time.sleep(plan.warm_up_s + 0.5)
        during, connections = 0, []
        for _ in range(_SAMPLES):
            during = max(during, _threads(product))
            connections.append(_database_connections(product))
            time.sleep(plan.window_s / 2 / _SAMPLES)
        seen = [frames.summary(), video.summary()]
    viewers = 2 * half
    return {
        "viewers": viewers,
        "threads_before": before,
        "threads_during": during,
        "threads_per_viewer": (during - before) / viewers,
        "connections_median": statistics.median(connections),
        "max_connections": max(connections),
        "connections_per_viewer": statistics.median(connections) / viewers,
        "errors": [error for each in seen for error in each["errors"]],
    }


def _threads(product: Product) -> int:
    return sum(thread_count(pid) for pid in product.web_pids())


def _database_connections(product: Product) -> int:
    """Return the number of database connections of the web workers: SQLite's are open files."""
    found = 0
    for pid in product.web_pids():
        folder = f"/proc/{pid}/fd"
        for name in os.listdir(folder):
            try:
                found += os.readlink(f"{folder}/{name}").endswith(".sqlite3")
            except OSError:
                continue
    return found
