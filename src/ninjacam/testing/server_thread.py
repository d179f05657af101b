"""A server with an event loop in a daemon thread of its own, usable from the code of a plain test."""

import asyncio
import contextlib
import socket
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ninjacam.core.connection_server import ConnectionServer

_TIMEOUT_S = 10.0


class ServerThread(ABC):
    """`start` and `stop` it, or use it in a `with`, or await `serve` in a loop of yours. Can be started again."""

    def __init__(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        self.host = host
        self.port = port
        self._ssl_context = ssl_context
        self._server: ConnectionServer | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it is closed afterwards. Raises: OSError, errors of the reader: end the connection."""

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until `request_stop` or cancellation. Raises: OSError: the port is taken."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        listener = socket.create_server((self.host, self.port), backlog=128)
        self.port = listener.getsockname()[1]
        server = ConnectionServer(self._serve_connection, listener, limit=1 << 17, tls=self._ssl_context)
        self._server = server
        server.start()
        try:
            on_ready()
            await self._stopping.wait()
        finally:
            self._server = None
            await server.close()

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that does not speak our protocol.
        with contextlib.suppress(asyncio.LimitOverrunError, ValueError):
            await self._connected(reader, writer)

    def _drop(self) -> None:
        if self._server:
            self._server.drop()

    def drop(self) -> None:
        """Cut all connections, without a word."""
        self.call(self._drop)

    def start(self) -> None:
        """Raises: OSError: the port is taken."""
        failures: list[OSError] = []
        ready = threading.Event()

        def run() -> None:
            try:
                with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
                    runner.run(self.serve(ready.set))
            except OSError as error:
                failures.append(error)
            ready.set()

        self._thread = threading.Thread(target=run, name=type(self).__name__, daemon=True)
        self._thread.start()
        if not ready.wait(_TIMEOUT_S):
            raise TimeoutError("The server did not start.")
        if failures:
            self._thread.join()
            raise failures[0]

    def stop(self) -> None:
        """Idempotent."""
        self.request_stop()
        if self._thread:
            self._thread.join(_TIMEOUT_S)
        self._thread = None

    def request_stop(self) -> None:
        """End `serve`, without waiting for it."""
        if self._loop and self._stopping and not self._loop.is_closed():
            with contextlib.suppress(RuntimeError):  # it is ending by itself
                self._loop.call_soon_threadsafe(self._stopping.set)

    def call(self, do: Callable[[], None]) -> None:
        """Run `do` in the server's loop and wait for it; at once where that loop is this thread's, or none runs."""
        loop, thread = self._loop, self._thread
        if loop is None or loop.is_closed() or thread is None or threading.current_thread() is thread:
            do()
            return
        done = threading.Event()

        def run() -> None:
            do()
            done.set()

        loop.call_soon_threadsafe(run)
        done.wait(_TIMEOUT_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
