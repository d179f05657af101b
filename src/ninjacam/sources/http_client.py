"""A small HTTP/1.1 client: one GET, to checked addresses, with a login and a few redirects.

Not here: the contents of a body (`http_mjpeg`, `ffmpeg_http`), and connections that stay open (`http_session`).
"""

import asyncio
import re
import socket
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from urllib.parse import quote, urljoin

from ninjacam.core.errors import (
    AuthenticationError,
    NotACameraError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceStalledError,
    StreamNotFoundError,
)
from ninjacam.core.redact import split_credentials
from ninjacam.core.texts import sentence
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.multipart import Dechunker
from ninjacam.sources.rtsp.messages import MAX_HEAD_BYTES, USER_AGENT, RtspMessage, checked_lines, parse_head
from ninjacam.sources.urls import RequestTarget, carries_login, parse_url, redirect_target

MAX_REDIRECTS = 3
MAX_HANGUPS = 1
"""If a camera closes the connection instead of responding to a login, the request is sent once more with the same
login."""
_SCHEMES = ("http", "https")
_READ_BYTES = 1 << 16
_LIMIT_BYTES = 1 << 18
_VERSION = b"HTTP/1."
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_KEEPALIVE = ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 3))
"""TCP keep-alive: a host that vanished is detected within 11 s, even while waiting for a slow camera."""


class HttpBody:
    """A response whose body has begun. `target`: that of the last redirect.

    `config`: the camera's configuration, without credentials if another host responded. `ahead`: the first bytes of
    the body.
    """

    def __init__(
        self,
        message: RtspMessage,
        reader: asyncio.StreamReader,
        transport: asyncio.Transport,
        target: RequestTarget,
        config: SourceConfig,
        ahead: bytes,
    ) -> None:
        self.message = message
        self.target = target
        self.config = config
        self._reader = reader
        self._transport = transport
        self._wire_ahead = ahead
        self._peeked = b""
        chunked = "chunked" in message.header("transfer-encoding").lower()
        self._dechunker = Dechunker() if chunked else None
        # We request none of them, but some servers compress anyway.
        zipped = message.header("content-encoding").lower() in ("gzip", "x-gzip", "deflate")
        self._unzipper = zlib.decompressobj(zlib.MAX_WBITS | 32) if zipped else None
        length = message.header("content-length")
        # In an endless body (multipart), some cameras send a wrong value.
        self.is_finite = (
            length.isascii()
            and length.isdigit()
            and not chunked
            and not self.content_type.startswith("multipart/")
        )
        self._left_bytes = int(length[:18]) if self.is_finite else None

    @property
    def content_type(self) -> str:
        return self.message.header("content-type").lower()

    @property
    def left_bytes(self) -> int:
        """Return the number of announced bytes that have not been read; 0: unknown."""
        return self._left_bytes or 0

    @property
    def is_complete(self) -> bool:
        """Return whether the body ended at its announced length, so that another response can follow."""
        return self._left_bytes == 0 or (self._dechunker is not None and self._dechunker.ended)

    async def peek(self, is_enough: Callable[[bytes], bool], max_bytes: int) -> bytes:
        """Return the first bytes without consuming them, as soon as they suffice, the body ends, or there are
        `max_bytes`."""
        while len(self._peeked) < max_bytes and not is_enough(self._peeked):
            data = await self._next()
            if not data:
                break
            self._peeked += data
        return self._peeked

    async def read(self, limit_s: float | None = None) -> bytes:
        """Return the next bytes, at least one; b"" at the end.

        Raises: SourceStalledError: no data for `limit_s`, by default `read_timeout_s`; SourceEndedError;
        ProtocolError.
        """
        if self._peeked:
            data, self._peeked = self._peeked, b""
            return data
        limit_s = self.config.read_timeout_s if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit_s):
                return await self._next()
        except TimeoutError as exc:
            raise SourceStalledError(
                sentence("The camera has sent nothing for %(limit_s)s s.", limit_s=f"{limit_s:g}")
            ) from exc

    async def _next(self) -> bytes:
        while data := await self._next_on_wire():
            if self._dechunker is not None:
                data = self._dechunker.feed(data)
            if self._unzipper is not None:
                data = self._unzip(data)
            if data:
                return data
            if self._dechunker is not None and self._dechunker.ended:
                break
        return b""

    async def _next_on_wire(self) -> bytes:
        if self._left_bytes == 0:
            return b""
        data, self._wire_ahead = self._wire_ahead, b""
        try:
            data = data or await self._reader.read(_READ_BYTES)
        except OSError as exc:
            raise SourceEndedError("The connection to the camera broke off.") from exc
        if self._left_bytes is not None:
            data = data[: self._left_bytes]
            self._left_bytes -= len(data)
        return data

    def _unzip(self, data: bytes) -> bytes:
        assert self._unzipper is not None
        try:
            plain = self._unzipper.decompress(data, _LIMIT_BYTES)
        except zlib.error as exc:
            raise ProtocolError("The camera sends compressed data that cannot be decompressed.") from exc
        if self._unzipper.unconsumed_tail:
            raise ProtocolError("The camera's response is compressed too much: switch compression off.")
        return plain

    def close(self) -> None:
        """Idempotent."""
        with suppress(OSError):
            self._transport.abort()


