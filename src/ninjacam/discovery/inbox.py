"""Receives the responses to multicast and unicast queries, counts them, and converts them to evidence."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

from ninjacam.core.errors import NinjacamError
from ninjacam.discovery import mdns, ssdp, ws_discovery
from ninjacam.discovery.devices import Evidence
from ninjacam.discovery.networks import Scope

MAX_DATAGRAMS = 20_000
MAX_PARSED_PER_SENDER = 20
MAX_DATAGRAM_BYTES = 8_192


class Inbox(asyncio.DatagramProtocol):
    """One for all sockets of a search. Beyond MAX_DATAGRAMS it closes them, so that a flood has no further cost.

    `on_evidence` receives evidence about addresses of the scope; `on_description` the URL of a UPnP description,
    with its address.
    """

    def __init__(
        self,
        scope: Scope,
        on_evidence: Callable[[Evidence], None],
        on_description: Callable[[str, str], None],
    ) -> None:
        self.received = 0
        self._scope = scope
        self._on_evidence = on_evidence
        self._on_description = on_description
        self._parsed: dict[str, int] = {}
        self._transports: list[asyncio.DatagramTransport] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transports.append(cast(asyncio.DatagramTransport, transport))

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.received += 1
        if self.received > MAX_DATAGRAMS:
            self.close()
            return
        sender = str(addr[0])
        if len(data) > MAX_DATAGRAM_BYTES:
            return
        count = self._parsed.get(sender, 0)
        if count >= MAX_PARSED_PER_SENDER or (count == 0 and not self._scope.allows(sender)):
            return
        self._parsed[sender] = count + 1
        try:
            self._read(data, sender)
        except NinjacamError:
            return  # Malformed: not evidence.

    def _read(self, data: bytes, sender: str) -> None:
        """Raises: NinjacamError: malformed."""
        if b"<" in data[:8]:
            evidence = ws_discovery.parse_answer(data, sender)
            if evidence is not None:
                self._on_evidence(evidence)
        elif data.startswith(b"HTTP/1."):
            location = ssdp.parse_answer(data, sender)
            if location:
                self._on_description(location, sender)
        else:
            for evidence in mdns.parse_answer(data, sender):
                if self._scope.allows(evidence.address):
                    self._on_evidence(evidence)

    def error_received(self, exc: Exception) -> None:
        """Ignore ICMP errors: an error of one address does not concern the others."""

    def close(self) -> None:
        for transport in self._transports:
            transport.abort()
