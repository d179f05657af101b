"""Servers, streams and clients for the tests of live video: real processes and sockets, without a camera."""

import asyncio
import base64
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import av
import cv2
import numpy as np

from ninjacam.core.errors import ViewNotFoundError
from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet, StreamInfo, Track
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel, StreamServer
from tests.harness.fair_clock import fair_s
from tests.harness.processes import poll_s, wait_for_exit

ROOT = Path(__file__).parents[2]
FPS = 25
GOP = 25
HEADER = struct.Struct("<BBHIqqIHHI")
T = TypeVar("T")


def encode_h264(width: int, height: int, frames: int = 2 * GOP) -> list[tuple[bytes, bool]]:
    """Return access units of a real encoder, with a key frame every GOP frames."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.framerate = FPS  # type: ignore[assignment] # a number will do
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": f"keyint={GOP}:scenecut=0:repeat-headers=1:log-level=0",
    }
    noise = np.random.default_rng(1)
    units = []
    for number in range(frames):
        image = noise.integers(0, 60, (height, width, 3), np.uint8)
        cv2.putText(image, str(number), (10, height // 2), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
        picture = av.VideoFrame.from_ndarray(image, format="bgr24").reformat(format="yuv420p")
        picture.pts = number
        units += [(bytes(packet), packet.is_keyframe) for packet in context.encode(picture)]
    return units


def encode_jpegs(size_bytes: int = 0) -> list[bytes]:
    """Return two JPEG images, padded at the end to `size_bytes`."""
    images = [np.full((180, 320, 3), value, np.uint8) for value in (60, 180)]
    pictures = [cv2.imencode(".jpg", image)[1].tobytes() for image in images]
    return [picture + bytes(max(0, size_bytes - len(picture))) for picture in pictures]


@dataclass
class FakeCamera:
    """The data of one camera's sockets. Tests set the plain attributes; `Engine` sends."""

    slug: str
    codec: Codec
    units: list[tuple[bytes, bool]]
    jpegs: list[bytes]
    state: CameraState = CameraState.LIVE
    error: dict[str, Any] | None = None
    view_errors: dict[str, dict[str, Any]] = field(default_factory=dict)
    views: frozenset[str] = frozenset({"", "edges"})
    size: tuple[int, int] = (320, 180)
    frozen: bool = False
    resumes_at_key: bool = False
    """Whether the camera was frozen: frames before the next key frame cannot be decoded."""
    packets: Channel | None = None
    pixels: dict[StreamRequest, Channel] = field(default_factory=dict)
    servers: list[StreamServer] = field(default_factory=list)

    def info(self, request: StreamRequest | None = None) -> StreamInfo:
        codec = request.codec if request else self.codec
        view = request.view if request else ""
        extra = {"view": view, "view_error": self.view_errors.get(view)} if request else {}
        return StreamInfo(self.slug, (Track(Kind.VIDEO, codec),), self.state, self.error, 1, extra)

    def find_pixels(self, request: StreamRequest) -> Channel:
        if request.view not in self.views:
            raise ViewNotFoundError(f"There is no view {request.view!r}.")
        if request not in self.pixels:
            self.pixels[request] = Channel(self.info(request))
        return self.pixels[request]


