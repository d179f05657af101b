"""ASGI types, and functions for ASGI messages that several handlers share."""

import contextlib
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

STOPPING = "ninjacam.stopping"
"""Key in the scope of Django's requests: an asyncio.Event that is set when the server stops. Endless responses must
then end."""


def header(scope: Scope, name: bytes) -> str:
    """Return the first header with this lower-case name; "" if there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


async def wait_for_disconnect(receive: Receive) -> None:
    """Return when the client has disconnected. Discards all data that it sends meanwhile."""
    with contextlib.suppress(OSError, RuntimeError):  # From the server: the connection is closed.
        while (await receive())["type"] != "http.disconnect":
            pass
