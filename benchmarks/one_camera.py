"""Measure the whole product with one camera: its CPU time without viewers, and with the first WebSocket viewer."""

import time

from benchmarks.meter import Cpu, measure_cpu
from benchmarks.passthrough import watched_by
from benchmarks.stage import AT_EASE_S, CAMERA, Figures, Plan, add_cameras, make_camera, make_product


def measure_one_camera(plan: Plan) -> Figures:
    with make_camera() as camera, make_product() as product:
        add_cameras(product, {CAMERA: camera.url()})
        time.sleep(plan.warm_up_s + AT_EASE_S)
        before = measure_cpu(product.pid, plan.one_camera_window_s)
        watched, seen = watched_by(1, product, warm_up_s=plan.warm_up_s, window_s=plan.one_camera_window_s)
        time.sleep(plan.warm_up_s + AT_EASE_S)
        after = measure_cpu(product.pid, plan.one_camera_window_s)
    idle = _mean(before, after)
    kinds = sorted({*idle, *watched.by_kind})
    added = {kind: watched.by_kind.get(kind, 0.0) - idle.get(kind, 0.0) for kind in kinds}
    return {
        "idle": _as_dict(idle),
        "watched": _as_dict(watched.by_kind),
        "added": _as_dict(added),
        "added_percent": sum(added.values()),
        "fps": seen["fps_least"],
    }


def _mean(one: Cpu, other: Cpu) -> dict[str, float]:
    kinds = {*one.by_kind, *other.by_kind}
    return {kind: (one.by_kind.get(kind, 0.0) + other.by_kind.get(kind, 0.0)) / 2 for kind in kinds}


def _as_dict(by_kind: dict[str, float]) -> dict[str, float]:
    kinds = {kind: round(value, 3) for kind, value in sorted(by_kind.items())}
    return {"total": round(sum(by_kind.values()), 3), **kinds}