class Engine:
    """Publishes the cameras' streams at 25 fps from a thread with its own event loop."""

    def __init__(self, run_dir: Path, *, unit_bytes: int = 0, jpeg_bytes: int = 0) -> None:
        self.run_dir = run_dir
        self.number = 0
        h264 = encode_h264(320, 180)
        if unit_bytes:  # filler data NAL units (type 12) increase their size to `unit_bytes`
            h264 = [
                (unit + b"\0\0\1\x0c" + b"\xff" * max(0, unit_bytes - len(unit) - 5) + b"\x80", key)
                for unit, key in h264
            ]
        jpegs = encode_jpegs(jpeg_bytes)
        as_units = [(jpeg, True) for jpeg in jpegs]
        self.cameras = {
            "door": FakeCamera("door", Codec.H264, h264, jpegs),
            "yard": FakeCamera("yard", Codec.H264, h264, jpegs),
            "jpeg": FakeCamera("jpeg", Codec.MJPEG, as_units, jpegs),
        }
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="fake-engine")

    def __enter__(self) -> "Engine":
        self._thread.start()
        self.call(self._start_all)
        self._ticking: Future[None] = asyncio.run_coroutine_threadsafe(self._tick(), self._loop)
        return self

    def __exit__(self, *_: object) -> None:
        self._ticking.cancel()
        for slug in self.cameras:
            self.close_sockets(slug)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    def _main(self) -> None:
        self._loop.run_forever()

    def call(self, function: Callable[[], Any]) -> Any:
        """Run a function in the engine's loop, and await its result if it is awaitable."""

        async def go() -> Any:
            result = function()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(go(), self._loop).result(10)

    async def _start_all(self) -> None:
        for camera in self.cameras.values():
            await self._start(camera)

    async def _start(self, camera: FakeCamera) -> None:
        camera.packets = Channel(camera.info())
        channel = camera.packets
        camera.servers = [
            StreamServer(self.run_dir / f"{camera.slug}.packets", lambda _: channel),
            StreamServer(self.run_dir / f"{camera.slug}.pixels", camera.find_pixels),
        ]
        for server in camera.servers:
            await server.start()

    def open_sockets(self, slug: str) -> None:
        self.call(lambda: self._start(self.cameras[slug]))

    def close_sockets(self, slug: str) -> None:
        """Close the sockets as if their processes were killed."""

        async def close() -> None:
            camera = self.cameras[slug]
            for server in camera.servers:
                await server.close()
            camera.servers.clear()
            camera.pixels.clear()
            camera.packets = None

        self.call(close)

    def set_state(self, slug: str, state: CameraState, error: dict[str, Any] | None = None) -> None:
        def set_() -> None:
            camera = self.cameras[slug]
            camera.state, camera.error = state, error
            if camera.packets:
                camera.packets.set_info(camera.info())
                if state is not CameraState.LIVE:
                    camera.packets.forget_gop()
            for request, channel in camera.pixels.items():
                channel.set_info(camera.info(request))

        self.call(set_)

    def write_status(self, *, age_s: float = 0.0) -> None:
        cameras = {
            camera.slug: {
                "state": camera.state.value,
                "error": camera.error,
                "codec": camera.codec.label,
                "fps": 25.0,
                "packets_lost": 3,
            }
            for camera in self.cameras.values()
        }
        status = {"updated_ns": time.time_ns() - int(age_s * 1e9), "engine_pid": 1, "cameras": cameras}
        path = self.run_dir / "status.json"
        path.with_suffix(".new").write_text(json.dumps(status))
        path.with_suffix(".new").rename(path)

    def subscribers(self, slug: str) -> dict[str, int]:
        def count() -> dict[str, int]:
            camera = self.cameras[slug]
            pixels = sum(channel.subscribers for channel in camera.pixels.values())
            return {"packets": camera.packets.subscribers if camera.packets else 0, "pixels": pixels}

        return dict(self.call(count))

    async def _tick(self) -> None:
        start = self._loop.time()
        while True:
            self.number += 1
            await asyncio.sleep(max(0.0, start + self.number / FPS - self._loop.time()))
            for camera in self.cameras.values():
                _, key = camera.units[self.number % len(camera.units)]
                camera.resumes_at_key = camera.frozen or (camera.resumes_at_key and not key)
                if not camera.resumes_at_key:
                    self._publish(camera)

    def _publish(self, camera: FakeCamera) -> None:
        unit, key = camera.units[self.number % len(camera.units)]
        base = Packet(
            Kind.VIDEO, camera.codec, unit, self.number * 3600, time.monotonic_ns(), duration=3600,
            flags=Flags.KEY if key else Flags.NONE, captured_ns=time.time_ns(), sequence=self.number,
            width_px=camera.size[0], height_px=camera.size[1],
        )  # fmt: skip
        if camera.packets and camera.state is CameraState.LIVE:
            camera.packets.publish(base)
        for request, channel in camera.pixels.items():
            if request.codec is Codec.MJPEG:
                jpeg = camera.jpegs[self.number % len(camera.jpegs)]
                channel.publish(base._replace(codec=Codec.MJPEG, data=jpeg, flags=Flags.KEY))
            elif camera.codec is Codec.H264:
                channel.publish(base)


