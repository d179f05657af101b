"""The address of a client, also behind the proxies that the settings trust."""

from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

from ninjacam.live.abort import transport_of
from ninjacam.live.connections import Peer
from ninjacam.live.messages import Scope, header

MAX_FORWARDED_CHARS = 1000


def socket_peer(scope: Scope, send: Any) -> Peer | None:
    """The remote end of the request's TCP connection, which may be a proxy. None: there is none (a Unix socket)."""
    transport = transport_of(send)
    found = transport.get_extra_info("peername") if transport is not None else scope.get("client")
    if not isinstance(found, tuple | list) or len(found) < 2 or not found[1]:
        return None
    return (str(found[0]), int(found[1]))


def client_group(scope: Scope, trusted: tuple[str, ...]) -> str:
    """What limits per address count by: the client's IPv4 address or IPv6 network of 64 bits; "" where unknown.

    Servers that know of proxies (uvicorn) have replaced the proxy's address already; for the others X-Forwarded-For is
    read here, from the right, up to the first address that is not a trusted proxy.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    if not is_trusted(address, trusted):
        return _group(address)
    forwarded = header(scope, b"x-forwarded-for")[-MAX_FORWARDED_CHARS:]
    for each in reversed([part.strip() for part in forwarded.split(",")]):
        group = _group(each)
        if not group:
            break
        if not is_trusted(each, trusted):
            return group
    return _group(address)


@lru_cache(maxsize=4096)
def is_trusted(address: str, trusted: tuple[str, ...]) -> bool:
    """Whether it is the address of a trusted proxy, or none (a Unix socket, which only this host can reach)."""
    parsed = _parse(address)
    return parsed is None or any(parsed in ip_network(network) for network in trusted)


@lru_cache(maxsize=4096)
def _group(address: str) -> str:
    parsed = _parse(address)
    if parsed is None:
        return ""
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else parsed
