"""A phone with the app "IP Webcam": MJPEG by HTTP at /video, a still at /shot.jpg, a web page at /. For tests."""

import asyncio
import math
import ssl
import time
import zlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from ninjacam.core.packets import Codec
from ninjacam.testing.authentication import Login
from ninjacam.testing.clips import Clip
from ninjacam.testing.server_thread import ServerThread

_PAGE = b"<!doctype html><title>IP Webcam</title><h1>IP Webcam</h1><img src=/video>"
MAX_LATE_S = 1.0
_REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 404: "Not Found", 503: "Service Unavailable"}


@dataclass(slots=True)
class HttpFaults:
    """What can be wrong. The defaults are a healthy phone; change them while it runs."""

    freeze: bool = False
    """Send no frames, keep the connections."""
    html: bool = False
    """A web page is where the video should be."""
    content_length: bool = True
    """False: the parts have no Content-Length, only boundaries."""
    length_error: int = 0
    """Added to each Content-Length of a part."""
    content_type: str | None = None
    """The stream's Content-Type instead of the right one; "": no such header."""
    before: bytes = b""
    """Sent in front of the first part."""
    part: bytes | None = None
    """Sent in front of each frame instead of a boundary and headers; %d stands for its length."""
    interval_s: float = 0.0
    """Time from frame to frame; 0: as in the clip."""
    end_after: int = 0
    """Close the connection after so many frames; 0: never."""
    line_end: str = "\r\n"
    """Of the answer's head."""
    status_line: str = "HTTP/1.1 200 OK"
    """Of the stream."""
    coding: Literal["", "gzip"] = ""
    """Compress the stream, although the client has not asked for it."""
    location: str = ""
    """Redirect /video there."""
    hang_up: Literal["", "behind 401", "within 401", "at login"] = ""
    """Close the connection: after a 401, before its end, or instead of answering the first login."""
    chunked: bool = False
    """Transfer-Encoding: chunked, cut without regard to the parts."""
    dashes_in_boundary: bool = False
    """The boundary parameter already has the two dashes, as many cameras do."""
    status: int = 0
    """Answer everything with this."""
    hang: bool = False
    """Never answer."""
    garbage: float = 0.0
    """Share of frames that are cut off in the middle. 0..1."""


@dataclass
class HttpCameraStats:
    connections: int = 0
    open_connections: int = 0
    bytes_sent: int = 0
    paths: Counter[str] = field(default_factory=Counter)


