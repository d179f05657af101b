"""A server of stream connections that has closed every accepted connection when `close` returns.

`asyncio.start_server` does not: with Python 3.11, a connection that was accepted shortly before `Server.close` fails in
asyncio and stays open, or is served after the end. Remove this module when the oldest supported Python is 3.13, and
call `Server.close_clients`.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ACCEPT_RETRY_S = 1.0
"""After a connection could not be accepted for lack of memory or file descriptors."""

logger = logging.getLogger("ninjacam.core")


class ConnectionServer:
    """Accepts connections of `listener`, which it owns, from `start` to `close`. Thread: the event loop.

    `handler(reader, writer)` serves a connection, which is closed when it returns: what is buffered is sent first,
    unless the server ends. An OSError or an unexpected end of the input ends a connection; other errors are logged.
    `limit`: bytes, of the buffer of a reader. More than `max_connections` connections are closed at once.
    """

    def __init__(
        self,
        handler: Handler,
        listener: socket.socket,
        *,
        limit: int = 1 << 16,
        max_connections: int = 1_000,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        listener.setblocking(False)
        self._handler = handler
        self._listener = listener
        self._limit = limit
        self._max_connections = max_connections
        self._tls = tls
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._retry = None
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                logger.warning("A connection could not be accepted: %s", error)
                loop.remove_reader(self._listener)
                self._retry = loop.call_later(ACCEPT_RETRY_S, self.start)
            return  # Otherwise the client has left.
        if len(self._connections) >= self._max_connections:
            sock.close()
            return
        sock.setblocking(False)
        task = loop.create_task(self._serve(sock), name="connection")
        self._connections[task] = sock
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Also for a task that was cancelled before its first step, of which no `finally` runs.
        self._connections.pop(task).close()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("A connection ended with an error", exc_info=error)

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=self._limit)
        protocol = asyncio.StreamReaderProtocol(reader)
        with suppress(OSError, asyncio.IncompleteReadError):
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._tls)
            writer = asyncio.StreamWriter(transport, protocol, reader, loop)
            try:
                await self._handler(reader, writer)
                writer.close()
                await writer.wait_closed()
            finally:
                transport.abort()

    def drop(self) -> None:
        """Cut all connections, without sending what is buffered."""
        for task in self._connections:
            task.cancel()

    async def close(self) -> None:
        """Close the listener and all connections. Idempotent."""
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        if self._retry is not None:
            self._retry.cancel()
        tasks = list(self._connections)
        self.drop()
        # Aborted transports close their sockets, and `_ended` the others, before this returns: their callbacks were
        # scheduled earlier.
        await asyncio.gather(*tasks, return_exceptions=True)
