"""Measure cameras without viewers, which are received and buffered but not decoded."""

import time

from benchmarks.meter import measure_cpu
from benchmarks.stage import AT_EASE_S, Figures, Plan, add_cameras, make_camera, make_product


def measure_idle(plan: Plan) -> Figures:
    count = plan.idle_cameras
    with make_camera(mounts=count) as camera, make_product() as product:
        add_cameras(product, {f"cam{number}": camera.url(number) for number in range(count)})
        time.sleep(plan.warm_up_s + AT_EASE_S)
        cpu = measure_cpu(product.pid, plan.idle_window_s)
        status = product.status()
        connections = camera.state()["open"]
    cameras = status["cameras"].values()
    subscribers = sum(each["subscribers"] for each in cameras)
    views = [view for views in status["views"].values() for view in views.values()]
    active = sum(view["state"] != "idle" for view in views)
    return {
        "cameras": count,
        "connections": connections,
        "frames_per_s": sum(each["fps"] for each in cameras),
        "cpu": cpu.as_dict(),
        "each_percent": cpu.total / count,
        "subscribers": subscribers,
        "active_views": active,
        "nothing_decoded": not subscribers and not active and cpu.by_kind.get("vision", 0.0) < count * 0.05,
    }
