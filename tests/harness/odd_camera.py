"""Cameras on 127.0.0.1 whose every answer and packet a test can override, and what capture makes of them.

A subclass of `OddCamera` or `OddHttpCamera` overrides what is odd; its docstring names the report it was written from.
`watch` runs the real `CameraCapture` on it and collects what a recorder would get. Both run in the test's event loop.
`tests/integration/odd_cameras/conftest.py` watches all cameras of a test module at the same time.
"""

import asyncio
import contextlib
import functools
import hashlib
import re
import struct
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import av
import numpy as np

from ninjacam.capture.camera import CameraCapture
from ninjacam.codecs.bitstream import nal_type, split_annexb
from ninjacam.core.packets import Codec, Flags, Kind, Packet, Track
from ninjacam.sources.base import SourceConfig
from ninjacam.testing import rtp, stamp
from ninjacam.testing.clips import Clip, Unit
from ninjacam.testing.scenes import SceneOptions, make_clip
from ninjacam.testing.sdp import describe
from tests.harness.async_server import listening
from tests.harness.steady_loop import LoopClock

RTP_HEADER = struct.Struct(">BBHII")
Payload = tuple[bytes, bool, int]
"""(RTP payload, marker bit, RTP timestamp)"""


@functools.cache
def odd_clip(options: SceneOptions) -> Clip:
    return make_clip(options)


@dataclass(slots=True)
class OddRequest:
    """`headers` has names in lower case. `received_s`: on the clock of the event loop."""

    method: str
    url: str
    headers: dict[str, str]
    connection: int
    received_s: float


class OddClient:
    """One connection to a camera. `number` counts from 1. `channels`: track -> interleaved RTP channel."""

    def __init__(self, writer: asyncio.StreamWriter, number: int) -> None:
        self.number = number
        self.channels: dict[int, int] = {}
        self.playing: asyncio.Task[None] | None = None
        self._writer = writer

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def hang_up(self) -> None:
        self._writer.transport.abort()


class _Server:
    """Accepts connections in the running event loop from `__aenter__` to `__aexit__`."""

    host = "127.0.0.1"
    codec = "h264"
    scene: ClassVar[dict[str, Any]] = {}
    """Changes to the clip's `SceneOptions`."""
    enough = 60
    """`watch` stops after so many pictures."""
    watch_s = 12.0
    """Seconds after which `watch` gives up."""
    settings: ClassVar[dict[str, Any]] = {}
    """Further fields of the `SourceConfig` it is watched with."""

    def __init__(self, name: str = "", **changes: Any) -> None:
        """`name`: of the test. `changes`: to the attributes of the class."""
        for key, value in changes.items():
            assert hasattr(self, key), f"{type(self).__name__} has no attribute {key!r}"
            setattr(self, key, value)
        self.name = " ".join(filter(None, (type(self).__name__, name)))
        self.connections = 0
        self.port = 0

    def __repr__(self) -> str:
        return self.name

    @functools.cached_property
    def clip(self) -> Clip:
        options = {"width": 320, "height": 240, "seconds": 2.0, "gop": 25, "bitrate_bps": 800_000}
        return odd_clip(SceneOptions(**{**options, "codec": self.codec, **self.scene}))

    async def __aenter__(self) -> Self:
        _ = self.clip
        self._listening = listening(self._connected, self.host)
        self.port = await self._listening.__aenter__()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self._listening.__aexit__(*error)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await self.serve(reader, writer)
        writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError


