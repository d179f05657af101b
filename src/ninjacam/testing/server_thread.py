"""A server with an event loop in a daemon thread of its own, usable from the code of a plain test."""

import asyncio
import contextlib
import ssl
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import Self

_TIMEOUT_S = 10.0


class ServerThread(ABC):
    """`start` and `stop` it, or use it in a `with`, or await `serve` in a loop of yours. Can be started again."""

    def __init__(self, host: str, port: int, ssl_context: ssl.SSLContext | None) -> None:
        self.host = host
        self.port = port
        self._ssl_context = ssl_context
        self._connections: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Event | None = None
        self._thread: threading.Thread | None = None

    @abstractmethod
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection; it is closed afterwards. OSError and the errors of a reader end it quietly."""

    async def serve(self, on_ready: Callable[[], None]) -> None:
        """Run until `request_stop` or cancellation. Raises: OSError: the port is taken."""
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(
            self._accept, self.host, self.port, ssl=self._ssl_context, reuse_address=True, limit=1 << 17
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            on_ready()
            await self._stopping.wait()
        finally:
            server.close()
            self._abort_connections()
            for task in self._connections:
                task.cancel()
            await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._run_connection(reader, writer), name="connection")
        self._connections[task] = writer
        # Not in the task: one that is cancelled before it starts runs none of its code.
        task.add_done_callback(lambda task: self._connections.pop(task).close())

    async def _run_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A client that goes away, or does not speak our protocol.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            await self._connected(reader, writer)

    def _abort_connections(self) -> None:
        for writer in self._connections.values():
            writer.transport.abort()

    def drop(self) -> None:
        """Cut all connections, without a word."""
        self.call(self._abort_connections)

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
