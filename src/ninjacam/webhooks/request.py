"""One POST request to a receiver: checked addresses, no redirects, bounded in time and size."""

import asyncio
import ipaddress
from collections.abc import Mapping
from contextlib import suppress

from ninjacam.core.errors import (
    ConfigError,
    ConnectionRefusedSourceError,
    ForbiddenAddressError,
    HostNotFoundError,
    NinjacamError,
    NotACameraError,
    SourceEndedError,
    SourceTimeoutError,
)
from ninjacam.core.redact import MASK, split_credentials
from ninjacam.sources import addresses
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.http_client import read_head
from ninjacam.sources.rtsp.messages import USER_AGENT, checked_lines
from ninjacam.sources.urls import RequestTarget, parse_url

TIMEOUT_S = 10.0
"""From the lookup of the name to the head of the response."""
MAX_URL_CHARS = 500
DRAIN_S = 0.3
"""Seconds, after the head of the response, in which its body is read and discarded."""
_DRAIN_BYTES = 1 << 16
_LIMIT_BYTES = 1 << 16

_MESSAGES: tuple[tuple[type[NinjacamError], str], ...] = (
    (
        ForbiddenAddressError,
        "The receiver has a link-local, multicast or metadata address, which is not allowed. "
        "Use another address of the receiver.",
    ),
    (HostNotFoundError, "The host of the receiver is unknown or unreachable. Check the URL and the network."),
    (
        ConnectionRefusedSourceError,
        "The receiver refuses connections. Check its port, and that it is running.",
    ),
    (SourceTimeoutError, "The receiver does not answer. Check its address and the network."),
    (SourceEndedError, "The receiver closed the connection without a response. Check its log."),
    (NotACameraError, "The receiver does not answer as a web server does. Check scheme and port of the URL."),
    (NinjacamError, "The connection to the receiver failed. Check its certificate, or its response."),
)
"""The errors of the camera client in the words of receivers. None of them contains the URL."""


class DeliveryError(NinjacamError):
    """An attempt has failed. `status`: of the HTTP response, if there was one. `is_final`: it is not tried again."""

    code = "delivery_failed"

    def __init__(self, message: str, status: int | None = None, *, is_final: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.is_final = is_final


def check_url(url: str) -> None:
    """Raises: ConfigError: it cannot be the URL of a receiver. The message does not contain the URL."""
    if MASK in url:
        raise ConfigError("“***” stands for the stored value. Enter the whole URL, or leave it unchanged.")
    if len(url) > MAX_URL_CHARS or not url.isascii():
        raise ConfigError(
            f"Use at most {MAX_URL_CHARS} characters of ASCII. Encode others with percent signs."
        )
    target = _target(url)
    if target.scheme not in ("http", "https"):
        raise ConfigError("The URL must start with http:// or https://.")
    with suppress(ValueError):  # A name is checked when it is looked up.
        address = ipaddress.ip_address(target.host.partition("%")[0])
        try:
            addresses.check_address(address, SourceConfig(""))
        except ForbiddenAddressError as error:
            raise ConfigError(_MESSAGES[0][1]) from error


def _target(url: str) -> RequestTarget:
    """Raises: ConfigError."""
    try:
        has_login = split_credentials(url)[0] != url
        target = parse_url(url)
    except (ConfigError, ValueError):  # Its text may contain the URL, or be about cameras.
        raise ConfigError("This is not a valid URL. Write it as https://host/path.") from None
    if has_login:
        raise ConfigError("The URL must not contain a user or password. Check the signature instead.")
    return target


async def post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    *,
    verify_tls: bool,
    timeout_s: float = TIMEOUT_S,
    check: addresses.Check | None = None,
) -> int:
    """Return the status of a response that accepts the delivery. `check`: of the receiver's addresses; None: all but
    link-local and metadata addresses. Raises: DeliveryError.
    """
    try:
        status = await _post(url, body, headers, verify_tls, timeout_s, check)
    except TimeoutError as error:
        raise DeliveryError(
            f"The receiver did not answer within {timeout_s:g} s. Answer first, and do slow work afterwards."
        ) from error
    except ConfigError as error:
        raise DeliveryError(error.message) from error
    except NinjacamError as error:
        message = next(text for kind, text in _MESSAGES if isinstance(error, kind))
        raise DeliveryError(message) from error
    except OSError as error:
        raise DeliveryError("The connection to the receiver broke off.") from error
    if 300 <= status < 400:
        raise DeliveryError("The receiver redirects, which is not followed. Enter its final URL.", status)
    if not 200 <= status < 300:
        raise DeliveryError(f"The receiver returned the HTTP status {status}. Check its log.", status)
    return status


class _ResponseProtocol(asyncio.StreamReaderProtocol):
    """A lost connection is the end of the response: the reader would otherwise raise, and hide what has arrived."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(None)


async def _post(
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    verify_tls: bool,
    timeout_s: float,
    check: addresses.Check | None,
) -> int:
    """Raises: TimeoutError: the head of the response has not arrived in time. How its body ends does not matter."""
    target = _target(url)
    reader = asyncio.StreamReader(limit=_LIMIT_BYTES)
    lines = [
        f"POST {target.path} HTTP/1.1",
        f"Host: {target.authority}",
        f"User-Agent: {USER_AGENT}",
        "Accept: */*",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in {"Content-Type": "application/json", **headers}.items()),
    ]
    transport: asyncio.Transport | None = None
    try:
        async with asyncio.timeout(timeout_s):
            transport, _ = await addresses.connect(
                lambda: _ResponseProtocol(reader),
                target.host,
                target.port,
                SourceConfig(url, verify_tls=verify_tls),
                tls=target.is_tls,
                check=check,
            )
            transport.write(checked_lines(lines) + body)
            message, ahead = await read_head(reader, target)
        # After the deadline: a response that was in time must not fail, and be sent again, because of its body.
        await _drain(reader, len(ahead))
        return message.status
    finally:
        if transport is not None:
            transport.abort()


async def _drain(reader: asyncio.StreamReader, read_bytes: int) -> None:
    """Read a short body, because receivers log an error if the connection is reset before they have sent it."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(DRAIN_S):
            while read_bytes < _DRAIN_BYTES and (data := await reader.read(_DRAIN_BYTES)):
                read_bytes += len(data)