class OddCamera(_Server):
    """An RTSP camera, TCP only, one session per connection. Healthy until something is overridden."""

    public = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
    session = "12345678"
    session_parameters = ";timeout=60"
    path = "/cam0"
    ssrc = 0x1234ABCD
    first_sequence = 1000
    fps = 50

    def __init__(self, name: str = "", **changes: Any) -> None:
        super().__init__(name, **changes)
        self.requests: list[OddRequest] = []

    def url(self, user: str = "") -> str:
        """`user`: as it stands in a URL, with the @."""
        return f"rtsp://{user}{self.host}:{self.port}{self.path}"

    # Requests ---------------------------------------------------------------------------------------------------

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = OddClient(writer, self.connections)
        try:
            while True:
                first = await reader.readexactly(1)
                if first == b"$":
                    head = await reader.readexactly(3)
                    await reader.readexactly(int.from_bytes(head[1:], "big"))
                elif first not in b"\r\n":
                    request = self._parse(first + await reader.readuntil(b"\r\n\r\n"), client)
                    self.requests.append(request)
                    answer = await self.answer(client, request)
                    if answer is not None:
                        client.send(answer)
                    await self.after(client, request)
                    await writer.drain()
        finally:
            if client.playing is not None:
                client.playing.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError):
                    await client.playing

    @staticmethod
    def _parse(data: bytes, client: OddClient) -> OddRequest:
        lines = data.decode("utf-8", "surrogateescape").strip().split("\r\n")
        method, url, _ = lines[0].split(" ", 2)
        headers = {
            name.strip().lower(): value.strip() for name, _, value in (x.partition(":") for x in lines[1:])
        }
        return OddRequest(method, url, headers, client.number, asyncio.get_running_loop().time())

    def reply(
        self, request: OddRequest, status: str = "200 OK", *headers: str, body: str = "", cseq: object = None
    ) -> bytes:
        """`cseq`: instead of the request's; "": none."""
        lines = [f"RTSP/1.0 {status}"]
        number = request.headers.get("cseq") if cseq is None else cseq
        if number != "":
            lines.append(f"CSeq: {number}")
        lines += headers
        content = body.encode("utf-8", "surrogateescape")
        if content:
            lines.append(f"Content-Length: {len(content)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape") + content

    async def answer(self, client: OddClient, request: OddRequest) -> bytes | None:
        """None: no answer."""
        denied = self.login(client, request)
        if denied is not None:
            return denied
        method = getattr(self, f"on_{request.method.lower()}", self.on_other)
        answer: bytes | None = await method(client, request)
        return answer

    def login(self, client: OddClient, request: OddRequest) -> bytes | None:
        """The refusal; None: the client may."""
        return None

    async def after(self, client: OddClient, request: OddRequest) -> None:
        if request.method == "PLAY":
            self.start_media(client)
        if request.method == "TEARDOWN":
            client.hang_up()

    async def on_options(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "200 OK", f"Public: {self.public}")

    async def on_describe(self, client: OddClient, request: OddRequest) -> bytes | None:
        base = f"Content-Base: {request.url.rstrip('/')}/"
        return self.reply(request, "200 OK", "Content-Type: application/sdp", base, body=self.sdp(request))

    def sdp(self, request: OddRequest) -> str:
        return describe(self.clip, host="127.0.0.1")

    async def on_setup(self, client: OddClient, request: OddRequest) -> bytes | None:
        asked = re.search(r"interleaved=(\d+)-(\d+)", request.headers.get("transport", ""))
        assert asked is not None
        channel = self.channel(len(client.channels), int(asked[1]))
        client.channels[self.track_of(request)] = channel
        transport = f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1};ssrc={self.ssrc:08X}"
        session = f"Session: {self.session}{self.session_parameters}"
        return self.reply(request, "200 OK", f"Transport: {transport}", session)

    def channel(self, index: int, asked: int) -> int:
        return asked

    def track_of(self, request: OddRequest) -> int:
        found = re.search(r"track(\d+)$", request.url)
        return int(found[1]) if found else 0

    async def on_play(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "200 OK", f"Session: {self.session}", "Range: npt=now-")

    async def on_other(self, client: OddClient, request: OddRequest) -> bytes | None:
        return self.reply(request, "200 OK", f"Session: {self.session}")

    # Media ------------------------------------------------------------------------------------------------------

    def start_media(self, client: OddClient) -> None:
        if client.playing is None:
            client.playing = asyncio.create_task(self.media(client))

    async def media(self, client: OddClient) -> None:
        """The clip at its pace, endless: `number` and the timestamps continue across the loop."""
        now_s = asyncio.get_running_loop().time
        sequence, number, started_s = self.first_sequence, 0, now_s()
        units = self.clip.video.units
        while True:
            await asyncio.sleep(max(0, started_s + number / self.fps - now_s()))
            out = b""
            for payload, marker, timestamp in self.packets(
                number, units[number % len(units)], self.timestamp(number)
            ):
                out += self.frame(client, self.header(sequence, timestamp, marker=marker), payload)
                sequence += 1
            self.burst(client, number, out)
            number += 1

    def header(self, sequence: int, timestamp: int, *, marker: bool) -> bytes:
        kind = rtp.payload_type(self.clip.video.codec, 0) | (0x80 if marker else 0)
        return RTP_HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, self.ssrc)

    def packets(self, number: int, unit: Unit, timestamp: int) -> list[Payload]:
        """What one picture is sent as."""
        return marked_last(rtp.payloads(self.clip.video.codec, unit.data), timestamp)

    def timestamp(self, number: int) -> int:
        return 3_000_000 + number * 90_000 // self.fps

    def frame(self, client: OddClient, header: bytes, payload: bytes) -> bytes:
        return interleaved(client.channels.get(0, 0), header + payload)

    def burst(self, client: OddClient, number: int, out: bytes) -> None:
        """Send all packets of a picture."""
        client.send(out)


