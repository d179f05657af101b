"""What a viewer of the camera's own video costs: many WebSockets, nothing decoded."""

import time

from benchmarks.clients import websocket_watchers
from benchmarks.meter import measure_cpu
from benchmarks.stage import CAMERA, Figures, Stage


def measure_passthrough(stage: Stage) -> Figures:
    product, plan = stage.product, stage.plan
    time.sleep(plan.warm_up_s)
    none = measure_cpu(product.pid, plan.window_s)
    watchers = websocket_watchers(
        product.websocket_url,
        CAMERA,
        viewers=plan.passthrough_viewers,
        warm_up_s=plan.warm_up_s + 2,
        seconds=plan.window_s,
        token=product.token,
    )
    with watchers:
        many = watchers.measure(product.pid)
        seen = watchers.summary()
    if seen["errors"] or seen["no_picture"]:
        raise RuntimeError(f"Not all have seen the camera: {seen}")
    each = (many.total - none.total) / plan.passthrough_viewers
    return {"cpu_0": none.as_dict(), "cpu_many": many.as_dict(), "each_percent": each, "viewers": seen}
