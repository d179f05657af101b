"""Measure the cost of one more viewer of the camera's own video: many WebSockets, nothing decoded.

The figures exclude the first viewer, who also makes the product read the camera at its full rate. `each_percent`
includes the cost of the first viewer of each other worker, because every worker reads the stream once for all its
viewers. `alone_percent` does not: it compares two numbers of viewers that both occupy all workers.
"""

from typing import Any

from benchmarks.clients import websocket_watchers
from benchmarks.meter import Cpu
from benchmarks.stage import CAMERA, Figures, Stage
from tests.harness.server import Product


def measure_passthrough(stage: Stage) -> Figures:
    plan, more = stage.plan, stage.plan.passthrough_viewers

    def watched(viewers: int) -> tuple[Cpu, dict[str, Any]]:
        return watched_by(viewers, stage.product, warm_up_s=plan.warm_up_s, window_s=plan.window_s)

    one, _ = watched(1)
    many, seen = watched(1 + more)
    twice, _ = watched(1 + 2 * more)
    return {
        "cpu_1": one.as_dict(),
        "cpu_many": many.as_dict(),
        "cpu_twice": twice.as_dict(),
        "each_percent": (many.total - one.total) / more,
        "alone_percent": (twice.total - many.total) / more,
        "viewers": seen,
    }


def watched_by(
    viewers: int, product: Product, *, warm_up_s: float, window_s: float
) -> tuple[Cpu, dict[str, Any]]:
    """Return the CPU time of the product with this number of viewers, and the figures of the viewers."""
    watchers = websocket_watchers(
        product.websocket_url,
        CAMERA,
        viewers=viewers,
        warm_up_s=warm_up_s + 2,
        seconds=window_s,
        token=product.token,
    )
    with watchers:
        cpu = watchers.measure(product.pid)
        seen = watchers.summary()
    if seen["errors"] or seen["no_frame"]:
        raise RuntimeError(f"Not all viewers have received a frame: {seen}")
    return cpu, seen
