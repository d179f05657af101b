"""Measure memory of the web and vision workers while viewers connect and disconnect, half MJPEG and half WebSocket."""

import asyncio
import statistics
import time

from benchmarks.clients import mjpeg_watchers
from benchmarks.loadclient import Load as MjpegLoad
from benchmarks.loadclient import run_mjpeg
from benchmarks.meter import kind_of
from benchmarks.proc import pss_bytes
from benchmarks.stage import CAMERA, Figures, Stage, loop_of
from benchmarks.ws_client import Load as WebSocketLoad
from benchmarks.ws_client import run_websockets
from tests.harness.server import Product

_AT_ONCE = 20
_STAY_S = 0.5
_SETTLE_S = 3.0
_SAMPLES = 9
"""Samples within a second: between two frames, the vision worker uses some megabytes less."""


async def come_and_go(mjpeg_url: str, product: Product, viewers: int) -> int:
    """Connect `viewers` viewers, `_AT_ONCE` at a time, each for a moment. Return how many received a frame."""
    places = asyncio.Semaphore(_AT_ONCE)
    headers = {"Authorization": f"Bearer {product.token}"}

    async def one(number: int) -> bool:
        async with places:
            if number % 2:
                load = MjpegLoad(
                    [mjpeg_url], seconds=_STAY_S, warm_up_s=0, decode_every=1 << 30, headers=headers
                )
                return (await run_mjpeg(load)).viewers[0].first_frame_s is not None
            wish = WebSocketLoad(
                product.websocket_url, [CAMERA], seconds=_STAY_S, warm_up_s=0, headers=headers
            )
            return (await run_websockets(wish)).viewers[0].first_frame_s is not None

    return sum(await asyncio.gather(*(one(number) for number in range(viewers))))


def measure_memory(stage: Stage) -> Figures:
    """One viewer is always connected, so that the decoder and its buffers exist in all three measurements."""
    product, plan, url = stage.product, stage.plan, stage.mjpeg_url
    loop = loop_of(stage.camera)
    sizes: list[dict[int, int]] = []
    served = 0
    with mjpeg_watchers(url, viewers=1, warm_up_s=0, seconds=900, loop=loop, token=product.token):
        asyncio.run(come_and_go(url, product, plan.memory_warm_up_viewers))
        sizes.append(_settled(product))
        for _ in range(2):
            served += asyncio.run(come_and_go(url, product, plan.memory_viewers // 2))
            sizes.append(_settled(product))
    before, middle, after = (sum(each.values()) for each in sizes)
    return {
        "viewers": plan.memory_viewers,
        "saw_a_frame": served,
        "before_bytes": before,
        "middle_bytes": middle,
        "after_bytes": after,
        "growth_percent": 100 * (after / before - 1),
        "growth_bytes": {
            f"{kind_of(pid)}-{pid}": sizes[2].get(pid, 0) - size for pid, size in sizes[0].items()
        },
    }


def _settled(product: Product) -> dict[int, int]:
    """Return PSS by process, after lingering resources are released."""
    time.sleep(_SETTLE_S)
    pids = [*product.web_pids(), *product.pids("vision")]
    samples: dict[int, list[int]] = {pid: [] for pid in pids}
    for _ in range(_SAMPLES):
        for pid in pids:
            samples[pid].append(pss_bytes(pid))
        time.sleep(1 / _SAMPLES)
    return {pid: int(statistics.median(each)) for pid, each in samples.items()}
