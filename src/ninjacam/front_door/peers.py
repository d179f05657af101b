"""The peer of a request: of its TCP connection, and the client behind trusted proxies."""

import hashlib
from typing import Any

from django.conf import settings
from django.http.cookie import parse_cookie

from ninjacam.front_door.abort import transport_of
from ninjacam.front_door.connections import Peer
from ninjacam.front_door.messages import Scope, header
from ninjacam.throttle import client_address, network_of


def socket_peer(scope: Scope, send: Any) -> Peer | None:
    """Return the remote end of the TCP connection, which may be a proxy. None: there is none (a Unix socket)."""
    transport = transport_of(send)
    found = transport.get_extra_info("peername") if transport is not None else scope.get("client")
    if not isinstance(found, tuple | list) or len(found) < 2 or not found[1]:
        return None
    return (str(found[0]), int(found[1]))


def client_network(scope: Scope) -> str:
    """Return the key for limits per address; "" for requests from this host without a forwarded address.

    Servers that support proxies (uvicorn) have already put the forwarded address into the scope.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    return network_of(client_address(address, header(scope, b"x-forwarded-for")))


def claimed_user(scope: Scope) -> str:
    """Return a key that distinguishes the users of an address before they are authenticated; "" for requests without
    credentials.

    It is a digest of the session cookie, or else of the Authorization header. A client that invents many keys still
    has only the slots of one address.
    """
    shown = parse_cookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME) or header(
        scope, b"authorization"
    )
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest() if shown else ""
