"""Misbehaving network clients for servers on this host. The caller limits their number and duration."""

import contextlib
import errno
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

CHUNK = b"x" * 65536


@dataclass(slots=True)
class Ending:
    """The end of a connection.

    `status`: 0 without a response. `sent_bytes`: bytes that the server's kernel accepted.
    """

    status: int
    sent_bytes: int
    took_s: float
    text: str = ""


class RawClient:
    """One TCP connection. `source`: its source address; all of 127.0.0.0/8 is this host."""

    def __init__(
        self, port: int, *, source: str = "", receive_bytes: int = 0, timeout_s: float = 20.0
    ) -> None:
        self.socket = socket.socket()
        if receive_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.socket.settimeout(timeout_s)
        if source:
            self.socket.bind((source, 0))
        self.port = port
        self.sent_bytes = 0
        self.started_s = time.monotonic()
        self.socket.connect(("127.0.0.1", port))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Return False if the server has closed the connection."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            if error.errno in (errno.EPIPE, errno.ECONNRESET):
                return False
            raise
        self.sent_bytes += len(data)
        return True

    def request(self, line: str, *headers: str, body: bytes = b"") -> bool:
        head = "\r\n".join([line, f"Host: 127.0.0.1:{self.port}", *headers])
        return self.send(head.encode("latin-1") + b"\r\n\r\n" + body)

    def flood(self, piece: bytes, max_bytes: int) -> None:
        """Send `piece` repeatedly until the server closes the connection, or responds and stops reading."""
        self.socket.setblocking(False)
        data, offset, deadline_s = piece * max(1, 65536 // len(piece)), 0, time.monotonic() + 10
        while self.sent_bytes < max_bytes and time.monotonic() < deadline_s:
            try:
                sent = self.socket.send(data[offset:])
            except BlockingIOError:
                if self._has_answer():
                    break
                time.sleep(0.005)
                continue
            except OSError:
                break
            self.sent_bytes += sent
            offset = (offset + sent) % len(data)
        self.socket.setblocking(True)
        self.socket.settimeout(20)

    def _has_answer(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except BlockingIOError:
            return False
        except OSError:
            return True

    def ending(self, timeout_s: float = 20.0) -> Ending:
        """Read until the server closes the connection. Raises: TimeoutError: the server keeps it open."""
        data = b""
        deadline_s = time.monotonic() + timeout_s
        with contextlib.suppress(ConnectionError):
            while True:
                self.socket.settimeout(max(0.01, deadline_s - time.monotonic()))
                more = self.socket.recv(65536)
                if not more:
                    break
                data += more
        status = int(data.split(None, 2)[1]) if data.startswith(b"HTTP/1.") else 0
        text = data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")
        return Ending(status, self.sent_bytes, time.monotonic() - self.started_s, text)

    def answer(self) -> tuple[int, str]:
        """Return status and beginning of the body of the next response, which must have a Content-Length."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                raise EOFError("closed without a response")
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").lower().split("\r\n")
        length = next((int(line.split(":")[1]) for line in lines if line.startswith("content-length:")), 0)
        while len(body) < length:
            more = self.socket.recv(65536)
            if not more:
                break
            body += more
        return int(head.split(None, 2)[1]), body.decode("utf-8", "replace")

    def reset(self) -> None:
        """Reset the connection."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def is_closed(self) -> bool:
        """Return whether the server has closed the connection. Discards received data."""
        self.socket.setblocking(False)
        try:
            while True:
                if not self.socket.recv(65536):
                    return True
        except BlockingIOError:
            return False
        except OSError:
            return True
        finally:
            self.socket.setblocking(True)


@contextlib.contextmanager
def idle_connections(
    port: int, count: int, *, source: str = "", first: bytes = b""
) -> Iterator[list[RawClient]]:
    """Open `count` connections that send nothing, or only `first`. Yields fewer if the server refuses some."""
    clients: list[RawClient] = []
    try:
        for _ in range(count):
            try:
                client = RawClient(port, source=source, timeout_s=5)
            except OSError:
                break
            clients.append(client)
            if first:
                client.send(first)
        yield clients
    finally:
        for client in clients:
            client.socket.close()


class Background:
    """Runs `step` repeatedly in a thread until the `with` block ends."""

    def __init__(self, step: Callable[[], object]) -> None:
        self._step = step
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attacker", daemon=True)
        self.rounds = 0

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(OSError, EOFError):
                self._step()
            self.rounds += 1

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)