async def get(url: str, config: SourceConfig, *, headers: Iterable[str] = ()) -> HttpBody:
    """Request `url` and follow redirects. The caller sets the deadline.

    Raises: SourceError; ConfigError: the URL is invalid.
    """
    target = parse_url(url)
    auth = Authenticator(config.username, config.password)
    redirects = hangups = 0
    is_challenged = False
    for _ in range(2 * MAX_REDIRECTS + MAX_HANGUPS + 3):
        try:
            body = await _get(target, auth, config, headers)
        except SourceEndedError:
            if not is_challenged or hangups == MAX_HANGUPS:
                raise
            hangups += 1
            continue
        message = body.message
        if message.status in (301, 302, 303, 307, 308) and message.header("location"):
            body.close()
            redirects += 1
            if redirects > MAX_REDIRECTS:
                break
            target, auth, config = _follow(target, message.header("location"), config)
            is_challenged = False
            continue
        if message.status == 401 and auth.take_challenge(message.headers.get("www-authenticate", [])):
            body.close()
            is_challenged = True
            continue
        try:
            check_status(message.status, has_login=auth.has_credentials)
        except SourceError:
            body.close()
            raise
        return body
    raise ProtocolError("The camera redirects too often.")


def _follow(
    now: RequestTarget, location: str, config: SourceConfig
) -> tuple[RequestTarget, Authenticator, SourceConfig]:
    """Return the target of a redirect, with its authentication and configuration. The camera's login is used only
    for its host.

    A login in the Location is used only for this target. Raises: ProtocolError: the target is not allowed.
    """
    try:
        url = urljoin(now.uri, quote(location.strip(), safe="%/:?#[]@!$&'()*+,;=~"))
        url, username, password = split_credentials(url)
    except ValueError as exc:
        raise ProtocolError("The camera redirects to a malformed address.") from exc
    target = redirect_target(now, url, _SCHEMES)
    if not carries_login(now, target):
        config = replace(config, username="", password="")
    if username or password:
        return target, Authenticator(username, password), config
    return target, Authenticator(config.username, config.password), config


async def _get(
    target: RequestTarget, auth: Authenticator, config: SourceConfig, headers: Iterable[str]
) -> HttpBody:
    reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
    transport, _ = await addresses.connect(
        lambda: asyncio.StreamReaderProtocol(reader), target.host, target.port, config, tls=target.is_tls
    )
    lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {USER_AGENT}", "Accept: */*",
             "Accept-Encoding: identity", "Connection: close", *headers]  # fmt: skip
    authorization = auth.header("GET", target.path)
    if authorization:
        lines.append(f"Authorization: {authorization}")
    try:
        detect_loss(transport)
        transport.write(checked_lines(lines))
        message, ahead = await read_head(reader, target)
        return HttpBody(message, reader, transport, target, config, ahead)
    except BaseException:
        transport.abort()
        raise


def detect_loss(transport: asyncio.Transport) -> None:
    """Enable TCP keep-alive."""
    connection = transport.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


async def read_head(reader: asyncio.StreamReader, target: RequestTarget) -> tuple[RtspMessage, bytes]:
    """Return the head of the response, and the received part of the body.

    A camera may close the connection in the middle of its head; the received headers still count.
    """
    data, is_open = b"", True
    while True:
        end = _HEAD_END.search(data)
        is_http = data.startswith(_VERSION[: len(data)]) and _VERSION.startswith(data[: len(_VERSION)])
        if end is None and is_open and is_http and len(data) <= MAX_HEAD_BYTES:
            try:
                more = await reader.read(_READ_BYTES)
            except OSError:
                more = b""
            data, is_open = (data + more).lstrip(), bool(more)
            continue
        if not data:
            raise SourceEndedError("The camera closed the connection instead of responding.")
        head = data[: end.end()] if end else data
        if len(head) > MAX_HEAD_BYTES or not head.startswith(_VERSION):
            raise NotACameraError(
                f"An SSH server answers at {target.authority}, not a camera: check the port."
                if head.startswith(b"SSH-")
                else f"{target.authority} does not answer as a web camera does: check the port."
            )
        message, data = parse_head(head)[0], data[len(head) :]
        if message.status >= 200:
            return message, data
        # 100 Continue, 103 Early Hints: the final response follows.


def check_status(status: int, *, has_login: bool) -> None:
    """Raises: SourceError: the response is not video. `has_login`: whether a user or password was available."""
    if status == 401:
        if has_login:
            raise AuthenticationError("The camera rejects the user name or password: check both.")
        raise AuthenticationError("The camera requires a user name and a password: add them.")
    if status == 403:
        raise AuthenticationError(
            "The camera does not allow this user to view: give the user permission to view."
        )
    if status in (404, 410):
        raise StreamNotFoundError("The camera has no stream at this path: check the path of the URL.")
    if status not in (200, 206):
        raise ProtocolError(sentence("The camera returned the HTTP status %(status)s.", status=status))
