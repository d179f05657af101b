"""Measure talk: from the press to a ready camera, from a sound to its packet, and to the end of the talk."""

import json
import random
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from websockets.sync.client import ClientConnection, connect

from benchmarks.clips import cache_dir
from benchmarks.loadclient import percentile
from benchmarks.proc import cpu_seconds
from benchmarks.stage import CAMERA, Figures, Plan, make_product
from ninjacam.codecs.g711 import encode_g711
from ninjacam.testing.authentication import Login
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.server import Product

_CHUNK_S = 0.02
_SILENCE = bytes(320)
_CLICK = b"\x00\x7d" * 160
_CLICKED = encode_g711(_CLICK, "ulaw")[:1]
_LEAD_S, _REST_S = 0.4, 0.3
_CPU_WINDOW_S = 10.0
_TIMEOUT_S = 10.0
_WARM_UP = 3


def measure_talk(plan: Plan) -> Figures:
    """The camera is a thread of this process. Its received packets are polled every millisecond."""
    clip = make_clip(SceneOptions(320, 180, seconds=4, gop=25, bitrate_bps=200_000), cache_dir=cache_dir())
    login = Login("digest", "admin", "secret")
    with FakeRtspCamera(clip, login=login) as camera, make_product() as product:
        camera.faults.back_channel = ("PCMU/8000",)
        product.add_camera(CAMERA, camera.url(login=False), username="admin", password="secret")
        product.wait_for_state(CAMERA)
        presses: list[float] = []
        delays: list[float] = []
        releases: list[float] = []
        lost: list[float] = []
        for number in range(_WARM_UP + plan.talks):
            measured = _talk(product, camera, is_lost=bool(number % 2))
            if number >= _WARM_UP:
                presses.append(measured[0])
                delays.append(measured[1])
                (lost if number % 2 else releases).append(measured[2])
        (capture,) = product.pids("capture")
        idle = _cpu_percent(capture)
        with _press(product) as connection:
            _ready(connection)
            talking = _cpu_percent(capture, connection)
    return {
        "talks": plan.talks,
        "press_ms": _summary(presses),
        "delay_ms": _summary(delays),
        "release_ms": _summary(releases),
        "lost_socket_ms": _summary(lost),
        "capture_cpu_percent": {"idle": idle, "talking": talking},
    }


def _talk(product: Product, camera: FakeRtspCamera, *, is_lost: bool) -> tuple[float, float, float]:
    """Return the milliseconds from the press to a ready camera, from a click to its packet, and to the end."""
    camera.stats.audio.clear()
    began_s = time.monotonic()
    with _press(product) as connection:
        _ready(connection)
        ready_ms = (time.monotonic() - began_s) * 1000
        _speak(connection, _LEAD_S + random.uniform(0, _CHUNK_S))
        clicked_s = time.monotonic()
        connection.send(_CLICK)
        delay_ms = _wait(
            lambda: any(_CLICKED in packet[12:] for packet in list(camera.stats.audio)), clicked_s, connection
        )
        ended_s = time.monotonic()
        if is_lost:
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            connection.close()
        end_ms = _wait(lambda: camera.stats.open_talks == 0, ended_s)
    time.sleep(_REST_S)
    return ready_ms, delay_ms, end_ms


def _press(product: Product) -> AbstractContextManager[ClientConnection]:
    return connect(
        product.websocket_url.replace("/live/ws", f"/live/{CAMERA}/talk"),
        additional_headers={"Authorization": f"Bearer {product.token}"},
        close_timeout=1,
        compression=None,
    )


def _ready(connection: ClientConnection) -> None:
    message = json.loads(connection.recv(_TIMEOUT_S))
    assert message["op"] == "ready", message


def _speak(connection: ClientConnection, seconds: float) -> None:
    next_s = time.monotonic()
    until_s = next_s + seconds
    while next_s < until_s:
        connection.send(_SILENCE)
        next_s += _CHUNK_S
        time.sleep(max(0.0, next_s - time.monotonic()))


def _wait(condition: Callable[[], bool], since_s: float, connection: ClientConnection | None = None) -> float:
    """Return the milliseconds from `since_s` until the condition is true. `connection`: sends audio meanwhile."""
    sent_s = since_s
    while not condition():
        now_s = time.monotonic()
        if now_s - since_s > _TIMEOUT_S:
            raise TimeoutError("The camera has not received it.")
        if connection is not None and now_s - sent_s >= _CHUNK_S:
            connection.send(_SILENCE)
            sent_s += _CHUNK_S
        time.sleep(0.001)
    return (time.monotonic() - since_s) * 1000


def _cpu_percent(pid: int, connection: ClientConnection | None = None) -> float:
    """Return the CPU time of a process in % of one core, with or without speech."""
    before_s, began_s = cpu_seconds(pid), time.monotonic()
    if connection is None:
        time.sleep(_CPU_WINDOW_S)
    else:
        _speak(connection, _CPU_WINDOW_S)
    return 100 * (cpu_seconds(pid) - before_s) / (time.monotonic() - began_s)


def _summary(values: list[float]) -> Figures:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95), "worst": max(values)}
