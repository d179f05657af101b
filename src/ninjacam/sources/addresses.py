"""Restricts the addresses of cameras: resolve once, check every address, connect to a checked one.

A name that resolves to any forbidden address is refused, so that a second lookup cannot yield another address.
"""

import asyncio
import errno
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import TypeAlias, TypeVar

from ninjacam.core.errors import (
    ConfigError,
    ConnectionRefusedSourceError,
    ForbiddenAddressError,
    HostNotFoundError,
    NotACameraError,
    ProtocolError,
    SourceError,
    SourceTimeoutError,
)
from ninjacam.core.texts import sentence
from ninjacam.sources.base import SourceConfig

IpAddress: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)
Check: TypeAlias = Callable[[IpAddress], None]
"""Raises ForbiddenAddressError."""

MAX_ADDRESSES = 8
# Metadata services of clouds: never allowed, even if their network is.
_METADATA = frozenset(
    map(
        ipaddress.ip_address,
        ("169.254.169.254", "169.254.170.2", "100.100.100.200", "192.0.0.192", "fd00:ec2::254"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNREACHABLE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.EADDRNOTAVAIL})


async def resolve(
    host: str, port: int, config: SourceConfig, check: Check | None = None
) -> tuple[IpAddress, ...]:
    """Return the addresses of `host` in the resolver's order, all of them allowed by `config` or, if given, `check`.

    A lookup that hangs blocks only its own daemon thread, so set a deadline.
    Raises: HostNotFoundError; ForbiddenAddressError.
    """
    try:
        found: Iterable[IpAddress] = (ipaddress.ip_address(host.partition("%")[0]),)
    except ValueError:
        found = await _look_up(host, port)
    addresses = tuple(dict.fromkeys(found))[:MAX_ADDRESSES]
    for address in addresses:
        if check is None:
            check_address(address, config)
        else:
            check(address)
    return addresses


async def _look_up(host: str, port: int) -> list[IpAddress]:
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[list[IpAddress] | OSError] = loop.create_future()

    def finish(result: list[IpAddress] | OSError) -> None:
        if not answer.done():
            answer.set_result(result)

    def run() -> None:
        result: list[IpAddress] | OSError
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            result = [ipaddress.ip_address(str(info[4][0]).partition("%")[0]) for info in infos]
        except (OSError, UnicodeError, ValueError) as exc:
            result = exc if isinstance(exc, OSError) else OSError(str(exc))
        if not loop.is_closed():
            loop.call_soon_threadsafe(finish, result)

    threading.Thread(target=run, name=f"resolve-{host}"[:40], daemon=True).start()
    found = await answer
    if isinstance(found, OSError) or not found:
        raise HostNotFoundError(
            sentence("Host %(host)s not found: check the name, or use its IP address.", host=host)
        )
    return found


def check_address(address: IpAddress, config: SourceConfig) -> None:
    """Raises: ForbiddenAddressError: cameras are not allowed there; ConfigError: a network of the list is malformed."""
    inner = _embedded(address)
    if inner in _METADATA or inner.is_multicast or inner.is_unspecified:
        raise ForbiddenAddressError(
            sentence("%(address)s cannot be the address of a camera.", address=address)
        )
    if config.allowed_networks:
        try:
            networks = [ipaddress.ip_network(network, strict=False) for network in config.allowed_networks]
        except ValueError as exc:
            raise ConfigError(
                sentence("The list of allowed camera networks is invalid: %(reason)s.", reason=exc)
            ) from exc
        if not any(inner in network for network in networks):
            raise ForbiddenAddressError(
                sentence(
                    "%(address)s is outside of the networks that are allowed for cameras.", address=address
                )
            )
    elif inner.is_link_local:
        raise ForbiddenAddressError(
            sentence(
                "%(address)s is a link-local address: allow its network explicitly if a camera is there.",
                address=address,
            )
        )


def check_public_address(
    address: IpAddress, *, networks: Iterable[str], is_public_enough: bool = True
) -> None:
    """Check the address of a server whose URL comes from users. `networks`: allowed besides public addresses or,
    unless `is_public_enough`, instead of them. Raises: ForbiddenAddressError.
    """
    inner = _embedded(address)
    if inner in _METADATA or inner.is_multicast or inner.is_unspecified:
        raise ForbiddenAddressError(sentence("%(address)s is not allowed.", address=address))
    is_public = inner.is_global and not inner.is_reserved
    if (is_public and is_public_enough) or any(inner in ipaddress.ip_network(each) for each in networks):
        return
    raise ForbiddenAddressError(sentence("%(address)s is not allowed.", address=address))


def _embedded(address: IpAddress) -> IpAddress:
    """Return the IPv4 address embedded in an IPv6 address, which is the actual destination, or the address itself."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        return address.ipv4_mapped or address.sixtofour or address
    return address


def tls_context(config: SourceConfig) -> ssl.SSLContext:
    """Return the TLS context for a camera. Reads the system's certificates (tens of ms): call it in a thread."""
    context = ssl.create_default_context()
    if not config.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def connect(
    factory: Callable[[], _Protocol],
    host: str,
    port: int,
    config: SourceConfig,
    *,
    tls: bool,
    check: Check | None = None,
) -> tuple[asyncio.Transport, _Protocol]:
    """Connect to the first address of `host` that responds. `check`: of its addresses, instead of the one for cameras.

    Raises: HostNotFoundError, ForbiddenAddressError, ConnectionRefusedSourceError, NotACameraError, ProtocolError.
    The caller sets the deadline.
    """
    addresses = await resolve(host, port, config, check)
    context = await asyncio.to_thread(tls_context, config) if tls else None
    loop = asyncio.get_running_loop()
    failure: Exception | None = None
    for address in addresses:
        try:
            return await loop.create_connection(
                factory, str(address), port, ssl=context, server_hostname=host if tls else None
            )
        except OSError as exc:  # Includes ssl.SSLError.
            failure = exc
    raise translate_os_error(failure or OSError(), host, port) from failure


def translate_os_error(exc: Exception, host: str, port: int) -> SourceError:
    """Return our error for a socket error. This is the only mapping."""
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ProtocolError(
            sentence(
                "The certificate of %(host)s cannot be verified (%(reason)s): switch the "
                "verification off for this camera if it is self-signed.",
                host=host,
                reason=exc.verify_message,
            )
        )
    if isinstance(exc, ssl.SSLError):
        return NotACameraError(
            sentence(
                "%(host)s:%(port)s does not speak TLS: try the URL without the s (rtsp:, http:).",
                host=host,
                port=port,
            )
        )
    if isinstance(exc, ConnectionRefusedError):
        return ConnectionRefusedSourceError(
            sentence(
                "%(host)s answers, but nothing listens on port %(port)s: check the port, and that "
                "streaming is on.",
                host=host,
                port=port,
            )
        )
    if isinstance(exc, TimeoutError):
        return SourceTimeoutError(
            sentence(
                "%(host)s does not answer on port %(port)s: check the address and the network.",
                host=host,
                port=port,
            )
        )
    if isinstance(exc, OSError) and exc.errno in _UNREACHABLE:
        return HostNotFoundError(
            sentence("%(host)s cannot be reached from here: check the address and the network.", host=host)
        )
    return ProtocolError(
        sentence(
            "The connection to %(host)s:%(port)s broke off (%(name)s).",
            host=host,
            port=port,
            name=type(exc).__name__,
        )
    )
