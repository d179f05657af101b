"""Listens for publishers on one port, with and without TLS. Connections that do not publish yet are limited."""

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ninjacam.core.errors import ConfigError, SourceEndedError, SourceError, SourceTimeoutError
from ninjacam.core.lifecycle import resolve
from ninjacam.core.texts import sentence

logger = logging.getLogger("ninjacam.sources")

OPENING_S = 15.0
"""Seconds from the connection to the first frame."""
MAX_OPENING = 64
MAX_OPENING_OF_ADDRESS = 8
"""Maximum number of connections of one address that do not publish yet."""
_BACKLOG = 64
_PAUSE_S = 1.0
"""Seconds to pause if the host has no more file descriptors."""
_TLS_HELLO = 0x16
_LOOK_S = 0.5


class Connection(Protocol):
    """A publisher's connection. `ended` receives the error that ends it."""

    @property
    def ended(self) -> "asyncio.Future[None]": ...

    @property
    def is_publishing(self) -> bool: ...

    def end(self, error: SourceError) -> None: ...


@dataclass(slots=True)
class _Opening:
    """A connection that does not publish yet, or has just begun to publish."""

    host: str
    connection: Connection | None = None

    @property
    def is_publishing(self) -> bool:
        return self.connection is not None and self.connection.is_publishing


class PublisherPort:
    """A listening port. `name`: name of the protocol, for messages. `make()`: returns a connection and its asyncio
    protocol. `host`: "" listens on all addresses. `tls()`: returns the certificate for a new connection; None: TLS
    is refused."""

    def __init__(
        self,
        name: str,
        host: str,
        port: int,
        make: Callable[[], tuple[Connection, asyncio.BaseProtocol]],
        tls: Callable[[], ssl.SSLContext | None],
    ) -> None:
        self._name = name
        self._host = host
        self._port = port
        self._make = make
        self._tls = tls
        self._socket: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._opening: dict[asyncio.Task[None], _Opening] = {}

    async def start(self) -> None:
        """Raises: ConfigError: the port cannot be opened."""
        try:
            self._socket = _listen(self._host, self._port)
        except OSError as error:
            raise ConfigError(
                sentence(
                    "The port %(port)s for %(name)s cannot be opened: %(reason)s. Stop the program that uses "
                    "it, or choose another port.",
                    port=self._port,
                    name=self._name,
                    reason=error.strerror or error,
                )
            ) from error
        self._accepting = asyncio.create_task(self._accept(self._socket), name=f"listen-{self._name}")

    @property
    def port(self) -> int:
        """Return the port number, which the system has chosen if 0 was requested."""
        assert self._socket is not None
        return int(self._socket.getsockname()[1])

    async def close(self) -> None:
        """Close the port and the connections that do not publish yet. The cameras own the others."""
        tasks = [*self._opening, *([self._accepting] if self._accepting is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._socket is not None:
            self._socket.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, address = await loop.sock_accept(listening)
            except OSError as error:  # No more file descriptors, or the connection was closed.
                logger.warning("%s: a connection could not be accepted: %s", self._name, error.strerror)
                await asyncio.sleep(_PAUSE_S)
                continue
            host = str(address[0]).removeprefix("::ffff:")
            hosts = Counter(each.host for each in self._opening.values() if not each.is_publishing)
            if hosts[host] >= MAX_OPENING_OF_ADDRESS or hosts.total() >= MAX_OPENING:
                logger.warning("%s: %s has too many connections that do not publish", self._name, host)
                accepted.close()
                continue
            opening = _Opening(host)
            task = asyncio.create_task(self._open(accepted, opening), name=f"publisher-{self._name}")
            self._opening[task] = opening
            task.add_done_callback(self._opening.pop)

    async def _open(self, accepted: socket.socket, opening: "_Opening") -> None:
        """Serve a connection until it publishes or has ended."""
        host = opening.host
        connection: Connection | None = None
        try:
            async with asyncio.timeout(OPENING_S):
                is_tls = await _first_byte(accepted) == _TLS_HELLO
                context = self._tls() if is_tls else None
                if is_tls and context is None:
                    logger.warning("%s: %s uses TLS, but there is no certificate", self._name, host)
                    accepted.close()
                    return
                connection, protocol = self._make()
                opening.connection = connection
                await asyncio.get_running_loop().connect_accepted_socket(
                    lambda: protocol, accepted, ssl=context
                )
                if not is_tls:
                    logger.warning("%s: %s connects without encryption", self._name, host)
                while not connection.is_publishing:
                    await asyncio.wait((connection.ended,), timeout=_LOOK_S)
                    if connection.ended.done():
                        connection.ended.result()
        except TimeoutError:
            _end(connection, accepted, SourceTimeoutError("The publisher did not send video in time."))
            logger.warning("%s: %s did not publish within %g s", self._name, host, OPENING_S)
        except (SourceError, OSError) as error:  # Includes TLS errors.
            _end(connection, accepted, SourceEndedError("The publisher closed the connection."))
            logger.warning("%s: %s: %s", self._name, host, error)
        except asyncio.CancelledError:
            _end(connection, accepted, SourceEndedError("The port was closed."))
            raise


def _end(connection: Connection | None, accepted: socket.socket, error: SourceError) -> None:
    if connection is not None:
        connection.end(error)
    else:
        accepted.close()


def _listen(host: str, port: int) -> socket.socket:
    """Return the listening socket. Raises: OSError."""
    family = socket.AF_INET6 if ":" in host or (not host and socket.has_dualstack_ipv6()) else socket.AF_INET
    listening = socket.create_server(
        (host, port), family=family, backlog=_BACKLOG, dualstack_ipv6=family == socket.AF_INET6 and not host
    )
    listening.setblocking(False)
    return listening


async def _first_byte(accepted: socket.socket) -> int:
    """Return the first byte without consuming it; -1: the connection was closed."""
    accepted.setblocking(False)
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(accepted.fileno(), resolve, readable)
    try:
        await readable
    finally:
        loop.remove_reader(accepted.fileno())
    return (accepted.recv(1, socket.MSG_PEEK) or b"\xff")[0]
