"""A small HTTP/1.1 client: one GET, to addresses that were checked, with a login and a few redirects.

Not here: what a body means (`http_mjpeg`, `ffmpeg_http`).
"""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from ninjacam.core.errors import (
    AuthenticationError,
    NotACameraError,
    ProtocolError,
    SourceEndedError,
    SourceError,
    SourceStalledError,
    StreamNotFoundError,
)
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.multipart import Dechunker
from ninjacam.sources.rtsp.messages import MAX_HEAD_BYTES, USER_AGENT, Message, checked_lines, parse_head
from ninjacam.sources.urls import Target, parse_url, redirect_target

MAX_REDIRECTS = 3
_SCHEMES = ("http", "https")
_READ_BYTES = 1 << 16
_LIMIT_BYTES = 1 << 18


class HttpBody:
    """An answer of status 200 or 206 whose body has begun. `target`: where the redirects have led.

    `config`: the camera's; without its credentials where another host answers.
    """

    def __init__(
        self,
        message: Message,
        reader: asyncio.StreamReader,
        transport: asyncio.Transport,
        target: Target,
        config: SourceConfig,
    ) -> None:
        self.message = message
        self.target = target
        self.config = config
        self._reader = reader
        self._transport = transport
        chunked = "chunked" in message.header("transfer-encoding").lower()
        self._dechunker = Dechunker() if chunked else None
        length = message.header("content-length")
        # Of an endless body (multipart), what some cameras write there is wrong.
        is_finite = length.isdecimal() and not chunked and not self.content_type.startswith("multipart/")
        self._left_bytes = int(length[:18]) if is_finite else None

    @property
    def content_type(self) -> str:
        return self.message.header("content-type").lower()

    async def read(self) -> bytes:
        """What comes next, at least a byte; b"": it has ended.

        Raises: SourceStalledError: nothing for `read_timeout_s`; SourceEndedError; ProtocolError.
        """
        if self._left_bytes == 0:
            return b""
        limit_s = self.config.read_timeout_s
        try:
            async with asyncio.timeout(limit_s):
                while data := await self._reader.read(_READ_BYTES):
                    if self._left_bytes is not None:
                        data = data[: self._left_bytes]
                        self._left_bytes -= len(data)
                    if self._dechunker is None:
                        return data
                    if plain := self._dechunker.feed(data):
                        return plain
                    if self._dechunker.ended:
                        break
        except TimeoutError as exc:
            raise SourceStalledError(f"The camera has sent nothing for {limit_s:g} s.") from exc
        except OSError as exc:
            raise SourceEndedError("The connection to the camera broke off.") from exc
        return b""

    def close(self) -> None:
        """Idempotent."""
        with suppress(OSError):
            self._transport.abort()


async def get(url: str, config: SourceConfig, *, headers: Iterable[str] = ()) -> HttpBody:
    """Ask for `url`, and go where it leads. The deadline is the caller's.

    Raises: SourceError; ConfigError: the URL is wrong.
    """
    target = parse_url(url)
    auth = Authenticator(config.username, config.password)
    redirects = 0
    for _ in range(2 * MAX_REDIRECTS + 3):
        body = await _get(target, auth, config, headers)
        message = body.message
        if message.status in (301, 302, 303, 307, 308) and message.header("location"):
            body.close()
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
            body.close()
            continue
        try:
            _check(message.status, auth)
        except SourceError:
            body.close()
            raise
        return body
    raise ProtocolError("The camera redirects again and again.")


async def _get(target: Target, auth: Authenticator, config: SourceConfig, headers: Iterable[str]) -> HttpBody:
    reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
    transport, _ = await addresses.connect(
        lambda: asyncio.StreamReaderProtocol(reader), target.host, target.port, config, tls=target.is_tls
    )
    lines = [f"GET {target.path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {USER_AGENT}",
             "Accept: */*", "Connection: close", *headers]  # fmt: skip
    authorization = auth.header("GET", target.path)
    if authorization:
        lines.append(f"Authorization: {authorization}")
    try:
        transport.write(checked_lines(lines))
        return HttpBody(await _read_head(reader, target), reader, transport, target, config)
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


def _check(status: int, auth: Authenticator) -> None:
    """Raises: SourceError: the answer is no video."""
    if status == 401:
        if auth.has_credentials:
            raise AuthenticationError("The camera refuses the user name or the password: check both.")
        raise AuthenticationError("The camera wants a user name and a password: add them.")
    if status == 403:
        raise AuthenticationError("The camera forbids this user to watch: give the user the right to view.")
    if status in (404, 410):
        raise StreamNotFoundError("The camera has no stream at this path: check the path of the URL.")
    if status not in (200, 206):
        raise ProtocolError(f"The camera answered with the HTTP status {status}.")