@dataclass
class Site:
    """A prepared project: its database and logins. `users[name]["cookie" | "token" | "narrow"]`."""

    directory: Path
    users: dict[str, dict[str, str]]

    def environment(self, **options: Any) -> dict[str, str]:
        return {
            **os.environ,
            "LIVE_TEST_DIR": str(self.directory),
            "LIVE_TEST_OPTIONS": json.dumps(options),
            "DJANGO_SETTINGS_MODULE": "tests.integration.live_site.settings",
            "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}",
            "PYTHONWARNINGS": "",
        }

    def bearer(self, name: str, kind: str = "token") -> dict[str, str]:
        return {"Authorization": f"Bearer {self.users[name][kind]}"}

    def cookie(self, name: str) -> dict[str, str]:
        return {"Cookie": self.users[name]["cookie"]}

    def django(self, code: str) -> str:
        """Run a few lines of Python in the project, with the models imported."""
        program = f"import django; django.setup()\nfrom ninjacam.models import *\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=self.environment(),
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        return done.stdout


def prepare_site(directory: Path) -> Site:
    site = Site(directory, {})
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.live_site.prepare"],
        env=site.environment(), capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    site.users = json.loads(done.stdout)
    return site


APPLICATION = "tests.integration.live_site.asgi:application"
STARTED = {"gunicorn": "ASGI server listening", "granian": "Started worker-"}
"""The log message of each server when a worker listens."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def server_command(kind: str, port: int, workers: int = 1) -> list[str]:
    uvicorn = ["-m", "uvicorn", APPLICATION, "--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    quiet = ["--ws-per-message-deflate", "false"]
    gunicorn = ["-m", "gunicorn", APPLICATION, "-b", f"127.0.0.1:{port}", "-w", str(workers)]
    commands = {
        "uvicorn": [*uvicorn, *quiet, *(["--workers", str(workers)] if workers > 1 else [])],
        "uvicorn-deflate": uvicorn,
        "uvicorn-reload": [*uvicorn, *quiet, "--reload", "--reload-dir", "tests/integration/live_site"],
        "gunicorn": [*gunicorn, "-k", "asgi"],
        "gunicorn-uvicorn": [*gunicorn, "-k", "uvicorn_worker.UvicornWorker"],
        "granian": ["-m", "granian", "--interface", "asgi", "--host", "127.0.0.1", "--port", str(port),
                    "--workers", str(workers), APPLICATION],
    }  # fmt: skip
    return [sys.executable, *commands[kind]]


@dataclass
class Server:
    """A running server process. `output` is complete once the process has ended."""

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text()

    def get(self, path: str, headers: dict[str, str] | None = None, method: str = "GET") -> "Answer":
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        with contextlib.closing(connection):
            connection.request(method, path, headers=headers or {})
            response = connection.getresponse()
            return Answer(response.status, dict(response.getheaders()), response.read())

    def probe(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/probe").body))

    def terminate(self, timeout_s: float = 10.0) -> float:
        """Send SIGTERM and return the seconds until the process ended."""
        begun = fair_s()
        self.process.send_signal(signal.SIGTERM)
        wait_for_exit(self.process, timeout_s)
        return fair_s() - begun


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict[str, Any]:
        return dict(json.loads(self.body))


@contextlib.contextmanager
def running_server(site: Site, kind: str = "uvicorn", workers: int = 1, **options: Any) -> Iterator[Server]:
    port = free_port()
    log = site.directory / f"server-{port}.log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            server_command(kind, port, workers),
            env=site.environment(**options), stdout=stream, stderr=stream, text=True, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
    server = Server(process, port, log)
    try:
        wait_until(lambda: _answers(server), timeout_s=20, what="the server answers")
        # These lose a SIGTERM that arrives while a worker imports: gunicorn waits half a minute for it, granian without
        # end.
        if mark := STARTED.get(kind):
            wait_until(lambda: server.output.count(mark) >= workers, timeout_s=20, what="all workers listen")
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


def _answers(server: Server) -> bool:
    assert server.process.poll() is None, server.output
    try:
        return server.get("/cam/healthz").status == 200
    except OSError:
        return False


def wait_until(check: Callable[[], T], *, timeout_s: float = 5.0, what: str = "") -> T:
    """Poll `condition` and return its first true value. It depends on another process, so only polling works."""
    end = fair_s() + timeout_s
    while True:
        begun_s = time.monotonic()
        answer = check()
        if answer:
            return answer
        assert fair_s() < end, f"not within {timeout_s} s: {what}"
        time.sleep(poll_s(time.monotonic() - begun_s))


class RawStream:
    """A client on a raw socket that reads only on request. Use it as a context manager."""

    def __init__(self, port: int, path: str, headers: dict[str, str], *, receive_bytes: int = 0) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        lines = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def read_until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(mark, 1)
        return head

    def read_exactly(self, size: int) -> bytes:
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def read_to_end(self) -> bytes:
        with contextlib.suppress(ConnectionResetError):
            while data := self.socket.recv(1 << 16):
                self.buffer += data
        return self.buffer

    def _more(self) -> None:
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def head(self) -> str:
        return self.read_until(b"\r\n\r\n").decode()


class RawSocket(RawStream):
    """A minimal WebSocket client without extensions and pings."""

    def __init__(self, port: int, path: str, headers: dict[str, str], *, receive_bytes: int = 0) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": key,
            "Sec-WebSocket-Version": "13",
        }
        super().__init__(port, path, {**upgrade, **headers}, receive_bytes=receive_bytes)
        self.status = int(self.head().split()[1])
        self.close_code: int | None = None

    def tell(self, **message: Any) -> None:
        self.send_text(json.dumps(message))

    def send_text(self, text: str) -> None:
        data = text.encode()
        length = (
            bytes((0x80 | len(data),))
            if len(data) < 126
            else b"\xfe" + struct.pack(">H", len(data))
            if len(data) < 65536
            else b"\xff" + struct.pack(">Q", len(data))
        )
        self.socket.sendall(b"\x81" + length + bytes(4) + data)

    def receive(self) -> str | bytes | None:
        """Return the next message; None: closed, with the code in `close_code`."""
        while True:
            first, second = self.read_exactly(2)
            size = second & 127
            if size > 125:
                size = int.from_bytes(self.read_exactly(2 if size == 126 else 8), "big")
            data = self.read_exactly(size)
            if first & 15 == 8:
                self.close_code = int.from_bytes(data[:2], "big") if data else 1005
                return None
            if first & 15 in (1, 2):
                return data.decode() if first & 15 == 1 else data

    def receive_json(self, op: str = "") -> dict[str, Any]:
        """Return the next text message, or the next with that `op`. Skips frames in between."""
        while (message := self.receive()) is not None:
            if isinstance(message, str):
                value = json.loads(message)
                if not op or value["op"] == op:
                    return dict(value)
        raise EOFError(f"closed: {self.close_code}")

    def receive_frame(self) -> "LiveFrame":
        """Return the next frame. Skips text in between."""
        while (message := self.receive()) is not None:
            if isinstance(message, bytes):
                return LiveFrame.parse(message)
        raise EOFError(f"closed: {self.close_code}")

    def read_close(self) -> int | None:
        while self.receive() is not None:
            pass
        return self.close_code


@dataclass(frozen=True)
class LiveFrame:
    flags: int
    stream: int
    sequence: int
    pts_us: int
    captured_us: int
    size: tuple[int, int]
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> "LiveFrame":
        version, flags, stream, sequence, pts_us, captured_us, _, width, height, reserved = (
            HEADER.unpack_from(data)
        )
        assert (version, reserved) == (1, 0)
        return cls(flags, stream, sequence, pts_us, captured_us, (width, height), data[HEADER.size :])


def subscribe(
    number: int = 1, camera: str = "door", view: str = "", form: str = "annexb", **more: Any
) -> dict[str, Any]:
    return {"op": "subscribe", "id": number, "camera": camera, "view": view, "format": form,
            "codecs": ["h264"], "width": None, **more}  # fmt: skip
