"""Finds the server's transport of a connection: to abort it if its peer no longer reads, and to see that it is closed.

ASGI has no message for this, and a server that closes such a connection normally waits until TCP times out; uvicorn
then cannot stop, and gunicorn only after its graceful timeout. So we abort the server's transport, if it can be
found.
"""

from collections.abc import Iterator
from typing import Any

from ninjacam.front_door.messages import Scope, Send


def abort_connection(scope: Scope, send: Send) -> None:
    """Abort the connection of `send`. Works with uvicorn and gunicorn (`-k asgi`); does nothing elsewhere, or if
    streams share a connection."""
    if scope.get("http_version", "1.1") not in ("1.0", "1.1"):
        return
    transport = transport_of(send)
    if transport is not None:
        transport.abort()


def has_left(send: Send) -> bool:
    """Return whether the connection of `send` is closed, or is being closed: nobody receives a response."""
    transport = transport_of(send)
    return transport is not None and transport.is_closing()


def transport_of(send: Any) -> Any | None:
    """Return the transport of a server's `send`, or None if it cannot be found (granian).

    Duck-typed, because uvloop's transports are not asyncio's.
    """
    for owner in _owners(send):
        transport = getattr(owner, "transport", None)
        if callable(getattr(transport, "abort", None)):
            return transport
    return None


def _owners(send: Any) -> Iterator[object]:
    """Yield the object of which `send` is a method, or the closure that contains it."""
    yield getattr(send, "__self__", None)
    for cell in getattr(send, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # An empty cell of the closure.
            continue