class OddHttpCamera(_Server):
    """An HTTP camera that sends MJPEG as multipart/x-mixed-replace."""

    codec = "mjpeg"
    path = "/video"
    fps = 50

    def __init__(self, name: str = "", **changes: Any) -> None:
        super().__init__(name, **changes)
        self.requests: list[str] = []

    def url(self, user: str = "") -> str:
        return f"http://{user}{self.host}:{self.port}{self.path}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        await self.respond(writer, self.requests[-1])

    async def respond(self, writer: asyncio.StreamWriter, request: str) -> None:
        writer.write(self.head())
        now_s = asyncio.get_running_loop().time
        number, started_s = 0, now_s()
        units = self.clip.video.units
        while True:
            writer.write(self.wire(self.part(number, units[number % len(units)].data)))
            await writer.drain()
            number += 1
            await asyncio.sleep(max(0, started_s + number / self.fps - now_s()))

    def head(self) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=foo\r\n\r\n"

    def part(self, number: int, jpeg: bytes) -> bytes:
        head = b"--foo\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
        return head + jpeg + b"\r\n"

    def wire(self, data: bytes) -> bytes:
        return data


# Parts of packets -----------------------------------------------------------------------------------------------


def interleaved(channel: int, data: bytes) -> bytes:
    return b"$" + bytes([channel]) + len(data).to_bytes(2, "big") + data


def marked_last(payloads: list[bytes], timestamp: int) -> list[Payload]:
    return [(payload, at == len(payloads) - 1, timestamp) for at, payload in enumerate(payloads)]


def nal_units(unit: Unit, codec: Codec = Codec.H264, *, drop: tuple[int, ...] = ()) -> list[bytes]:
    return [nal for nal in split_annexb(unit.data) if nal_type(codec, nal[0]) not in drop]


def fragments(nal: bytes, mtu_bytes: int = 1400, *, codec: Codec = Codec.H264) -> list[bytes]:
    """FU-A (RFC 6184, 5.8) or FU (RFC 7798, 4.4.3), also of a NAL unit that needs no fragments."""
    if codec is Codec.H264:
        head, kind, body = bytes([nal[0] & 0xE0 | 28]), nal[0] & 31, nal[1:]
    else:
        head, kind, body = bytes([nal[0] & 0x81 | 49 << 1, nal[1]]), nal[0] >> 1 & 63, nal[2:]
    step = mtu_bytes - len(head) - 1
    pieces = [body[at : at + step] for at in range(0, len(body), step)] or [b""]
    last = len(pieces) - 1
    return [
        head + bytes([(0x80 if at == 0 else 0) | (0x40 if at == last else 0) | kind]) + piece
        for at, piece in enumerate(pieces)
    ]


def whole_or_fragments(nal: bytes, mtu_bytes: int = 1400, *, codec: Codec = Codec.H264) -> list[bytes]:
    return [nal] if len(nal) <= mtu_bytes else fragments(nal, mtu_bytes, codec=codec)


def digest_is_right(request: OddRequest, *, realm: bytes, nonce: str, user: str, password: str) -> bool:
    """Whether the request answers an RFC 2069 challenge. User and password are hashed as UTF-8, the realm as given."""
    header = request.headers.get("authorization", "")
    if not header.lower().startswith("digest "):
        return False
    given = dict(re.findall(r'(\w+)="([^"]*)"', header))

    def md5(data: bytes) -> bytes:
        return hashlib.md5(data).hexdigest().encode()

    secret = md5(user.encode() + b":" + realm + b":" + password.encode())
    asked = md5(f"{request.method}:{given.get('uri', '')}".encode("utf-8", "surrogateescape"))
    wanted = md5(secret + b":" + nonce.encode() + b":" + asked)
    return given.get("response", "").encode() == wanted and given.get("nonce") == nonce


# The product ------------------------------------------------------------------------------------------------------


@dataclass
class Observation:
    """What a recorder received from a camera, the messages for users, and the decoder's output."""

    loop: int = 50
    """The number of pictures of the camera's clip."""
    pictures: list[Packet] = field(default_factory=list)
    sounds: list[Packet] = field(default_factory=list)
    states: list[tuple[str, str, str]] = field(default_factory=list)
    """(state, type of the error, its text) at each change."""
    status: dict[str, Any] = field(default_factory=dict)
    dropped: int = 0
    crash: str = ""

    @property
    def errors(self) -> list[tuple[str, str]]:
        return [(kind, text) for _, kind, text in self.states if kind]

    @property
    def disconts(self) -> int:
        return sum(bool(packet.flags & Flags.DISCONT) for packet in self.pictures)

    @functools.cached_property
    def decoded(self) -> "Decoded":
        return _decode(self.pictures)

    @property
    def steps(self) -> Counter[int]:
        """How often each difference between two pictures in a row occurs; {1: n} is a stream without a gap."""
        numbers = [number for number in self.decoded.stamps if number is not None]
        return Counter((b - a) % self.loop for a, b in pairwise(numbers))

    def __str__(self) -> str:
        return (
            f"{len(self.pictures)} pictures, {len(self.decoded.stamps)} decoded, {self.decoded.errors} damaged, "
            f"steps {dict(self.steps)}, {self.disconts} discont, {self.dropped} dropped, errors {self.errors[:3]}, "
            f"crash {self.crash!r}, status {self.status}"
        )

    def assert_whole(self, least: int = 40) -> None:
        """Enough pictures, all in a row, none damaged, and the camera was opened once without an error."""
        assert not self.crash and not self.errors and not self.status["reconnects"], str(self)
        assert len(self.pictures) >= least and len(self.decoded.stamps) >= least, str(self)
        assert not self.decoded.errors and None not in self.decoded.stamps, str(self)
        assert set(self.steps) <= {1}, str(self)