class FakeHttpCamera(ServerThread):
    """Serves an MJPEG clip on 127.0.0.1. Frame k of L is sent at CLOCK_MONOTONIC (j*L + k)/fps (`served_stream`)."""

    BOUNDARY = "Ba4oTvQMY8ew04N8dcnM"

    def __init__(
        self,
        clip: Clip,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        login: Login | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(host, port, ssl_context)
        if clip.video.codec is not Codec.MJPEG:
            raise ValueError("An HTTP camera needs an MJPEG clip.")
        self.clip = clip
        self.login = login or Login()
        self.faults = HttpFaults()
        self.stats = HttpCameraStats()

    def url(self, path: str = "/video", *, login: bool = True) -> str:
        scheme = "https" if self._ssl_context else "http"
        user = (
            f"{self.login.username}:{self.login.password}@" if login and self.login.scheme != "none" else ""
        )
        return f"{scheme}://{user}{self.host}:{self.port}{path}"

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.stats.connections += 1
        self.stats.open_connections += 1
        try:
            while await self._answer(reader, writer):
                pass
        finally:
            self.stats.open_connections -= 1

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request; False: the connection is over."""
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        path = urlsplit(target).path
        self.stats.paths[path] += 1
        if self.faults.hang:
            await reader.read()  # until the client goes
            return False
        if self.faults.status:
            return await self._send(writer, self.faults.status, "text/plain", b"no")
        if path == "/video" and self.faults.location:
            return await self._send(writer, 302, "text/plain", b"", f"Location: {self.faults.location}\r\n")
        authorization = headers.get("authorization", "")
        if not self.login.accepts(method, authorization):
            return await self._refuse(writer)
        if authorization and self.faults.hang_up == "at login":
            self.faults.hang_up = ""
            writer.transport.abort()
            return False
        if path in ("/video", "/videofeed", "/mjpeg") and not self.faults.html:
            return await self._stream(writer)
        if path == "/shot.jpg" and not self.faults.html:
            number = math.floor(time.monotonic() * self.clip.fps) % self.clip.frames
            return await self._send(writer, 200, "image/jpeg", self.clip.video.units[number].data)
        known = path in ("/", "/video", "/videofeed", "/mjpeg", "/shot.jpg")
        return await self._send(writer, 200 if known else 404, "text/html", _PAGE)

    async def _refuse(self, writer: asyncio.StreamWriter) -> bool:
        challenge = f"WWW-Authenticate: {self.login.challenge()}\r\n"
        if self.faults.hang_up == "within 401":
            self._write(writer, f"HTTP/1.1 401 Unauthorized\r\n{challenge}".encode())
            await writer.drain()
            return False
        return (
            await self._send(writer, 401, "text/plain", b"no", challenge)
            and self.faults.hang_up != "behind 401"
        )

    async def _send(
        self, writer: asyncio.StreamWriter, status: int, content_type: str, body: bytes, extra: str = ""
    ) -> bool:
        head = f"HTTP/1.1 {status} {_REASONS.get(status, 'Error')}\r\nContent-Type: {content_type}\r\n{extra}"
        self._write(writer, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()
        return True

    async def _stream(self, writer: asyncio.StreamWriter) -> bool:
        faults, clip = self.faults, self.clip
        zipper = zlib.compressobj(wbits=zlib.MAX_WBITS | 16) if faults.coding else None
        self._write(writer, self._stream_head())
        self._write(writer, self._coded(faults.before, zipper))
        interval_s = faults.interval_s or 1 / clip.fps
        number = math.floor(time.monotonic() / interval_s) + 1
        sent = 0
        while not faults.end_after or sent < faults.end_after:
            await asyncio.sleep(number * interval_s - time.monotonic())
            if writer.transport.is_closing():
                return False
            if not faults.freeze:
                data = clip.video.units[number % clip.frames].data
                if faults.garbage and (number * 0.618_034) % 1 < faults.garbage:
                    data = data[: len(data) // 2]
                self._write(writer, self._coded(self._part(data), zipper))
                await writer.drain()
                sent += 1
            # Late by less than a second, it catches up: by more, its client takes no more.
            number += 1
            if time.monotonic() - number * interval_s > MAX_LATE_S:
                number = math.floor(time.monotonic() / interval_s)
        return False

    def _stream_head(self) -> bytes:
        faults = self.faults
        boundary = f"--{self.BOUNDARY}" if faults.dashes_in_boundary else self.BOUNDARY
        content_type = faults.content_type
        if content_type is None:
            content_type = f'multipart/x-mixed-replace;boundary="{boundary}"'
        lines = [
            faults.status_line,
            f"Content-Type: {content_type}" if content_type else "Server: odd",
            "Transfer-Encoding: chunked" if faults.chunked else "Connection: close",
            f"Content-Encoding: {faults.coding}" if faults.coding else "Cache-Control: no-cache",
            "",
            "",
        ]
        return faults.line_end.join(lines).encode()

    def _part(self, data: bytes) -> bytes:
        length = len(data) + self.faults.length_error
        if (part := self.faults.part) is not None:
            return (part % length if b"%d" in part else part) + data
        header = f"Content-Length: {length}\r\n" if self.faults.content_length else ""
        return f"\r\n--{self.BOUNDARY}\r\nContent-Type: image/jpeg\r\n{header}\r\n".encode() + data

    def _coded(self, data: bytes, zipper: "zlib._Compress | None") -> bytes:
        if zipper is not None:
            data = zipper.compress(data) + zipper.flush(zlib.Z_SYNC_FLUSH)
        return b"%x\r\n%s\r\n" % (len(data), data) if self.faults.chunked and data else data

    def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        self.stats.bytes_sent += len(data)
        writer.write(data)
