"""Run one attack on the network side of a server on this host, for some seconds.

  python -m benchmarks.attackers NAME PORT SECONDS

To add one, write a function of (port, until_s) below with the decorator `attack`. It runs in a separate process.
"""

import base64
import contextlib
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable

from tests.harness.attackers import CHUNK, RawClient, idle_connections

Attack = Callable[[int, float], None]
ATTACKS: dict[str, Attack] = {}
"""Attacks by their names in the table. `until_s`: of time.monotonic()."""

_LOGIN = ("POST /login/ HTTP/1.1", "Content-Type: application/x-www-form-urlencoded")
_NICENESS = 5
_PAUSE_S = 0.001
"""Pause between two rounds of a thread.

The attackers share two cores with the server. Without pauses, the benchmark would measure only the attackers.
"""


def attack(name: str) -> Callable[[Attack], Attack]:
    def register(function: Attack) -> Attack:
        ATTACKS[name] = function
        return function

    return register


def repeat(step: Callable[[], object], until_s: float, threads: int = 4) -> None:
    """Run `step` in some threads repeatedly. A connection that the server closes is not an error."""

    def run() -> None:
        while time.monotonic() < until_s:
            with contextlib.suppress(OSError, EOFError, ValueError):
                step()
            time.sleep(_PAUSE_S)

    workers = [threading.Thread(target=run) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


@attack("nothing")
def do_nothing(port: int, until_s: float) -> None:
    """The baseline."""
    time.sleep(until_s - time.monotonic())


@attack("bodies held open")
def hold_bodies(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port, timeout_s=2) as client:
            client.request(*_LOGIN, "Content-Length: 900000", body=b"a=" + b"x" * 800_000)
            client.ending(1.0)

    repeat(step, until_s, threads=16)


@attack("endless bodies")
def send_endless_bodies(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port) as client:
            client.request(*_LOGIN, "Transfer-Encoding: chunked")
            client.flood(b"1000\r\n" + b"x" * 4096 + b"\r\n", 16 << 20)

    repeat(step, until_s)


@attack("endless headers")
def send_endless_headers(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port) as client:
            client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
            client.flood(b"a: " + b"b" * 100 + b"\r\n", 16 << 20)

    repeat(step, until_s)


@attack("one endless header")
def send_endless_header(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port) as client:
            client.send(b"GET /healthz HTTP/1.1\r\nHost: x\r\na: ")
            client.flood(CHUNK, 16 << 20)

    repeat(step, until_s)


@attack("2,600 idle connections")
def hold_idle_connections(port: int, until_s: float) -> None:
    while time.monotonic() < until_s:
        with idle_connections(port, 2600):
            time.sleep(min(2.0, max(0.0, until_s - time.monotonic())))


@attack("1,500 slow heads")
def send_slow_heads(port: int, until_s: float) -> None:
    while time.monotonic() < until_s:
        with idle_connections(port, 1500, first=b"GET /healthz HTTP/1.1\r\n") as clients:
            while time.monotonic() < until_s and not all(client.is_closed() for client in clients[-10:]):
                for client in clients:
                    client.send(b"a: b\r\n")
                time.sleep(0.5)


@attack("connecting and leaving")
def connect_and_leave(port: int, until_s: float) -> None:
    def step() -> None:
        for _ in range(20):
            with RawClient(port) as client:
                client.reset()

    repeat(step, until_s)


@attack("garbage")
def send_garbage(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port) as client:
            client.send(os.urandom(2000))
            client.reset()

    repeat(step, until_s)


@attack("pipelined requests")
def pipeline(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port, timeout_s=2) as client:
            client.flood(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 1 << 20)

    repeat(step, until_s)


@attack("anonymous WebSockets")
def open_sockets(port: int, until_s: float) -> None:
    key = base64.b64encode(bytes(16)).decode()

    def step() -> None:
        with RawClient(port, timeout_s=2) as client:
            upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
            client.request("GET /live/ws HTTP/1.1", *upgrade, f"Sec-WebSocket-Key: {key}")
            client.ending(1.0)

    repeat(step, until_s)


@attack("pages")
def ask_for_pages(port: int, until_s: float) -> None:
    def step() -> None:
        with RawClient(port) as client:
            client.request("GET /login/ HTTP/1.1", "Connection: close")
            client.ending(5.0)

    repeat(step, until_s, threads=16)


@attack("logins")
def log_in(port: int, until_s: float) -> None:
    """Send a valid CSRF token, so that the server checks the passwords."""
    secret = "a" * 32
    form = f"csrfmiddlewaretoken={secret}&username=boss&password=wrong".encode()

    def step() -> None:
        with RawClient(port) as client:
            cookie = f"Cookie: ninjacam_csrf={secret}"
            client.request(*_LOGIN, cookie, f"Content-Length: {len(form)}", "Connection: close", body=form)
            client.ending(5.0)

    repeat(step, until_s, threads=16)


@attack("logins to many accounts")
def log_in_everywhere(port: int, until_s: float) -> None:
    """Use another account and another address for each request: each password is checked if there is capacity."""
    secret = "a" * 32
    numbers = itertools.count()

    def step() -> None:
        number = next(numbers)
        form = f"csrfmiddlewaretoken={secret}&username=user-{number}&password=wrong".encode()
        with RawClient(port) as client:
            cookie = f"Cookie: ninjacam_csrf={secret}"
            address = f"X-Forwarded-For: 203.0.{number // 250 % 250}.{number % 250}"
            client.request(
                *_LOGIN, cookie, address, f"Content-Length: {len(form)}", "Connection: close", body=form
            )
            client.ending(5.0)

    repeat(step, until_s, threads=16)


@attack("deep JSON")
def send_deep_json(port: int, until_s: float) -> None:
    body = b"[" * 500_000

    def step() -> None:
        with RawClient(port) as client:
            kind = "Content-Type: application/json"
            client.request(
                "POST /api/v1/cameras HTTP/1.1",
                kind,
                f"Content-Length: {len(body)}",
                "Connection: close",
                body=body,
            )
            client.ending(5.0)

    repeat(step, until_s)


def main() -> None:
    name, port, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    os.nice(_NICENESS)
    ATTACKS[name](port, time.monotonic() + seconds)


if __name__ == "__main__":
    main()
