"""Ending a connection whose peer takes nothing any more.

ASGI has no word for it, and a server that closes such a connection in order waits until TCP gives up; uvicorn then does
not stop either, and gunicorn only after its graceful time-out. So the server's transport is told, where it can be seen.
"""

from collections.abc import Iterator
from typing import Any

from ninjacam.front_door.messages import Scope, Send


def abort_connection(scope: Scope, send: Send) -> None:
    """Works with uvicorn and gunicorn (`-k asgi`); does nothing elsewhere, nor where streams share a connection."""
    if scope.get("http_version", "1.1") not in ("1.0", "1.1"):
        return
    transport = transport_of(send)
    if transport is not None:
        transport.abort()


def transport_of(send: Any) -> Any | None:
    """The transport that a server's `send` writes to, or None where it cannot be seen (granian).

    Duck-typed: uvloop's transports are not asyncio's.
    """
    for owner in _owners(send):
        transport = getattr(owner, "transport", None)
        if callable(getattr(transport, "abort", None)):
            return transport
    return None


def _owners(send: Any) -> Iterator[object]:
    """What `send` is a method of, or a function inside of."""
    yield getattr(send, "__self__", None)
    for cell in getattr(send, "__closure__", None) or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
