"""What one more viewer of the camera's own video costs: many WebSockets, nothing decoded.

More than one who watches already: the first also makes the product read the camera at once. `each_percent` still
contains what the first viewer of each other worker costs, for every worker reads the stream once for all its viewers.
`alone_percent` does not: it compares two numbers of viewers that both occupy all workers.
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
    """Return the CPU of the product while this number of viewers watches, and the figures of the viewers."""
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
