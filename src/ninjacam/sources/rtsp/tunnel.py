"""RTSP in HTTP, for cameras behind firewalls: `rtsp+http://host/path` (Apple, "Tunnelling RTSP and RTP over HTTP").

The camera sends all data in the response to a GET request. Our messages are the body of a POST request on a second
connection, in base64. The header x-sessioncookie links the two. Not here: the messages (`rtsp.connection`).
"""

import asyncio
import base64
import secrets
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    AuthenticationError,
    NotACameraError,
    ProtocolError,
    SourceEndedError,
    SourceError,
)
from ninjacam.core.texts import sentence
from ninjacam.sources import addresses
from ninjacam.sources.auth import Authenticator
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_client import check_status, detect_loss, read_head
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.messages import USER_AGENT, checked_lines
from ninjacam.sources.urls import RequestTarget

POST_LENGTH_BYTES = 32_767
"""The Content-Length that all clients tested by camera makers send. It is not a limit: the body does not end.
"""
_LIMIT_BYTES = 1 << 16
_TYPE = "application/x-rtsp-tunnelled"


async def connect_tunnel(target: RequestTarget, config: SourceConfig, clock: Clock) -> RtspConnection:
    """Open both connections. The caller sets the deadline. Raises: SourceError."""
    auth = Authenticator(config.username, config.password)
    cookie = secrets.token_hex(11)
    receiving, ahead = await _get(target, auth, config, cookie)
    try:
        connection = RtspConnection(clock, target.host)
        _, sending = await addresses.connect(
            lambda: _PostProtocol(connection.fail), target.host, target.port, config, tls=target.is_tls
        )
        sending.write(
            _request("POST", target, auth, cookie, f"Content-Type: {_TYPE}", f"Content-Length: {POST_LENGTH_BYTES}",
                     "Expires: Sun, 9 Jan 1972 00:00:00 GMT")
        )  # fmt: skip
    except BaseException:
        receiving.abort()
        raise
    connection.connection_made(_TunnelTransport(receiving, sending))
    receiving.set_protocol(connection)
    if ahead:
        connection.get_buffer(-1)[: len(ahead)] = ahead
        connection.buffer_updated(len(ahead))
    return connection


async def _get(
    target: RequestTarget, auth: Authenticator, config: SourceConfig, cookie: str
) -> tuple[asyncio.Transport, bytes]:
    """Return the connection on which the camera sends, and the data received so far. Raises: SourceError."""
    while True:
        reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
        transport, _ = await addresses.connect(
            lambda reader=reader: asyncio.StreamReaderProtocol(reader),  # type: ignore[misc]  # the loop's own
            target.host,
            target.port,
            config,
            tls=target.is_tls,
        )
        try:
            detect_loss(transport)
            transport.write(_request("GET", target, auth, cookie, f"Accept: {_TYPE}"))
            message, ahead = await read_head(reader, target)
            if message.status == 401 and auth.take_challenge(message.headers.get("www-authenticate", [])):
                transport.abort()
                continue
            _check(message.status, message.header("content-type"), auth)
        except BaseException:
            transport.abort()
            raise
        return transport, ahead


def _check(status: int, content_type: str, auth: Authenticator) -> None:
    """Raises: SourceError: the camera does not open a tunnel."""
    if status in (401, 403):
        check_status(status, has_login=auth.has_credentials)
    if status != 200:
        raise ProtocolError(
            sentence(
                "The camera does not offer RTSP over HTTP at this address (status %(status)s): use its "
                "rtsp: URL.",
                status=status,
            )
        )
    if "rtsp" not in content_type.lower():
        raise NotACameraError(
            "A web server answers there, without RTSP over HTTP: use the camera's rtsp: URL."
        )


def _request(method: str, target: RequestTarget, auth: Authenticator, cookie: str, *headers: str) -> bytes:
    authorization = auth.header(method, target.path)
    return checked_lines(
        [
            f"{method} {target.path} HTTP/1.0",
            f"Host: {target.http_authority}",
            f"User-Agent: {USER_AGENT}",
            f"x-sessioncookie: {cookie}",
            "Pragma: no-cache",
            "Cache-Control: no-cache",
            *headers,
            *([f"Authorization: {authorization}"] if authorization else []),
        ]
    )


class _PostProtocol(asyncio.Protocol):
    """The connection on which we send. `fail(error)`: ends the tunnel. The camera sends only errors on it."""

    def __init__(self, fail: Callable[[SourceError], None]) -> None:
        self._fail = fail
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        detect_loss(self._transport)

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    @property
    def transport(self) -> asyncio.Transport:
        assert self._transport is not None
        return self._transport

    def data_received(self, data: bytes) -> None:
        status = data[9:12] if data.startswith(b"HTTP/1.") else b""
        if status in (b"401", b"403"):
            self._fail(AuthenticationError("The camera rejects the user name or password: check both."))
        elif status[:1] in (b"4", b"5"):
            self._fail(
                ProtocolError("The camera refuses the requests of the RTSP tunnel: use its rtsp: URL.")
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(SourceEndedError("The camera closed the connection of the RTSP tunnel."))


class _TunnelTransport(asyncio.Transport):
    """Both connections as one: receives on the first, sends on the second."""

    def __init__(self, receiving: asyncio.Transport, sending: _PostProtocol) -> None:
        super().__init__()
        self._receiving = receiving
        self._sending = sending.transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._sending.write(base64.b64encode(data))

    def get_write_buffer_size(self) -> int:
        return self._sending.get_write_buffer_size()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._receiving.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._receiving.is_closing() or self._sending.is_closing()

    def pause_reading(self) -> None:
        if not self._receiving.is_closing():
            self._receiving.pause_reading()

    def resume_reading(self) -> None:
        if not self._receiving.is_closing():
            self._receiving.resume_reading()

    def close(self) -> None:
        self._receiving.close()
        self._sending.close()

    def abort(self) -> None:
        for transport in (self._receiving, self._sending):
            with suppress(OSError):
                transport.abort()
