"""A TCP server in the test's own event loop that closes every connection it has accepted before its `async with` ends.

`asyncio.start_server` does not: `Server.close` leaves accepted connections open, and a connection that was accepted
shortly before the end of `asyncio.run` has a handler task that is cancelled before its first step, so no `finally`
closes its socket. The garbage collector then reports the socket in a later test, which fails. Remove this module when
the oldest supported Python is 3.13 and its users call `Server.close_clients`.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class AsyncServer:
    """Accepts connections from `start` to `close`. Each is served by `handler`, and aborted when that has returned.

    An OSError or an unexpected end of the input ends a connection; other errors of the handler are raised by `close`.
    """

    def __init__(
        self, handler: Handler, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
    ) -> None:
        self._handler = handler
        self._tls = tls
        self._connections: dict[asyncio.Task[None], socket.socket] = {}
        self._failures: list[BaseException] = []
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host.strip("[]"), port), family=family, backlog=128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError:  # The client has left.
            return
        sock.setblocking(False)
        task = asyncio.get_running_loop().create_task(self._serve(sock), name="test-server-connection")
        self._connections[task] = sock
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        # Also of a task that was cancelled before its first step, which no `finally` of `_serve` sees.
        self._connections.pop(task).close()
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failures.append(error)

    async def _serve(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
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

    async def close(self) -> None:
        """Close the listener and all connections. Idempotent. Raises: the first error of a handler."""
        if self._listener.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        # Aborted transports close their sockets, and `_ended` the others, before this returns: their callbacks were
        # scheduled earlier.
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._failures:
            raise self._failures.pop(0)


@asynccontextmanager
async def listening(
    handler: Handler, host: str = "127.0.0.1", port: int = 0, *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """Serve connections as an `AsyncServer` does. Yield the port."""
    server = AsyncServer(handler, host, port, tls=tls)
    server.start()
    try:
        yield server.port
    finally:
        await server.close()
