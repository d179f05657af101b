"""Measure a viewer's wait for the first frame while another one is connected, on every worker, by token and cookie."""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from urllib.parse import urlsplit

from benchmarks.clients import mjpeg_watchers
from benchmarks.loadclient import percentile
from benchmarks.stage import Figures, Stage, loop_of

_START, _END = b"\xff\xd8\xff", b"\xff\xd9"
_STAY_S = 0.3
_REST_S = 2.5
"""Seconds until a worker has dropped an encoded stream without viewers, so the next viewer starts without it."""


@contextmanager
def first_frame(url: str, headers: Mapping[str, str], timeout_s: float) -> Iterator[float]:
    """Yield the milliseconds from before the TCP connection until a complete JPEG is received.

    The viewer stays connected for the `with` block. Raises: RuntimeError: refused, or closed before a frame arrived.
    """
    parts = urlsplit(url)
    lines = [f"GET {parts.path}?{parts.query} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    started_s = time.monotonic()
    with socket.create_connection((parts.hostname or "", parts.port or 80), timeout=timeout_s) as connection:
        connection.sendall(request)
        received = bytearray()
        while True:
            start = received.find(_START)
            if start >= 0 and received.find(_END, start) >= 0:
                break
            data = connection.recv(1 << 18)
            if not data:
                raise RuntimeError(f"No frame from {url}: {bytes(received[:300])!r}")
            received += data
        yield (time.monotonic() - started_s) * 1000


def first_frame_ms(url: str, headers: Mapping[str, str] | None = None, timeout_s: float = 10.0) -> float:
    with first_frame(url, headers or {}, timeout_s) as taken_ms:
        return taken_ms


def measure_first_frame(stage: Stage) -> Figures:
    product, plan = stage.product, stage.plan
    cookie = product.login().cookie_header
    logins = {"token": {"Authorization": f"Bearer {product.token}"}, "cookie": {"Cookie": cookie}}
    url, loop = stage.mjpeg_url, loop_of(stage.camera)
    figures: Figures = {"first_of_all_ms": first_frame_ms(url, logins["token"])}
    worst = []
    with mjpeg_watchers(url, viewers=1, warm_up_s=0, seconds=600, loop=loop, token=product.token):
        time.sleep(plan.warm_up_s)
        for name, headers in logins.items():
            time.sleep(_REST_S)
            times, workers = _second_viewers(url, headers, product.web_pids(), plan.second_viewers)
            figures[name] = {
                "ms": [round(value, 1) for value in times],
                "p50_ms": percentile(times, 0.5),
                "worst_ms": max(times),
                "workers_reached": workers,
            }
            worst.append(max(times))
    figures["worst_ms"] = max(worst)
    figures["p50_ms"] = percentile([ms for name in logins for ms in figures[name]["ms"]], 0.5)
    return figures


def _second_viewers(
    url: str, headers: Mapping[str, str], workers: list[int], least: int
) -> tuple[list[float], int]:
    """Connect `least` viewers one by one, and more until every worker has had one (at most three times as many)."""
    times: list[float] = []
    reached: set[int] = set()
    while len(times) < least or (len(reached) < len(workers) and len(times) < 3 * least):
        before = {pid: _sockets(pid) for pid in workers}
        with first_frame(url, headers, 10) as taken_ms:
            times.append(taken_ms)
            time.sleep(_STAY_S)
            reached |= {pid for pid in workers if _sockets(pid) > before[pid]}
        time.sleep(0.05)
    return times, len(reached)


def _sockets(pid: int) -> int:
    """Return the open sockets of a worker."""
    folder = f"/proc/{pid}/fd"
    found = 0
    for name in os.listdir(folder):
        try:
            found += os.readlink(f"{folder}/{name}").startswith("socket:")
        except OSError:
            continue
    return found
