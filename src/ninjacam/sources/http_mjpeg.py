"""MJPEG over HTTP (`http://phone:8080/video`), with a small HTTP/1.1 client of our own.

What turns out to be another kind of video is handed to FFmpeg.
"""

import asyncio
from contextlib import suppress
from dataclasses import replace

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    AuthenticationError,
    NotACameraError,
    NoVideoError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceStalledError,
    SourceTimeoutError,
    StreamNotFoundError,
)
from ninjacam.core.packets import Codec, Kind, Track
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.multipart import Dechunker, MultipartParser, boundary_of
from ninjacam.sources.pictures import JpegPictures
from ninjacam.sources.rtsp.messages import MAX_HEAD_BYTES, USER_AGENT, Message, checked_lines, parse_head
from ninjacam.sources.urls import Target, parse_url, redirect_target

MAX_REDIRECTS = 3
_SCHEMES = ("http", "https")
_READ_BYTES = 1 << 16
_LIMIT_BYTES = 1 << 18
_VIDEO_TYPES = ("video/", "application/vnd.apple.mpegurl", "application/x-mpegurl", "audio/mpegurl", "audio/x-mpegurl",
                "application/octet-stream", "application/dash+xml", "application/mp4")  # fmt: skip


async def open_http(config: SourceConfig, *, clock: Clock) -> Source:
    """Ask for the URL, within `config.open_timeout_s`, and see what comes. Raises: SourceError."""
    target = parse_url(config.url)
    started_ns = clock.monotonic_ns()
    try:
        async with asyncio.timeout(config.open_timeout_s):
            stream = await _follow(target, config)
            if isinstance(stream, _Stream):
                return HttpMjpegSource(stream, config, clock)
    except TimeoutError as exc:
        raise SourceTimeoutError(
            f"{target.host}:{target.port} did not answer within {config.open_timeout_s:g} s: "
            "check the address, the port and that the camera is on."
        ) from exc
    from ninjacam.sources.ffmpeg_network import open_network  # only here does FFmpeg come in

    left_s = config.open_timeout_s - (clock.monotonic_ns() - started_ns) / 1e9
    return await open_network(replace(stream, open_timeout_s=max(0.5, left_s)), clock=clock)


class _Stream:
    """An answer whose body has begun."""

    def __init__(
        self, message: Message, reader: asyncio.StreamReader, transport: asyncio.Transport, host: str
    ) -> None:
        self.message = message
        self.reader = reader
        self.transport = transport
        self.host = host


async def _follow(target: Target, config: SourceConfig) -> _Stream | SourceConfig:
    """The MJPEG stream, or the configuration to give to FFmpeg."""
    auth = Authenticator(config.username, config.password)
    redirects = 0
    for _ in range(2 * MAX_REDIRECTS + 3):
        stream = await _get(target, auth, config)
        message = stream.message
        if message.status in (301, 302, 303, 307, 308) and message.header("location"):
            stream.transport.abort()
            redirects += 1
            if redirects > MAX_REDIRECTS:
                break
            following = redirect_target(target, message.header("location"), _SCHEMES)
            if following.host != target.host:
                config = replace(config, username="", password="")
            auth = Authenticator(config.username, config.password)
            target = following
            continue
        if message.status == 401 and auth.take_challenge(message.headers.get("www-authenticate", [])):
            stream.transport.abort()
            continue
        try:
            _check(message, auth)
            if not _is_multipart(message):
                stream.transport.abort()
                return replace(config, url=target.uri)
        except SourceError:
            stream.transport.abort()
            raise
        return stream
    raise ProtocolError("The camera redirects again and again.")


async def _get(target: Target, auth: Authenticator, config: SourceConfig) -> _Stream:
    reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
    transport, _ = await addresses.connect(
        lambda: asyncio.StreamReaderProtocol(reader), target.host, target.port, config, tls=target.is_tls
    )
    lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {USER_AGENT}",
             "Accept: */*", "Connection: close"]  # fmt: skip
    authorization = auth.header("GET", target.path)
    if authorization:
        lines.append(f"Authorization: {authorization}")
    try:
        transport.write(checked_lines(lines))
        return _Stream(await _read_head(reader, target), reader, transport, target.host)
    except BaseException:
        transport.abort()
        raise


