"""Measure the effect of each attack of `benchmarks.attackers` on viewers and /healthz.

The product has two web workers and a camera of 720p25 with two players. The players, the requests for /healthz and the
attack are separate processes on the server's cores; the attack has a lower priority.
"""

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.attackers import ATTACKS
from benchmarks.clients import websocket_watchers
from benchmarks.stage import CAMERA, Figures, Plan, add_cameras, make_camera
from tests.harness.processes import Process, python
from tests.harness.server import Product

VIEWERS = 2
WORKERS = 2


def measure_attacks(plan: Plan) -> Figures:
    """Return the figures of each attack by name: `gap_ms` (the longest of any viewer), `health` (p50, p95, worst)."""
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="attacks-", ignore_cleanup_errors=True)
        )
        camera = stack.enter_context(make_camera())
        product = stack.enter_context(Product(Path(directory) / "data", workers=WORKERS))
        add_cameras(product, {CAMERA: camera.url()})
        return {name: _measure(product, name, plan) for name in ATTACKS}


def _measure(product: Product, name: str, plan: Plan) -> Figures:
    seconds = plan.attack_s
    watchers = websocket_watchers(
        product.websocket_url,
        CAMERA,
        viewers=VIEWERS,
        warm_up_s=plan.warm_up_s,
        seconds=seconds,
        token=product.token,
    )
    attacker = Process(name, python("-m", "benchmarks.attackers", name, str(product.port), str(seconds)))
    poller = Process("health", python("-m", "benchmarks.health_poller", str(product.port), str(seconds)))
    with watchers:
        watchers.rest(plan.warm_up_s)
        with attacker, poller:
            health = _last_line(poller, seconds)
            attacker.wait(seconds + 60)
        seen = watchers.summary()
    if seen["errors"] or seen["no_frame"]:
        raise RuntimeError(f"{name}: a viewer was lost: {seen}")
    return {"gap_ms": seen["longest_gap_ms"], "fps_least": seen["fps_least"], "health": health}


def _last_line(process: Process, seconds: float) -> dict[str, Any]:
    if process.wait(seconds + 60):
        raise RuntimeError(process.tail())
    found: dict[str, Any] = json.loads(process.output.strip().splitlines()[-1])
    return found
