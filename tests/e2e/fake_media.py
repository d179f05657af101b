"""A fake media server: it implements the live socket's protocol with a stamped clip, and injects faults on demand.

It reproduces conditions that are rare with a real server: silence, refusal, a slow start, damaged video.
"""

import asyncio
import contextlib
import io
import json
import math
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import av
import cv2
import numpy as np
import uvicorn

from ninjacam.testing import stamp

FPS = 25
GOP = 50
FRAMES = 100
WRITTEN_LATE_S = 6.0
"""Seconds before now whose annotations may not be written yet."""
WIDTH, HEIGHT = 640, 360
CODEC = "avc1.42c01f"
HEADER = struct.Struct("<BBHIqqIHHI")
KEY, CONFIG = 1, 2
SLOW_FRAMES = 10
"""Frames of each GOP that reach a slow client."""
STATIC = Path(__file__).parents[2] / "src" / "ninjacam" / "static" / "ninjacam"
PAGE = (Path(__file__).parent / "player_page.html").read_bytes()

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Video:
    """`units`: Annex B access units, a key frame in each GOP; `jpegs`: the same frames."""

    width: int
    height: int
    units: list[bytes]
    jpegs: list[bytes]
    init: bytes


def make_video(width: int = WIDTH, height: int = HEIGHT) -> Video:
    """Encode FRAMES frames stamped with their numbers. All sizes show the same frames."""
    context = av.CodecContext.create("libx264", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, FPS), Fraction(FPS)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    context.options |= {"x264-params": f"keyint={GOP}:scenecut=0"}
    units, jpegs = [], []
    for number in range(FRAMES):
        image = np.full((height, width, 3), 64, np.uint8)
        centre = (int(width * (0.5 + 0.3 * np.sin(number / 16))), height * 5 // 9)
        cv2.circle(image, centre, height // 6, (80, 160, 240), -1)
        stamp.draw(image, number)
        picture = av.VideoFrame.from_ndarray(image, format="bgr24")
        picture.pts = number
        units += [bytes(packet) for packet in context.encode(picture)]
        jpegs.append(cv2.imencode(".jpg", image)[1].tobytes())
    return Video(width, height, units, jpegs, _init_segment(units[0]))


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _init_segment(unit: bytes) -> bytes:
    target = io.BytesIO()
    flags = {"movflags": "empty_moov+default_base_moof+frag_keyframe", "video_track_timescale": "90000"}
    with (
        av.open(io.BytesIO(unit), format="h264") as source,
        av.open(target, "w", "mp4", options=flags) as container,
    ):
        container.add_stream_from_template(source.streams.video[0]).time_base = Fraction(1, 90000)
        container.start_encoding()
        whole = target.getvalue()
    start = whole.find(b"moov") - 4
    return whole[: start + int.from_bytes(whole[start : start + 4], "big")]


def _fragment(sequence: int, pts: int, unit: bytes, key: bool) -> bytes:
    nals = [nal for nal in unit.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1") if nal]
    data = b"".join(len(nal).to_bytes(4, "big") + nal for nal in nals)
    flags = 0x02000000 if key else 0x01010000
    trun = struct.pack(">I4sIIIIIIi", 36, b"trun", 0x01000F01, 1, 112, 90000 // FPS, len(data), flags, 0)
    tfhd = struct.pack(">I4sII", 16, b"tfhd", 0x020000, 1)
    tfdt = struct.pack(">I4sIQ", 20, b"tfdt", 0x01000000, pts * 90000 // FPS)
    moof = (
        struct.pack(">I4sII", 16, b"mfhd", 0, sequence)
        + struct.pack(">I4s", 80, b"traf")
        + tfhd
        + tfdt
        + trun
    )
    return (
        struct.pack(">I4s", 8 + len(moof), b"moof")
        + moof
        + struct.pack(">I4s", 8 + len(data), b"mdat")
        + data
    )


@dataclass(eq=False)
class Subscription:
    id: int
    stream: int
    request: dict[str, Any]
    socket: "Socket"
    format: str
    source: str
    configured: bool = False


@dataclass(eq=False)
class Socket:
    send: Send
    subscriptions: dict[int, Subscription] = field(default_factory=dict)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def tell(self, **message: Any) -> None:
        async with self.lock:
            await self.send({"type": "websocket.send", "text": json.dumps(message)})

    async def give(self, data: bytes) -> None:
        async with self.lock:
            await self.send({"type": "websocket.send", "bytes": data})


class FakeMedia:
    """Tests set the plain attributes; `sent_at` and the lists record events. Has its own thread and event loop."""

    def __init__(self, video: Video) -> None:
        self.sources = {"main": video}  # streams of each camera
        self.dead: set[str] = set()  # sources that deliver nothing
        self.sends_cached = True  # a new subscription receives the frames since the last key frame
        self.mute: set[str] = set()  # sources that send a description but no frames
        self.slow: set[str] = set()  # sources that drop most frames because the client is too slow
        self.mjpeg_watched: list[str] = []  # sources of the open MJPEG responses
        self.paused = False
        self.refuse_sockets = False
        self.corrupt = False
        self.lost = range(0)  # numbers within each GOP that never arrive
        self.refuse: dict[str, str] = {}  # camera or view -> error code
        self.describe: Callable[[int], list[Any] | None] | None = None  # frame counter -> annotations
        self.frames_late = 0  # annotations are sent with this number of frames after their own
        self.recorded: list[dict[str, Any]] = []  # frames of annotations, in order
        self.recorded_status = 200
        self.recorded_at_once_s = 3600.0  # maximum range of one response
        self.recorded_slow_from_s = math.inf  # responses for later times take 5 s
        self.recorded_asked: list[tuple[float, float]] = []  # s since 1970
        self.off = False  # refuse new requests for MJPEG
        self.codec = CODEC
        self.state = ("live", "")
        self.view_error: dict[str, str] | None = None
        self.sent_at: dict[int, float] = {}  # frame counter -> wall clock, s
        self.requests: list[dict[str, Any]] = []
        self.unsubscribed: list[int] = []
        self.sockets: list[Socket] = []
        self.opened = 0
        self.port = 0
        self._counter = 0
        self._streams = 0
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def watched(self) -> int:
        return sum(len(socket.subscriptions) for socket in self.sockets)

    @property
    def watched_sources(self) -> list[str]:
        """Return the source of each subscription to frames, in the order in which they began."""
        return [
            each.source
            for socket in list(self.sockets)
            for each in list(socket.subscriptions.values())
            if each.format != "annotations"
        ]

    def choose(self, request: dict[str, Any]) -> str:
        """Return the source for a request, by the server's rules."""
        if request.get("stream"):
            return str(request["stream"])
        width = int(request.get("width") or 0)
        wide = [name for name, video in self.sources.items() if width and video.width >= width]
        return min(wide, key=lambda name: self.sources[name].width, default="main")

    def call(self, coroutine: Any) -> Any:
        assert self._loop
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(5)

    def set_state(self, state: str, message: str = "", view_error: dict[str, str] | None = None) -> None:
        self.state, self.view_error = (state, message), view_error

        async def tell() -> None:
            for socket in self.sockets:
                for subscription in socket.subscriptions.values():
                    await self._tell_state(subscription)

        self.call(tell())

    def annotate(self, view: str, captured_us: int, annotations: list[Any]) -> None:
        async def tell() -> None:
            for socket in self.sockets:
                await self._annotate(socket, view, captured_us, annotations)

        self.call(tell())

    async def _annotate(self, socket: Socket, view: str, captured_us: int, annotations: list[Any]) -> None:
        for each in list(socket.subscriptions.values()):
            if each.format == "annotations" and view in ("*", each.request["view"]):
                message = {"captured_us": captured_us, "annotations": annotations}
                await socket.tell(op="annotations", id=each.id, **message)

    def cut_sockets(self, code: int = 1001) -> None:
        async def cut() -> None:
            for socket in self.sockets:
                await socket.send({"type": "websocket.close", "code": code})
            self.sockets.clear()

        self.call(cut())

    @contextlib.contextmanager
    def running(self) -> Iterator["FakeMedia"]:
        config = uvicorn.Config(
            self._app,
            port=0,
            log_level="critical",
            interface="asgi3",
            ws="websockets-sansio",
            lifespan="off",
            ws_per_message_deflate=False,
        )
        server = uvicorn.Server(config)

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            clock = asyncio.create_task(self._tick())
            await server.serve()
            clock.cancel()

        thread = threading.Thread(target=asyncio.run, args=(serve(),), name="fake-media")
        thread.start()
        while not server.started:
            time.sleep(0.01)
        self.port = server.servers[0].sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.force_exit = server.should_exit = True
            thread.join(10)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for counter in range(1 << 31):
            await asyncio.sleep(max(0.0, start + counter / FPS - loop.time()))
            if self.paused:
                continue
            self._counter = counter
            self.sent_at[counter] = time.time()
            own = counter - self.frames_late
            for socket in list(self.sockets):
                if self.describe and own in self.sent_at and (annotations := self.describe(own)) is not None:
                    await self._annotate(socket, "*", int(self.sent_at[own] * 1e6), annotations)
                for subscription in list(socket.subscriptions.values()):
                    with contextlib.suppress(Exception):  # the client has disconnected
                        await self._give(subscription, counter)

    async def _give(self, subscription: Subscription, counter: int) -> None:
        number = counter % FRAMES
        key = number % GOP == 0
        if number % GOP in self.lost or subscription.format == "annotations":
            return
        if subscription.source in self.dead or (
            subscription.source in self.slow and number % GOP >= SLOW_FRAMES
        ):
            return
        video = self.sources[subscription.source]
        if not subscription.configured:
            if not key and subscription.format != "jpeg":
                return
            subscription.configured = True
            await subscription.socket.tell(
                op="stream",
                id=subscription.id,
                stream=subscription.stream,
                codec="mjpeg" if subscription.format == "jpeg" else self.codec,
                width=video.width,
                height=video.height,
                format=subscription.format,
                source=subscription.source,
            )
        if subscription.source in self.mute:
            return
        flags = KEY if key else 0
        data = video.units[number]
        if subscription.format == "jpeg":
            flags, data = KEY, video.jpegs[number]
        elif subscription.format == "fmp4":
            data = _fragment(counter, counter, data, key)
            if key:
                flags, data = KEY | CONFIG, video.init + data
        if self.corrupt:
            data = bytes(len(data))
        captured_us = int(self.sent_at.get(counter, time.time()) * 1e6)
        header = HEADER.pack(1, flags, subscription.stream, counter, counter * 1_000_000 // FPS, captured_us,
                             1_000_000 // FPS, video.width, video.height, 0)  # fmt: skip
        await subscription.socket.give(header + data)

    async def _tell_state(self, subscription: Subscription) -> None:
        state, message = self.state
        await subscription.socket.tell(op="state", id=subscription.id, state=state, message=message,
                                       view_error=self.view_error)  # fmt: skip

    async def _app(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(receive, send)
        else:
            query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
            await self._http(str(scope["path"]), query, receive, send)

    async def _websocket(self, receive: Receive, send: Send) -> None:
        await receive()
        if self.refuse_sockets:
            await send({"type": "websocket.close", "code": 4403})
            return
        await send({"type": "websocket.accept"})
        socket = Socket(send)
        self.sockets.append(socket)
        self.opened += 1
        while (message := await receive())["type"] == "websocket.receive":
            await self._told(socket, json.loads(message["text"]))
        if socket in self.sockets:
            self.sockets.remove(socket)

    async def _told(self, socket: Socket, message: dict[str, Any]) -> None:
        if message["op"] == "ping":
            await socket.tell(op="pong", t=message["t"], now_us=time.time_ns() // 1000)
        elif message["op"] == "unsubscribe":
            socket.subscriptions.pop(message["id"], None)
            self.unsubscribed.append(message["id"])
        elif message["op"] == "subscribe":
            self.requests.append(message)
            refused = self.refuse.keys() & {message["camera"], message["view"]}
            if refused:
                code = self.refuse[refused.pop()]
                await socket.tell(op="error", id=message["id"], code=code, message="As ordered.")
                return
            self._streams += 1
            wanted = message["format"]
            if message["camera"] == "jpeg" and wanted != "annotations":
                wanted = "jpeg"
            source = self.choose(message)
            subscription = Subscription(message["id"], self._streams, message, socket, wanted, source)
            await self._tell_state(subscription)
            if self.sends_cached:
                for counter in range(self._counter - self._counter % GOP, self._counter + 1):
                    await self._give(subscription, counter)
            socket.subscriptions[message["id"]] = subscription

    async def _http(self, path: str, query: dict[str, str], receive: Receive, send: Send) -> None:
        if path.endswith("/mjpeg"):
            await self._mjpeg(path.split("/")[-2], query, receive, send)
            return
        if path.startswith(("/rec/", "/api/")):
            await self._replay(path, query, send)
            return
        pages = {"/page": PAGE, "/blank": b"<!doctype html><title>blank</title>"}
        file = STATIC / path.removeprefix("/static/")
        body = pages.get(path) or (file.read_bytes() if file.is_file() else b"")
        kind = b"text/html; charset=utf-8" if path in pages else b"text/javascript"
        # The policy of a strict site: nothing inline, media only from this server and from MediaSource.
        policy = b"default-src 'none'; script-src 'self'; connect-src 'self'; media-src blob:; img-src 'self'"
        headers = [(b"content-type", kind), (b"content-security-policy", policy)]
        await send({"type": "http.response.start", "status": 200 if body else 404, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _replay(self, path: str, query: dict[str, str], send: Send) -> None:
        """Recordings of all times, as single frames only, and their annotations."""
        status, headers = 200, [(b"content-type", b"application/json")]
        if path.endswith("/at.jpg"):
            number = int(_seconds(query["time"]) * FPS)
            at = datetime.fromtimestamp(number / FPS, UTC).isoformat()
            headers = [(b"content-type", b"image/jpeg"), (b"x-ninjacam-timestamp", at.encode())]
            body = self.sources["main"].jpegs[number % FRAMES]
        elif path == "/api/v1/annotations":
            start, end = _seconds(query["start"]), _seconds(query["end"])
            self.recorded_asked.append((start, end))
            await asyncio.sleep(5 if start > self.recorded_slow_from_s else 0)
            end = min(end, start + self.recorded_at_once_s)
            frames = [each for each in self.recorded if start <= each["captured_us"] / 1e6 < end]
            status = self.recorded_status
            complete = min(end, max(start, time.time() - WRITTEN_LATE_S))
            answer = {"end": datetime.fromtimestamp(complete, UTC).isoformat(), "frames": frames}
            body = json.dumps({"camera": query["camera"], "start": query["start"], **answer}).encode()
        else:
            status, body = 415, b'{"code": "unsupported_codec", "detail": "As ordered."}'
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _mjpeg(self, camera: str, query: dict[str, str], receive: Receive, send: Send) -> None:
        if camera in self.refuse:
            problem = json.dumps(
                {
                    "title": "Not allowed",
                    "status": 403,
                    "detail": "As ordered.",
                    "code": self.refuse[camera],
                }
            )
            await send(
                {
                    "type": "http.response.start",
                    "status": 403,
                    "headers": [(b"content-type", b"application/problem+json")],
                }
            )
            await send({"type": "http.response.body", "body": problem.encode()})
            return
        if self.off:
            headers = [(b"content-type", b"application/problem+json"), (b"x-ninjacam-state", b"disabled")]
            await send({"type": "http.response.start", "status": 503, "headers": headers})
            await send({"type": "http.response.body", "body": b'{"detail": "As ordered."}'})
            return
        kind = b"multipart/x-mixed-replace; boundary=frame"
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
        source = self.choose(query)
        self.mjpeg_watched.append(source)
        parts = asyncio.create_task(self._send_parts(source, send))
        while (await receive())["type"] != "http.disconnect":
            pass
        parts.cancel()
        await asyncio.wait((parts,))
        self.mjpeg_watched.remove(source)

    async def _send_parts(self, source: str, send: Send) -> None:
        while True:
            if source not in self.dead:
                jpeg = self.sources[source].jpegs[self._counter % FRAMES]
                captured_s = self.sent_at.get(self._counter, 0.0)
                head = (
                    f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
                    f"X-Ninjacam-State: {self.state[0]}\r\nX-Timestamp: {captured_s:.6f}\r\n\r\n"
                )
                await send(
                    {"type": "http.response.body", "body": head.encode() + jpeg + b"\r\n", "more_body": True}
                )
            await asyncio.sleep(1 / FPS)
