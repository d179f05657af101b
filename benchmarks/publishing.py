"""Measure publishing devices: CPU of each of 16, and latency from publisher to viewer, over RTMP and RTSP."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Self

from benchmarks.clips import stamped_annexb
from benchmarks.loadclient import percentile
from benchmarks.meter import measure_cpu
from benchmarks.stage import AT_EASE_S, Figures, Plan, make_product
from ninjacam.codecs.bitstream import parameter_sets, to_length_prefixed
from ninjacam.core.packets import Codec
from ninjacam.sources.rtmp.chunks import MessageType, write_control
from ninjacam.testing.clips import Clip, load_clip
from ninjacam.testing.rtp import INTERLEAVED_HEADER, payloads
from tests.harness.processes import free_port, wait_until
from tests.harness.publisher import RtmpSocket
from tests.harness.server import Product
from tests.harness.viewers import WS_HEADER, WsViewer

FRAME_S = 0.04
_CHUNK_BYTES = 60_000
"""The value of FFmpeg and OBS: most frames are one chunk."""
_TAIL_BYTES = 64
"""A frame's last bytes identify it: the clip's frames differ, and the viewer receives them with other start codes."""
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=control:streamid=0\r\n"
)


class _Rtmp:
    def __init__(self, port: int, key: str, clip: Clip) -> None:
        self._socket = RtmpSocket(port)
        if self._socket.publish(key) != "NetStream.Publish.Start":
            raise RuntimeError("A publisher was refused.")
        sets = parameter_sets(Codec.H264, clip.video.units[0].data)
        sps, pps = sets.sps[0], sets.pps[0]
        record = b"\x01" + sps[1:4] + b"\xff\xe1" + len(sps).to_bytes(2, "big") + sps
        record += b"\x01" + len(pps).to_bytes(2, "big") + pps
        self._socket.send(write_control(MessageType.SET_CHUNK_SIZE, _CHUNK_BYTES))
        self._send(b"\x17\0\0\0\0" + record, 0)
        self._bodies = [
            (b"\x17" if unit.key else b"\x27") + b"\x01\0\0\0" + to_length_prefixed(unit.data)
            for unit in clip.video.units
        ]

    def send(self, number: int) -> None:
        self._send(self._bodies[number % len(self._bodies)], round(number * FRAME_S * 1000))

    def _send(self, body: bytes, time_ms: int) -> None:
        head = b"\x06" + time_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big") + b"\x09\x01\0\0\0"
        rest = b"".join(
            b"\xc6" + body[at : at + _CHUNK_BYTES] for at in range(_CHUNK_BYTES, len(body), _CHUNK_BYTES)
        )
        self._socket.send(head + body[:_CHUNK_BYTES] + rest)


class _Rtsp:
    def __init__(self, port: int, key: str, clip: Clip) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._uri = f"rtsp://127.0.0.1:{port}/publish/{key}"
        self._sequence = 0
        self._ask("ANNOUNCE", self._uri, _SDP)
        transport = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1;mode=record\r\n"
        self._ask("SETUP", f"{self._uri}/streamid=0", headers=transport)
        self._ask("RECORD", self._uri)
        self._frames = [payloads(Codec.H264, unit.data) for unit in clip.video.units]

    def _ask(self, method: str, uri: str, body: str = "", headers: str = "") -> None:
        head = f"{method} {uri} RTSP/1.0\r\nCSeq: 1\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        self._socket.sendall((head + body).encode())
        if not re.match(rb"RTSP/1.0 200 ", self._socket.recv(4096)):
            raise RuntimeError(f"A publisher was refused at {method}.")

    def send(self, number: int) -> None:
        parts = []
        frame = self._frames[number % len(self._frames)]
        for index, payload in enumerate(frame):
            marker = 0x80 if index == len(frame) - 1 else 0
            self._sequence = self._sequence + 1 & 0xFFFF
            parts.append(
                INTERLEAVED_HEADER.pack(
                    0x24, 0, len(payload) + 12, 0x80, marker | 96, self._sequence,
                    round(number * FRAME_S * 90_000) & 0xFFFF_FFFF, 0x4E4A,
                )
            )  # fmt: skip
            parts.append(payload)
        self._socket.sendall(b"".join(parts))


class _Publishers:
    """Sends the clip to all connections from one thread, with phases spread over the frame interval."""

    def __init__(self, connections: list[Any], clip: Clip) -> None:
        self._connections = connections
        self._tails = [unit.data[-_TAIL_BYTES:] for unit in clip.video.units]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publishers", daemon=True)
        self.sent_s: dict[bytes, float] = {}
        """The time at which the first connection last began to send the frame with this end."""

    def _run(self) -> None:
        started_s, step_s = time.monotonic(), FRAME_S / len(self._connections)
        number = 1
        while not self._stop.is_set():
            for index, connection in enumerate(self._connections):
                time.sleep(max(0.0, started_s + number * FRAME_S + index * step_s - time.monotonic()))
                if not index:
                    self.sent_s[self._tails[number % len(self._tails)]] = time.monotonic()
                connection.send(number)
            number += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(5)


class _LatencyViewer(WsViewer):
    def __init__(self, product: Product, slug: str, publishers: _Publishers) -> None:
        super().__init__(product.websocket_url, product.token, [(slug, "")])
        self._publishers = publishers
        self._begun_s = time.monotonic()
        self.latencies_s: list[float] = []

    def _note(self, message: str | bytes) -> None:
        now_s = time.monotonic()
        if isinstance(message, bytes):
            sent_s = self._publishers.sent_s.get(message[WS_HEADER.size :][-_TAIL_BYTES:])
            if sent_s is not None and sent_s > self._begun_s:  # Without the cached GOP.
                self.latencies_s.append(now_s - sent_s)
        else:
            super()._note(message)


@contextlib.contextmanager
def _publishing_product(ports: dict[str, int]) -> Iterator[Product]:
    environment = {f"NINJACAM_{name.upper()}_PORT": str(port) for name, port in ports.items()}
    with make_product(environment) as product:
        yield product


def measure_publishing(plan: Plan) -> Figures:
    clip = load_clip(Path(stamped_annexb()))
    figures: Figures = {"publishers": plan.publishers}
    for name, make in (("rtmp", _Rtmp), ("rtsp", _Rtsp)):
        ports = {"rtmp": free_port(), "rtsp": free_port()}
        with _publishing_product(ports) as product:
            keys = [_add(product, f"cam{number}") for number in range(plan.publishers)]
            wait_until(partial(_is_open, ports[name]), 20, "the port", processes=[product])
            connections = []
            for key in keys:
                connections.append(make(ports[name], key, clip))
                connections[-1].send(0)  # Only a few connections per address may be without video.
            with _Publishers(connections, clip) as publishers:
                for number in range(plan.publishers):
                    product.wait_for_state(f"cam{number}", timeout_s=30)
                time.sleep(plan.warm_up_s + AT_EASE_S)
                cpu = measure_cpu(product.pid, plan.idle_window_s)
                with _LatencyViewer(product, "cam0", publishers) as viewer:
                    time.sleep(plan.window_s)
                latencies_s = viewer.latencies_s
        figures[name] = {
            "cpu": cpu.as_dict(),
            "each_percent": cpu.total / plan.publishers,
            "p50_ms": (percentile(latencies_s, 0.5) or 0) * 1000,
            "p95_ms": (percentile(latencies_s, 0.95) or 0) * 1000,
            "frames": len(latencies_s),
        }
    return figures


def _add(product: Product, slug: str) -> str:
    """Add a camera and return its key."""
    answer = product.client.post("/api/v1/cameras", json_body={"slug": slug, "url": "push:"})
    made = product.client.post(f"/api/v1/cameras/{slug}/publish-keys", json_body={})
    if answer.status != 201 or made.status != 201:
        raise RuntimeError(f"Camera {slug} was not added: {answer.text} {made.text}")
    return str(made.json()["key"])


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
