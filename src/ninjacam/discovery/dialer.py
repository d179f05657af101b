"""Opens TCP connections to addresses of one search, within limits on their number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from ninjacam.core.errors import ForbiddenAddressError, LimitError, SourceTimeoutError
from ninjacam.discovery.networks import Scope
from ninjacam.sources import addresses

MAX_CONNECTIONS = 1_500
MAX_AT_ONCE = 48
MAX_AT_ONCE_PER_DEVICE = 3
"""Small cameras serve about four clients."""
CONNECT_TIMEOUT_S = 1.0
_Protocol = TypeVar("_Protocol", bound=asyncio.BaseProtocol)


class Dialer:
    """Opens the connections of one search. `opened`: number of attempted connections. Thread: the event loop."""

    def __init__(self, scope: Scope, max_connections: int = MAX_CONNECTIONS) -> None:
        self.scope = scope
        self.opened = 0
        self._max = max_connections
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._of_device: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def connect(
        self, factory: Callable[[], _Protocol], address: str, port: int
    ) -> AsyncIterator[_Protocol]:
        """Yield a connected protocol; the connection ends with the block.

        Raises: SourceError: it cannot be opened; LimitError: this search has opened too many connections.
        """
        if not self.scope.allows(address):
            raise ForbiddenAddressError(f"{address} is not part of this search.")
        own = self._of_device.setdefault(address, asyncio.Semaphore(MAX_AT_ONCE_PER_DEVICE))
        async with own, self._at_once:
            if self.opened >= self._max:
                raise LimitError("This search has opened too many connections.")
            self.opened += 1
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    transport, protocol = await addresses.connect(
                        factory, address, port, self.scope.config, tls=False
                    )
            except TimeoutError as exc:
                raise SourceTimeoutError(f"{address} does not answer on port {port}.") from exc
            try:
                yield protocol
            finally:
                transport.abort()
