"""Unix sockets: addresses for long paths, listening sockets, and servers."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from ninjacam.core.connection_server import ConnectionServer, Handler
from ninjacam.core.errors import ConfigError

MAX_PATH_BYTES = 100
"""sockaddr_un holds 108 bytes including the final zero on Linux, 104 elsewhere."""


@contextlib.contextmanager
def unix_address(path: Path) -> Iterator[str]:
    """Yield `path` as a socket address. On Linux, the path may be longer than the 108 bytes of an address.

    Raises: OSError: the directory does not exist. ConfigError: the path is too long, and there is no /proc to
    shorten it.
    """
    if len(os.fsencode(path)) <= MAX_PATH_BYTES:
        yield str(path)
        return
    if not os.path.isdir("/proc/self/fd"):
        raise ConfigError(
            f"The path of the run directory is too long for sockets: {path} has more than {MAX_PATH_BYTES} bytes. "
            "Set RUN_DIR to a shorter path."
        )
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def listen_unix(path: Path) -> socket.socket:
    """Return a listening socket of mode 0600 that atomically replaces any file at `path`.

    Raises: OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        listener.setblocking(False)
        fresh.unlink(missing_ok=True)
        with unix_address(fresh) as address:
            listener.bind(address)
        fresh.chmod(0o600)
        listener.listen(128)
        fresh.rename(path)
    except OSError:
        listener.close()
        raise
    return listener


class UnixServer:
    """A server on a Unix socket at `path`, with at most `max_connections` connections. Thread: the event
    loop.

    `serve(reader, writer)`: handles a connection, which is closed when it returns. `max_line_bytes`: limit of
    `readline`.
    """

    def __init__(self, path: Path, serve: Handler, *, max_connections: int, max_line_bytes: int) -> None:
        self._path = path
        self._serve = serve
        self._max_connections = max_connections
        self._max_line_bytes = max_line_bytes
        self._server: ConnectionServer | None = None
        self._inode = 0

    async def start(self) -> None:
        """Idempotent. Raises: OSError: the socket cannot be created."""
        if self._server is not None:
            return
        listener = listen_unix(self._path)
        self._inode = self._path.stat().st_ino
        self._server = ConnectionServer(
            self._serve, listener, limit=self._max_line_bytes, max_connections=self._max_connections
        )
        self._server.start()

    async def close(self) -> None:
        """End all connections. Idempotent. Keeps a socket of the same name that another process has created since."""
        server, self._server = self._server, None
        if server is None:
            return
        await server.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
