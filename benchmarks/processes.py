"""Measure the product with one camera without viewers: memory of each process, CPU of all, and start time."""

import asyncio
import contextlib
import http.client
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import simplejpeg

from benchmarks.clips import stamped_annexb
from benchmarks.loadclient import percentile
from benchmarks.meter import kind_of, measure_cpu
from benchmarks.proc import descendants, pss_bytes
from benchmarks.stage import AT_EASE_S, CAMERA, Figures, Plan, add_cameras
from benchmarks.ws_client import Load, run_websockets
from ninjacam.testing import stamp
from tests.harness.cameras import FakeCamera
from tests.harness.processes import Process
from tests.harness.server import Product

WORKERS = (2, 4)
_GIVE_UP_S = 30.0
_TRY_EVERY_S = 0.01


def measure_processes(plan: Plan) -> Figures:
    # A camera that begins each connection with a key frame. With other cameras, the wait for a key frame is added.
    with FakeCamera("--clip", str(stamped_annexb(720)), "--gop-at-once") as camera:
        return {f"workers_{workers}": _measure(plan, camera, workers) for workers in WORKERS}


def _measure(plan: Plan, camera: FakeCamera, workers: int) -> Figures:
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        Product(Path(directory, "data"), workers=workers, environment=_with_bytecode(directory)) as product,
    ):
        add_cameras(product, {CAMERA: camera.url()})
        _start(product, _websocket_frame)  # The first start has compiled all modules, which takes memory.
        time.sleep(plan.warm_up_s + AT_EASE_S)
        memory = memory_by_kind(product.pid)
        cpu = measure_cpu(product.pid, plan.idle_window_s)
        started = {
            name: [round(_start(product, watch), 3) for _ in range(plan.starts)]
            for name, watch in (("websocket", _websocket_frame), ("mjpeg", _mjpeg_frame))
        }
    return {
        "memory_bytes": memory,
        "total_bytes": sum(sum(each) for each in memory.values()),
        "cpu": cpu.as_dict(),
        "start_s": {name: {"all": each, "p50": percentile(each, 0.5)} for name, each in started.items()},
    }


def _with_bytecode(directory: str) -> dict[str, str]:
    """Return an environment in which modules are compiled once, as pip does at an installation. PYTHONDONTWRITEBYTECODE
    would make each start compile them."""
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{directory}/bytecode"}


def memory_by_kind(root_pid: int) -> dict[str, list[int]]:
    """Return the PSS of `root_pid` and its descendants, in bytes."""
    found: dict[str, list[int]] = {}
    for pid in descendants(root_pid):
        found.setdefault(kind_of(pid), []).append(pss_bytes(pid))
    return found


def _start(product: Product, watch: Callable[[Product], bool]) -> float:
    """Return the seconds from before the start of the process to the first frame of the camera.

    Raises: RuntimeError: no frame arrived.
    """
    product.close()
    started_s = time.monotonic()
    Process.start(product)
    while not watch(product):
        if time.monotonic() - started_s > _GIVE_UP_S or not product.is_running():
            raise RuntimeError(f"No frame after the start.\n{product.tail()}")
        time.sleep(_TRY_EVERY_S)
    return time.monotonic() - started_s


def _websocket_frame(product: Product) -> bool:
    """Return whether the camera's own stream has arrived; False: retry."""
    load = Load(
        product.websocket_url, [CAMERA], headers={"Authorization": f"Bearer {product.token}"},
        warm_up_s=0, seconds=_GIVE_UP_S, until_first=True,
    )  # fmt: skip
    (viewer,) = asyncio.run(run_websockets(load)).viewers
    return viewer.first_frame_s is not None


def _mjpeg_frame(product: Product) -> bool:
    """Return whether a frame of the camera has arrived, not one with a status message; False: retry."""
    connection = http.client.HTTPConnection("127.0.0.1", product.port, timeout=_GIVE_UP_S)
    with contextlib.closing(connection):
        try:
            connection.request(
                "GET", f"/live/{CAMERA}/mjpeg", headers={"Authorization": f"Bearer {product.token}"}
            )
            answer = connection.getresponse()
            received = b""
            while answer.status == 200 and (data := answer.read1(1 << 18)):
                received += data
                start = received.find(b"\xff\xd8\xff")
                end = received.find(b"\xff\xd9", start + 3) + 2
                if start < 0 or end < 2:
                    continue
                frame, received = received[start:end], received[end:]
                if stamp.read(simplejpeg.decode_jpeg(frame, "GRAY")[:, :, 0]) is not None:
                    return True
        except (OSError, http.client.HTTPException):
            return False
    return False
