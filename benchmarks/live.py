"""Measure one and eight MJPEG viewers of the overlay: connections, frames per second, CPU, latency."""

from benchmarks.clients import mjpeg_watchers
from benchmarks.stage import Figures, Stage, loop_of

VIEWERS = 8


def measure_live(stage: Stage) -> Figures:
    product, plan = stage.product, stage.plan
    figures: Figures = {}
    for viewers in (1, VIEWERS):
        watchers = mjpeg_watchers(
            stage.mjpeg_url,
            viewers=viewers,
            warm_up_s=plan.warm_up_s,
            seconds=plan.window_s,
            loop=loop_of(stage.camera),
            token=product.token,
        )
        with watchers:
            cpu = watchers.measure(product.pid)
            connections = stage.camera.state()
            seen = watchers.summary()
        if seen["errors"]:
            raise RuntimeError(f"{viewers} viewers: {seen['errors']}")
        figures[f"cpu_{viewers}"] = cpu.as_dict()
        figures[f"viewers_{viewers}"] = seen
        figures["connections"] = connections["open"]
    figures["reconnects"] = stage.camera.state()["connects"] - 1
    return figures
