"""Many passthrough viewers over WebSocket in one process, with minimal work: they count messages and decode nothing.

  python -m benchmarks.ws_client ws://HOST:PORT/live/ws CAMERA [CAMERA ...] [-n VIEWERS] [-t SECONDS] [--bearer TOKEN]

Each viewer subscribes to all the cameras on one connection. Only the lengths of WebSocket frames are parsed (RFC 6455).
"""

import argparse
import asyncio
import base64
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.loadclient import percentile, request_headers

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_NO_MASK = b"\0\0\0\0"  # clients must mask, with any key


@dataclass(slots=True)
class Viewer:
    """`frames`, `bytes`: after the warm-up. `first_frame_s`: from before it connected. `close_code`: 0 while open."""

    number: int
    frames: int = 0
    bytes: int = 0
    first_frame_s: float | None = None
    longest_gap_s: float = 0.0
    close_code: int = 0
    error: str = ""
    texts: list[dict[str, Any]] = field(default_factory=list, repr=False)
    """The last 50 messages without video."""


@dataclass(frozen=True, slots=True)
class Result:
    seconds: float
    cameras: int
    viewers: list[Viewer]

    @property
    def fps(self) -> list[float]:
        """Return frames per second and camera, for each viewer."""
        return [viewer.frames / self.seconds / self.cameras for viewer in self.viewers]

    def summary(self) -> dict[str, Any]:
        first = [viewer.first_frame_s for viewer in self.viewers if viewer.first_frame_s is not None]
        median, late = percentile(first, 0.5), percentile(first, 0.95)
        return {
            "viewers": len(self.viewers),
            "seconds": self.seconds,
            "fps_least": round(min(self.fps, default=0), 2),
            "max_fps": round(max(self.fps, default=0), 2),
            "first_frame_p50_ms": None if median is None else round(median * 1000),
            "first_frame_p95_ms": None if late is None else round(late * 1000),
            "longest_gap_ms": round(1000 * max((viewer.longest_gap_s for viewer in self.viewers), default=0)),
            "bits_per_s": round(sum(viewer.bytes for viewer in self.viewers) * 8 / self.seconds),
            "no_frame": sum(viewer.first_frame_s is None for viewer in self.viewers),
            "errors": [viewer.error for viewer in self.viewers if viewer.error][:3],
        }


@dataclass(frozen=True, slots=True)
class Load:
    url: str
    cameras: Sequence[str]
    view: str = ""
    format: str = "annexb"
    codecs: Sequence[str] = ("h264", "hevc", "mjpeg")
    width: int | None = None
    viewers: int = 1
    seconds: float = 10.0
    warm_up_s: float = 3.0
    stagger_s: float = 0.02
    read: bool = True
    """False: the viewers subscribe and then stop reading."""
    until_first: bool = False
    """Each viewer disconnects after its first frame."""
    headers: Mapping[str, str] = field(default_factory=dict)


async def run_websockets(load: Load) -> Result:
    """Run for `warm_up_s + seconds`. Never raises for the server's behaviour: see `Viewer.error`."""
    measure_s = time.monotonic() + load.warm_up_s
    viewers = [Viewer(number) for number in range(load.viewers)]
    async with asyncio.TaskGroup() as group:
        for viewer in viewers:
            group.create_task(_watch(viewer, load, measure_s), name=f"viewer-{viewer.number}")
    return Result(load.seconds, len(load.cameras), viewers)


async def _watch(viewer: Viewer, load: Load, measure_s: float) -> None:
    await asyncio.sleep(viewer.number * load.stagger_s)
    parts = urlsplit(load.url)
    loop = asyncio.get_running_loop()
    connection = _Connection(viewer, load, measure_s)
    try:
        transport, _ = await loop.create_connection(
            lambda: connection, parts.hostname or "", parts.port or 80
        )
    except OSError as error:
        viewer.error = f"{type(error).__name__}: {error}"
        return
    try:
        async with asyncio.timeout(max(0.0, measure_s + load.seconds - time.monotonic())):
            await connection.closed.wait()
    except TimeoutError:
        pass
    finally:
        connection.ending = True
        transport.abort()


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    head = bytes([0x80 | opcode])
    head += bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
    return head + _NO_MASK + payload


