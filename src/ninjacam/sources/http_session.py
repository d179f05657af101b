"""HTTP requests over a persistent connection, for commands, where latency matters.

Not here: media, which `http_client` reads over separate connections.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import quote, urljoin

from ninjacam.core.errors import ProtocolError, SourceEndedError, SourceTimeoutError
from ninjacam.core.texts import sentence
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_client import HttpBody, detect_loss, read_head
from ninjacam.sources.rtsp.messages import USER_AGENT, RtspMessage, checked_lines
from ninjacam.sources.urls import RequestTarget, parse_url, redirect_target

MAX_BODY_BYTES = 2 << 20
"""Maximum size of a response. The profiles of a recorder with 64 channels take about 400 KB."""
MAX_REDIRECTS = 2
_REDIRECTS = (301, 302, 303, 307, 308)
_LIMIT_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A whole response. `headers`: names in lower case."""

    status: int
    body: bytes
    headers: dict[str, list[str]] = field(default_factory=dict)

    def header(self, name: str) -> str:
        return (self.headers.get(name) or [""])[0]


@dataclass(slots=True)
class _Connection:
    reader: asyncio.StreamReader
    transport: asyncio.Transport
    key: tuple[str, str, int]
    used: bool = False

    @property
    def is_open(self) -> bool:
        return not (self.transport.is_closing() or self.reader.at_eof() or self.reader.exception())


class HttpSession:
    """One connection to a camera's web server. Requests are sent one at a time. Thread: the event loop.

    The password is sent as a digest, and by HTTP Basic only over TLS: the web server at the camera's address need
    not be the camera's. With `digest_only` False, HTTP Basic is always allowed; use it for a server that the user
    has specified.

    Each request, with its redirects and its login, ends within `timeout_s`. Redirects are followed only within the
    same host.
    """

    def __init__(
        self,
        config: SourceConfig,
        *,
        timeout_s: float = 5.0,
        max_body_bytes: int = MAX_BODY_BYTES,
        digest_only: bool | None = None,
    ) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._max_body_bytes = max_body_bytes
        if digest_only is None:
            digest_only = not config.url.lower().startswith("https:")
        self._auth = Authenticator(config.username, config.password, digest_only=digest_only)
        self._connection: _Connection | None = None
        self._turn = asyncio.Lock()

    @property
    def is_challenged(self) -> bool:
        """Return whether the camera has requested an HTTP login, which later requests then contain."""
        return self._auth.is_challenged

    async def request(
        self,
        method: str,
        url: str,
        make_body: Callable[[], bytes] = lambda: b"",
        headers: Iterable[str] = (),
        *,
        timeout_s: float | None = None,
    ) -> HttpResponse:
        """Send a request and return the response, whatever its status. `make_body` is called for each attempt.

        If the camera closed the idle connection meanwhile, the request is sent again. Raises: SourceError;
        ConfigError: the URL is invalid.
        """
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        target, headers = parse_url(url), tuple(headers)
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                return await self._request(method, target, make_body, headers)
        except TimeoutError as exc:
            raise SourceTimeoutError(
                sentence(
                    "The camera did not answer within %(timeout_s)s s: check its power and its network.",
                    timeout_s=f"{timeout_s:g}",
                )
            ) from exc

    async def _request(
        self, method: str, target: RequestTarget, make_body: Callable[[], bytes], headers: tuple[str, ...]
    ) -> HttpResponse:
        redirects = 0
        self._auth.reconnect()
        while True:
            response = await self._exchange(method, target, make_body, headers)
            location = response.header("location")
            if response.status in _REDIRECTS and location:
                redirects += 1
                if redirects > MAX_REDIRECTS:
                    raise ProtocolError("The camera redirects too often.")
                target = _redirected(target, location)
                continue
            challenges = response.headers.get("www-authenticate", [])
            if response.status == 401 and self._auth.take_challenge(challenges):
                continue
            return response

    async def _exchange(
        self, method: str, target: RequestTarget, make_body: Callable[[], bytes], headers: tuple[str, ...]
    ) -> HttpResponse:
        connection = await self._connected(target)
        try:
            was_used, connection.used = connection.used, True
            try:
                connection.transport.write(self._encode(method, target, make_body(), headers))
                message, ahead = await read_head(connection.reader, target)
            except SourceEndedError:
                if not was_used:
                    raise
                # The camera closed the idle connection while the request was being sent.
                connection.transport.abort()
                connection = await self._connected(target)
                connection.used = True
                connection.transport.write(self._encode(method, target, make_body(), headers))
                message, ahead = await read_head(connection.reader, target)
            return await self._read(connection, message, ahead, target)
        except BaseException:  # Later data on this connection would belong to another request.
            self.close()
            raise

    async def _connected(self, target: RequestTarget) -> _Connection:
        key = (target.scheme, target.host, target.port)
        connection = self._connection
        if connection is not None and connection.key == key and connection.is_open:
            return connection
        self.close()
        reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
        transport, _ = await addresses.connect(
            lambda: asyncio.StreamReaderProtocol(reader),
            target.host,
            target.port,
            self._config,
            tls=target.is_tls,
        )
        detect_loss(transport)
        self._connection = _Connection(reader, transport, key)
        return self._connection

    def _encode(self, method: str, target: RequestTarget, body: bytes, headers: tuple[str, ...]) -> bytes:
        lines = [f"{method} {target.path} HTTP/1.1", f"Host: {target.authority}", f"User-Agent: {USER_AGENT}",
                 "Accept: */*", "Accept-Encoding: identity", "Connection: keep-alive", *headers]  # fmt: skip
        if body or method != "GET":
            lines.append(f"Content-Length: {len(body)}")
        authorization = self._auth.header(method, target.path)
        if authorization:
            lines.append(f"Authorization: {authorization}")
        return checked_lines(lines) + body

    async def _read(
        self, connection: _Connection, message: RtspMessage, ahead: bytes, target: RequestTarget
    ) -> HttpResponse:
        body = HttpBody(message, connection.reader, connection.transport, target, self._config, ahead)
        data = bytearray()
        has_body = message.status not in (204, 304)
        if has_body and body.left_bytes > self._max_body_bytes:
            raise self._too_long()
        while has_body and not body.is_complete:
            piece = await body.read(limit_s=self._timeout_s)
            if not piece:
                break
            data += piece
            if len(data) > self._max_body_bytes:
                raise self._too_long()
        stays = "close" not in message.header("connection").lower()
        if not (stays and (body.is_complete or not has_body)):
            self.close()
        return HttpResponse(message.status, bytes(data), message.headers)

    def _too_long(self) -> ProtocolError:
        return ProtocolError(
            sentence(
                "The camera's answer is longer than %(limit)s KB, so it is not read.",
                limit=self._max_body_bytes >> 10,
            )
        )

    def close(self) -> None:
        """Close the connection. The next request opens another one. Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.transport.abort()


def _redirected(now: RequestTarget, location: str) -> RequestTarget:
    """Raises: ProtocolError: the target is malformed, or on another host."""
    try:
        url = urljoin(now.uri, quote(location.strip(), safe="%/:?#[]@!$&'()*+,;=~"))
    except ValueError as exc:
        raise ProtocolError("The camera redirects to a malformed address.") from exc
    target = redirect_target(now, url, ("http", "https"))
    if target.host != now.host:
        raise ProtocolError(
            "The camera redirects to another host, which is not followed. Enter that address if it is the camera's."
        )
    return target
