"""What one more viewer of the camera's own video costs: many WebSockets, nothing decoded.

More than one who watches already, for the first also costs what any number share: the camera is read at once, and its
video comes to a worker.
"""

from typing import Any

from benchmarks.clients import websocket_watchers
from benchmarks.meter import Cpu
from benchmarks.stage import CAMERA, Figures, Stage


def measure_passthrough(stage: Stage) -> Figures:
    plan = stage.plan
    one, _ = _watched_by(1, stage)
    many, seen = _watched_by(1 + plan.passthrough_viewers, stage)
    each = (many.total - one.total) / plan.passthrough_viewers
    return {"cpu_1": one.as_dict(), "cpu_many": many.as_dict(), "each_percent": each, "viewers": seen}


def _watched_by(viewers: int, stage: Stage) -> tuple[Cpu, dict[str, Any]]:
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
