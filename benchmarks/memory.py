"""Memory of the web and vision workers while viewers come and go, half of them by MJPEG and half by WebSocket."""

import asyncio
import time

from benchmarks.loadclient import Load as MjpegLoad
from benchmarks.loadclient import run_mjpeg
from benchmarks.proc import pss_bytes
from benchmarks.stage import CAMERA, Figures, Stage
from benchmarks.ws_client import Load as WebSocketLoad
from benchmarks.ws_client import run_websockets
from tests.harness.server import Product

_AT_ONCE = 20
_STAY_S = 0.4
_SETTLE_S = 4.0


async def come_and_go(mjpeg_url: str, product: Product, viewers: int) -> int:
    """`viewers` of them, `_AT_ONCE` at a time, each for a moment; how many saw a picture."""
    places = asyncio.Semaphore(_AT_ONCE)
    headers = {"Authorization": f"Bearer {product.token}"}

    async def one(number: int) -> bool:
        async with places:
            if number % 2:
                load = MjpegLoad(
                    [mjpeg_url], seconds=_STAY_S, warm_up_s=0, decode_every=1 << 30, headers=headers
                )
                return (await run_mjpeg(load)).viewers[0].first_picture_s is not None
            wish = WebSocketLoad(
                product.websocket_url, [CAMERA], seconds=_STAY_S, warm_up_s=0, headers=headers
            )
            return (await run_websockets(wish)).viewers[0].first_picture_s is not None

    return sum(await asyncio.gather(*(one(number) for number in range(viewers))))


def measure_memory(stage: Stage) -> Figures:
    product, plan, url = stage.product, stage.plan, stage.mjpeg_url
    asyncio.run(come_and_go(url, product, plan.memory_warm_up_viewers))
    before, served = _settled(product), 0
    middle = {}
    for part in (1, 2):
        served += asyncio.run(come_and_go(url, product, plan.memory_viewers // 2))
        if part == 1:
            middle = _settled(product)
    after = _settled(product)
    total_before, total_after = sum(before.values()), sum(after.values())
    return {
        "viewers": plan.memory_viewers,
        "saw_a_picture": served,
        "before_bytes": total_before,
        "middle_bytes": sum(middle.values()),
        "after_bytes": total_after,
        "growth_percent": 100 * (total_after / total_before - 1),
        "growth_bytes_by_pid": {pid: after.get(pid, 0) - size for pid, size in before.items()},
    }


def _settled(product: Product) -> dict[int, int]:
    """PSS by process, when what lingers has gone."""
    time.sleep(_SETTLE_S)
    return {pid: pss_bytes(pid) for pid in [*product.web_pids(), *product.pids("vision")]}
