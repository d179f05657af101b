"""What one more viewer of the camera's own video costs: many WebSockets, nothing decoded.

More than one who watches already: the first also makes the product read the camera at once. `each_percent` still
contains what the first viewer of each other worker costs, for every worker reads the stream once for all its viewers.
`alone_percent` does not: it compares two numbers of viewers that both occupy all workers.
"""

from typing import Any

from benchmarks.clients import websocket_watchers
from benchmarks.meter import Cpu
from benchmarks.stage import CAMERA, Figures, Stage


def measure_passthrough(stage: Stage) -> Figures:
    more = stage.plan.passthrough_viewers
    one, _ = watched_by(1, stage)
    many, seen = watched_by(1 + more, stage)
    twice, _ = watched_by(1 + 2 * more, stage)
    return {
        "cpu_1": one.as_dict(),
        "cpu_many": many.as_dict(),
        "cpu_twice": twice.as_dict(),
        "each_percent": (many.total - one.total) / more,
        "alone_percent": (twice.total - many.total) / more,
        "viewers": seen,
    }


def watched_by(viewers: int, stage: Stage) -> tuple[Cpu, dict[str, Any]]:
    product, plan = stage.product, stage.plan
    watchers = websocket_watchers(
        product.websocket_url,
        CAMERA,
        viewers=viewers,
        warm_up_s=plan.warm_up_s + 2,
        seconds=plan.window_s,
        token=product.token,
    )
    with watchers:
        cpu = watchers.measure(product.pid)
        seen = watchers.summary()
    if seen["errors"] or seen["no_picture"]:
        raise RuntimeError(f"Not all have seen the camera: {seen}")
    return cpu, seen