async def _read_head(reader: asyncio.StreamReader, target: Target) -> Message:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as exc:
        began = exc.partial if isinstance(exc, asyncio.IncompleteReadError) else b""
        raise NotACameraError(
            f"An SSH server answers at {target.authority}, not a camera: check the port."
            if began.startswith(b"SSH-")
            else f"{target.authority} does not answer as a web camera does: check the port."
        ) from exc
    except OSError as exc:
        raise addresses.translate_os_error(exc, target.host, target.port) from exc
    if len(head) > MAX_HEAD_BYTES or not head.startswith(b"HTTP/1."):
        raise NotACameraError(f"{target.authority} does not answer as a web camera does: check the port.")
    return parse_head(head)[0]


def _check(message: Message, auth: Authenticator) -> None:
    """Raises: SourceError: the answer is no video."""
    status = message.status
    if status == 401:
        if auth.has_credentials:
            raise AuthenticationError("The camera refuses the user name or the password: check both.")
        raise AuthenticationError("The camera wants a user name and a password: add them.")
    if status == 403:
        raise AuthenticationError("The camera forbids this user to watch: give the user the right to view.")
    if status in (404, 410):
        raise StreamNotFoundError("The camera has no stream at this path: check the path of the URL.")
    if status != 200:
        raise ProtocolError(f"The camera answered with the HTTP status {status}.")
    kind = message.header("content-type").lower()
    if _is_multipart(message) or kind.startswith(_VIDEO_TYPES):
        return
    if kind.startswith("image/"):
        raise NoVideoError(
            "This URL gives one picture, not a stream: use the camera's video URL (often /video)."
        )
    raise NotACameraError(
        "A web page answers there, not a video stream: use the camera's video URL (often /video)."
    )


def _is_multipart(message: Message) -> bool:
    return message.header("content-type").lower().startswith("multipart/")


class HttpMjpegSource:
    """Implements `ninjacam.sources.base.Source`. Presentation times are times of arrival: the camera tells none."""

    def __init__(self, stream: _Stream, config: SourceConfig, clock: Clock) -> None:
        self.tracks: tuple[Track, ...] = (Track(Kind.VIDEO, Codec.MJPEG),)
        self.stats = SourceStats()
        self._stream = stream
        self._config = config
        self._clock = clock
        self._closed = False
        self._parser = MultipartParser(boundary_of(stream.message.header("content-type")))
        chunked = "chunked" in stream.message.header("transfer-encoding").lower()
        self._dechunker = Dechunker() if chunked else None

    async def run(self, on_packet: OnPacket) -> None:
        pictures = JpegPictures(on_packet, self.stats)
        reader, clock = self._stream.reader, self._clock
        while True:
            data = await self._read(reader)
            if self._closed:
                raise SourceEndedError("The camera was closed.")
            received_ns = clock.monotonic_ns()
            self.stats.bytes_received += len(data)
            if self._dechunker is not None:
                data = self._dechunker.feed(data)
                if self._dechunker.ended:
                    raise SourceEndedError("The camera ended the stream.")
            for part in self._parser.feed(data):
                pictures.push_unit(part, received_ns * 9 // 100_000, received_ns)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        limit_s = self._config.read_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                data = await reader.read(_READ_BYTES)
        except TimeoutError as exc:
            raise SourceStalledError(f"The camera has sent nothing for {limit_s:g} s.") from exc
        except OSError as exc:
            raise SourceEndedError("The connection to the camera broke off.") from exc
        if not data:
            raise SourceEndedError(
                "The camera was closed." if self._closed else "The camera closed the connection."
            )
        return data

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        with suppress(OSError):
            self._stream.transport.abort()
