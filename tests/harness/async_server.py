"""TCP servers in the test's own event loop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ninjacam.core.connection_server import ConnectionServer, Handler


@asynccontextmanager
async def listening(
    handler: Handler, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve connections, and yield the port. At the end, all connections are closed.

    Raises: the first error of a handler that is neither an OSError nor an unexpected end of the input.
    """
    errors: list[Exception] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        except Exception as error:
            errors.append(error)

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host.strip("[]"), port), family=family, backlog=128)
    server = ConnectionServer(serve, listener, tls=tls)
    server.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        await server.close()
        if errors:
            raise errors[0]