@dataclass
class Decoded:
    errors: int = 0
    stamps: list[int | None] = field(default_factory=list)
    sizes: set[tuple[int, int]] = field(default_factory=set)


class _Sink:
    """A `PacketSink` that keeps everything until `is_enough`.

    What a test gets must not depend on how soon its event loop wakes up: with B-frames, a stream that is cut two
    pictures later lacks a picture in the order of display.
    """

    def __init__(self, seen: Observation, changed: asyncio.Event, is_enough: Callable[[], bool]) -> None:
        self._seen = seen
        self._changed = changed
        self._is_enough = is_enough

    def begin(self, tracks: tuple[Track, ...]) -> None: ...
    def annotate(self, packet: Packet) -> None: ...
    def keep(self, windows: object, before_s: float) -> None: ...
    def flush(self) -> None: ...
    def close(self) -> None: ...

    def status(self) -> dict[str, Any]:
        return {"state": "test", "error": None}

    def add(self, packet: Packet) -> None:
        if self._is_enough():
            return
        (self._seen.pictures if packet.kind is Kind.VIDEO else self._seen.sounds).append(packet)
        self._changed.set()


async def watch(
    url: str,
    enough: int | Callable[[Observation], object] = 60,
    *,
    seconds: float = 12.0,
    loop: int = 50,
    **settings: Any,
) -> Observation:
    """Capture the camera at `url` until `enough` (a number of pictures, or a test), for `seconds` at most."""
    seen, changed = Observation(loop), asyncio.Event()
    with tempfile.TemporaryDirectory() as run_dir:

        def on_change() -> None:
            error = camera.error
            seen.states.append(
                (str(camera.state), type(error).__name__ if error else "", str(error) if error else "")
            )
            changed.set()

        camera = CameraCapture(
            slug="odd",
            camera_id=1,
            source=SourceConfig(url, **settings),
            revision="1",
            run_dir=Path(run_dir),
            on_change=on_change,
            clock=LoopClock(),
        )

        def is_enough() -> bool:
            if isinstance(enough, int):
                return len(seen.pictures) >= enough
            return bool(enough(seen))

        camera.record_to(_Sink(seen, changed, is_enough))
        running = asyncio.create_task(camera.run())

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not running.done() and not is_enough():
                    changed.clear()
                    await changed.wait()
        seen.status = camera.status()
        if camera._source is not None:
            seen.dropped = camera._source.stats.access_units_dropped
        await camera.stop()
        try:
            await asyncio.wait_for(running, 5)
        except Exception as exc:
            seen.crash = repr(exc)
    return seen


async def watch_camera(camera: OddCamera | OddHttpCamera) -> Observation:
    """`watch` a camera that is not yet started, as its attributes say."""
    async with camera:
        return await watch(
            camera.url(), camera.enough, seconds=camera.watch_s, loop=camera.clip.frames, **camera.settings
        )


def _decode(packets: list[Packet]) -> Decoded:
    """Each access unit goes into the decoder by itself."""
    out = Decoded()
    context: av.VideoCodecContext | None = None
    codec: Codec | None = None

    def take(data: bytes | None) -> None:
        assert context is not None
        try:
            for frame in context.decode(av.Packet(data) if data is not None else None):
                out.errors += frame.is_corrupt
                out.sizes.add((frame.width, frame.height))
                out.stamps.append(stamp.read(frame.to_ndarray(format="gray").astype(np.uint8)))
        except av.FFmpegError:
            out.errors += 1

    for packet in packets:
        if packet.codec is not codec:
            if context is not None:
                take(None)
            codec = packet.codec
            made = av.CodecContext.create(codec.label, "r")
            assert isinstance(made, av.VideoCodecContext)
            context = made
            context.thread_count = 1
            if codec is Codec.MJPEG:
                context.options = {"err_detect": "explode"}
        take(packet.data)
    if context is not None:
        take(None)
    return out
