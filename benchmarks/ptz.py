"""Measure camera movements: from the key to the command at the camera, and to its stop, over the WebSocket."""

import json
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from websockets.sync.client import ClientConnection, connect

from benchmarks.loadclient import percentile
from benchmarks.stage import CAMERA, Figures, Plan, make_product
from ninjacam.testing.onvif_camera import Command, FakeOnvifCamera
from tests.harness.server import Product

_REFRESH_S = 0.08
_HELD_S = 0.2
_REST_S = 0.1
_TIMEOUT_S = 10.0
_WARM_UP = 3
_LOST = 20


def measure_ptz(plan: Plan) -> Figures:
    """The camera is a thread of this process. Its log has the times at which it read a command."""
    with FakeOnvifCamera() as camera, make_product() as product:
        camera.faults.ignores_timeout = True  # Only the product's commands stop it.
        login = {"username": camera.username, "password": camera.password}
        product.add_camera(CAMERA, "rtsp://127.0.0.1:9/", "--onvif", camera.url, **login)
        path = product.data / f"run/{CAMERA}.device"
        _until(path.exists)
        presses, releases = _presses(product, camera, plan.ptz_presses)
        lost = [_lose(product, camera, shutdown=True) for _ in range(_LOST)]
        silent = [_lose(product, camera, shutdown=False) for _ in range(_LOST)]
    return {
        "presses": len(presses),
        "press_ms": _summary(presses),
        "release_ms": _summary(releases),
        "lost_socket_ms": _summary(lost),
        "silent_client_ms": _summary(silent),
        "stop_worst_ms": max(*releases, *lost, *silent),
    }


def _presses(product: Product, camera: FakeOnvifCamera, count: int) -> tuple[list[float], list[float]]:
    presses, releases = [], []
    with _socket(product) as connection:
        for number in range(_WARM_UP + count):
            began_ns = time.monotonic_ns()
            _send(connection, 1)
            pressed = _wait(camera, "ContinuousMove", began_ns)
            _hold(connection, _HELD_S)
            ended_ns = time.monotonic_ns()
            _send(connection, 0)
            released = _wait(camera, "Stop", ended_ns)
            if number >= _WARM_UP:
                presses.append(pressed)
                releases.append(released)
            time.sleep(_REST_S)
    return presses, releases


def _lose(product: Product, camera: FakeOnvifCamera, *, shutdown: bool) -> float:
    """Return the milliseconds from the last message, or from the end of the connection, to the stop."""
    with _socket(product) as connection:
        _send(connection, 1)
        _wait(camera, "ContinuousMove", 0)
        _hold(connection, _HELD_S)
        began_ns = time.monotonic_ns()
        if shutdown:
            connection.socket.shutdown(socket.SHUT_RDWR)
        else:
            _send(connection, 1)
        taken_ms = _wait(camera, "Stop", began_ns)
    camera.commands.clear()
    return taken_ms


def _hold(connection: ClientConnection, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        time.sleep(_REFRESH_S)
        _send(connection, 1)


def _socket(product: Product) -> AbstractContextManager[ClientConnection]:
    return connect(
        product.websocket_url,
        additional_headers={"Authorization": f"Bearer {product.token}"},
        close_timeout=1,
    )


def _send(connection: ClientConnection, pan: float) -> None:
    connection.send(json.dumps({"op": "ptz", "camera": CAMERA, "pan": pan}))


def _wait(camera: FakeOnvifCamera, name: str, since_ns: int) -> float:
    """Return the milliseconds from `since_ns` to the first matching command."""

    def found() -> Command | None:
        return next((each for each in camera.named(name) if each.at_ns >= since_ns), None)

    _until(lambda: found() is not None)
    command = found()
    assert command is not None
    return (command.at_ns - since_ns) / 1e6


def _until(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline_s:
            raise TimeoutError("The camera has not received the command.")
        time.sleep(0.002)


def _summary(values: list[float]) -> Figures:
    return {"p50": percentile(values, 0.5), "p95": percentile(values, 0.95), "worst": max(values)}