class _Connection(asyncio.Protocol):
    def __init__(self, viewer: Viewer, load: Load, measure_s: float) -> None:
        self.closed = asyncio.Event()
        self.ending = False
        self._viewer = viewer
        self._load = load
        self._measure_s = measure_s
        self._started_s = time.monotonic()
        self._upgraded = False
        self._held = b""  # the beginning of an incomplete head or short message
        self._skip = 0  # bytes of video still to skip
        self._last_s: float | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        parts = urlsplit(self._load.url)
        key = base64.b64encode(os.urandom(16)).decode()
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
        ]
        lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", f"Origin: http://{parts.netloc}"]
        lines += [f"{name}: {value}" for name, value in self._load.headers.items()]
        transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.ending and not self._viewer.error:
            self._viewer.error = f"closed by the server, code {self._viewer.close_code}"
        self.closed.set()

    def data_received(self, data: bytes) -> None:
        now_s = time.monotonic()
        if now_s >= self._measure_s:
            self._viewer.bytes += len(data)
        if not self._upgraded:
            self._held += data
            head, end, data = self._held.partition(b"\r\n\r\n")
            if not end:
                return
            self._held = b""
            self._upgrade(head)
        at = 0
        if self._held:
            data, self._held = self._held + data, b""
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                continue
            after = self._frame_at(data, at, now_s)
            if after < 0:
                self._held = data[at:]
                return
            at = after

    def _upgrade(self, head: bytes) -> None:
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        self._upgraded = True
        assert self._transport
        if " 101 " not in status:
            self._viewer.error = status
            self._transport.abort()
            return
        load = self._load
        for number, camera in enumerate(load.cameras, start=1):
            wish = {
                "op": "subscribe",
                "id": number,
                "camera": camera,
                "view": load.view,
                "format": load.format,
                "codecs": list(load.codecs),
                "width": load.width,
            }
            self._transport.write(_frame(_TEXT, json.dumps(wish).encode()))
        if not load.read:
            self._transport.pause_reading()

    def _frame_at(self, data: bytes, at: int, now_s: float) -> int:
        """Return the offset after the frame's head (video) or after the frame (other data); -1: incomplete."""
        if len(data) - at < 2:
            return -1
        opcode, size, body = data[at] & 15, data[at + 1] & 127, at + 2
        if size >= 126:
            body += 2 if size == 126 else 8
            if body > len(data):
                return -1
            size = int.from_bytes(data[at + 2 : body], "big")
        if opcode in (_BINARY, 0):
            if opcode == _BINARY:
                self._count(now_s)
            self._skip = size
            return body
        if body + size > len(data):
            return -1
        self._control(opcode, data[body : body + size])
        return body + size

    def _count(self, now_s: float) -> None:
        viewer = self._viewer
        if viewer.first_frame_s is None:
            viewer.first_frame_s = now_s - self._started_s
            if self._load.until_first:
                self.closed.set()
        if now_s >= self._measure_s:
            viewer.frames += 1
            if self._last_s is not None:
                viewer.longest_gap_s = max(viewer.longest_gap_s, now_s - self._last_s)
        self._last_s = now_s

    def _control(self, opcode: int, payload: bytes) -> None:
        viewer = self._viewer
        if opcode == _PING and self._transport:
            self._transport.write(_frame(_PONG, payload))
        elif opcode == _CLOSE:
            viewer.close_code = int.from_bytes(payload[:2], "big")
        elif opcode == _TEXT:
            message = json.loads(payload)
            viewer.texts = [*viewer.texts[-49:], message]
            if message.get("op") == "error":
                viewer.error = f"{message.get('code')}: {message.get('message')}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("camera", nargs="+")
    parser.add_argument("-n", "--viewers", type=int, default=1)
    parser.add_argument("-t", "--seconds", type=float, default=10.0)
    parser.add_argument("--warm-up", type=float, default=3.0)
    parser.add_argument("--view", default="")
    parser.add_argument("--format", choices=("annexb", "fmp4"), default="annexb")
    parser.add_argument("--bearer", help="API token")
    parser.add_argument("--cookie", help="NAME=VALUE")
    parser.add_argument("--deaf", action="store_true", help="subscribe, and never read")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    load = Load(
        url=options.url,
        cameras=options.camera,
        view=options.view,
        format=options.format,
        viewers=options.viewers,
        seconds=options.seconds,
        warm_up_s=options.warm_up,
        read=not options.deaf,
        headers=request_headers(options.bearer, options.cookie),
    )
    summary = asyncio.run(run_websockets(load)).summary()
    print(
        json.dumps(summary)
        if options.json
        else "\n".join(f"{key:20} {value}" for key, value in summary.items())
    )


if __name__ == "__main__":
    main()
