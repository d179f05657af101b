"""Who is at the other end of a request: of its TCP connection, and behind the proxies that are trusted."""

import hashlib
from typing import Any

from django.conf import settings
from django.http.cookie import parse_cookie

from ninjacam.front_door.abort import transport_of
from ninjacam.front_door.connections import Peer
from ninjacam.front_door.messages import Scope, header
from ninjacam.throttle import client_address, network_of


def socket_peer(scope: Scope, send: Any) -> Peer | None:
    """The remote end of the TCP connection, which may be a proxy. None: there is none (a Unix socket)."""
    transport = transport_of(send)
    found = transport.get_extra_info("peername") if transport is not None else scope.get("client")
    if not isinstance(found, tuple | list) or len(found) < 2 or not found[1]:
        return None
    return (str(found[0]), int(found[1]))


def client_network(scope: Scope) -> str:
    """What limits per address count by; "" for all that comes from this host without a forwarded address.

    Servers that know of proxies (uvicorn) have put the forwarded address into the scope already.
    """
    client = scope.get("client")
    address = str(client[0]) if client else ""
    return network_of(client_address(address, header(scope, b"x-forwarded-for")))


def claimed_user(scope: Scope) -> str:
    """Distinguish the users of an address before they are authenticated; "" for requests without credentials.

    A digest of the session cookie, or else of the Authorization header. A client that invents many still has only
    the places of one address.
    """
    shown = parse_cookie(header(scope, b"cookie")).get(settings.SESSION_COOKIE_NAME) or header(
        scope, b"authorization"
    )
    return hashlib.sha256(shown.encode("utf-8", "surrogatepass")).hexdigest() if shown else ""
