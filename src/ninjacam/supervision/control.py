"""The control channel of a child process: JSON lines over a Unix socket on which the child listens.

The child owns the socket so that it outlives the engine: a restarted engine finds `<run>/<name>.control` and adopts
the running children. At most one process of a name listens, and holds a lock on `<run>/<name>.lock` meanwhile.
Commands to the child are complete (all of its cameras). The child sends reports about once a second, which are the
heartbeat. Messages contain credentials; the socket has mode 0600 in a directory of mode 0700.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ninjacam.core.errors import ProtocolError
from ninjacam.core.unix_sockets import listen_unix, unix_address

Json = dict[str, Any]
MAX_LINE_BYTES = 8 << 20
"""Maximum size of a message. A command lists all cameras of a process, a report their tracebacks, too."""


NAME_TAKEN_STATUS = 87
"""Exit status of a child that ended because another process of its name runs."""


class NameTakenError(Exception):
    """Another process of this name runs: one that an engine started before it was killed."""


class _Lines(asyncio.Protocol):
    def __init__(self, on_line: Callable[[Json], None], on_lost: Callable[["_Lines"], None]) -> None:
        self._on_line = on_line
        self._on_lost = on_lost
        self._pending = bytearray()
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's.

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._on_lost(self)

    def data_received(self, data: bytes) -> None:
        self._pending += data
        while (end := self._pending.find(b"\n")) >= 0:
            line = bytes(self._pending[:end])
            del self._pending[: end + 1]
            try:
                value = json.loads(line)
            except ValueError as exc:
                raise ProtocolError("The control channel received invalid JSON.") from exc
            self._on_line(value)
        if len(self._pending) > MAX_LINE_BYTES and self.transport is not None:
            self.transport.abort()

    def send(self, message: Json) -> None:
        if self.transport is not None:
            self.transport.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


class ControlServer:
    """The child's end. Sends reports to all connected engines.

    `on_command(message)`, and `on_connect()` when an engine connects, are called in the loop.
    """

    def __init__(
        self, path: Path, on_command: Callable[[Json], None], on_connect: Callable[[], None]
    ) -> None:
        self.path = path
        self._on_command = on_command
        self._on_connect = on_connect
        self._server: asyncio.AbstractServer | None = None
        self._inode = 0
        self._lock: int | None = None
        self._connections: set[_Lines] = set()

    def claim(self) -> None:
        """Claim the name until `close`, or until this process ends. Idempotent.

        Raises: NameTakenError; OSError: the run directory cannot be used.
        """
        if self._lock is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = _lock(self.path.with_suffix(".lock"))

    async def start(self) -> None:
        """Listen. Raises: as `claim`."""
        loop = asyncio.get_running_loop()
        self.claim()
        self._server = await loop.create_unix_server(self._accept, sock=listen_unix(self.path))
        self._inode = self.path.stat().st_ino

    def _accept(self) -> _Lines:
        connection = _Lines(self._on_command, self._connections.discard)
        self._connections.add(connection)
        self._on_connect()
        return connection

    def is_reachable(self) -> bool:
        """Return whether the socket is still at the path where an engine looks for it."""
        try:
            return self.path.stat().st_ino == self._inode
        except OSError:
            return False

    @property
    def connected(self) -> bool:
        return any(connection.transport is not None for connection in self._connections)

    def report(self, message: Json) -> None:
        for connection in self._connections:
            connection.send(message)

    async def close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            for connection in list(self._connections):
                if connection.transport is not None:
                    connection.transport.close()
            if self.is_reachable():
                with contextlib.suppress(OSError):
                    self.path.unlink()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _lock(path: Path) -> int:
    """Return the descriptor that holds the lock. A fork made by user code does not inherit it.

    Raises: NameTakenError; OSError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError) as exc:
        os.close(descriptor)
        raise NameTakenError from exc
    return descriptor


class ControlClient:
    """The engine's end of one child's channel."""

    def __init__(self, path: Path, on_report: Callable[[Json], None], on_lost: Callable[[], None]) -> None:
        self.path = path
        self._on_report = on_report
        self._on_lost = on_lost
        self._lines: _Lines | None = None

    async def connect(self) -> bool:
        """Connect. Return whether a child listens on the socket."""
        lines = _Lines(self._on_report, lambda _: self._on_lost())
        try:
            with unix_address(self.path) as address:
                await asyncio.get_running_loop().create_unix_connection(lambda: lines, address)
        except OSError:
            return False
        self._lines = lines
        return True

    def peer_pid(self) -> int | None:
        """Return the pid of the listening process (SO_PEERCRED); None: not connected."""
        if self._lines is None or self._lines.transport is None:
            return None
        peer = self._lines.transport.get_extra_info("socket")
        pid: int = struct.unpack("3i", peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        return pid

    def send(self, message: Json) -> None:
        if self._lines is not None:
            self._lines.send(message)

    def close(self) -> None:
        if self._lines is not None and self._lines.transport is not None:
            self._lines.transport.abort()
