"""MPEG transport streams over UDP: `udp://:5000`, and from a multicast group `udp://@239.1.2.3:1234`.

The query may name the sender and the interface, as in FFmpeg: `?sources=192.168.1.20&localaddr=192.168.1.5`. Without
`sources`, the first allowed address that sends a transport stream is the sender, until the source is opened again.
The transport stream may be in RTP (payload type 33, RFC 2250). Not here: demuxing (`sources.ffmpeg`).
"""

import asyncio
import errno
import ipaddress
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ninjacam.core.clock import Clock
from ninjacam.core.errors import (
    ConfigError,
    ForbiddenAddressError,
    HostNotFoundError,
    ProtocolError,
    SourceBusyError,
    SourceError,
    SourceTimeoutError,
)
from ninjacam.core.lifecycle import resolve
from ninjacam.core.texts import sentence
from ninjacam.sources.addresses import IpAddress, check_address
from ninjacam.sources.base import Source, SourceConfig
from ninjacam.sources.multicast import is_media_group, open_group, open_socket
from ninjacam.sources.transport_stream import packets_in_datagram
from ninjacam.sources.urls import check_characters

MIN_PORT = 1024
MAX_DATAGRAMS_PER_S = 20_000
"""About 200 Mbit/s of transport stream. The kernel drops datagrams beyond it, so that the CPU cost of a flood is
limited."""
_DATAGRAM_BYTES = 65_536
_LOOK_S = 0.25
"""Seconds of one receive timeout."""
_OPTIONS = {"probesize": "200000", "analyzeduration": "1000000"}
_HELP = "Write it as udp://:5000, or udp://@239.1.2.3:1234 for a multicast group."


@dataclass(frozen=True, slots=True)
class UdpTarget:
    """The receive address. `address`: a multicast group, an address of this host, or the unspecified address.

    `sender`: the only address whose datagrams count; None: the first one. `interface`: for IPv4 multicast.
    """

    address: IpAddress
    port: int
    sender: IpAddress | None = None
    interface: str = ""

    @property
    def where(self) -> str:
        """Return its name for messages."""
        return f"UDP port {self.port}" + (f" of {self.address}" if not self.address.is_unspecified else "")


def parse_udp(url: str) -> UdpTarget:
    """Parse a udp: URL. Raises: ConfigError: not an IP address and a port, or an address on which we cannot listen."""
    check_characters(url)
    try:
        parts = urlsplit(url)
        port, host = parts.port or 0, parts.hostname or ""
    except ValueError:
        raise ConfigError(sentence("The URL is malformed. %(help)s", help=_HELP)) from None
    if parts.username:
        raise ConfigError("Name the sender at the end of the URL: ?sources=192.168.1.20.")
    if not MIN_PORT <= port <= 65_535:
        raise ConfigError(
            sentence(
                "The URL needs a port from %(min_port)s to 65535. %(help)s", min_port=MIN_PORT, help=_HELP
            )
        )
    query = parse_qs(parts.query)
    address = _address(host) or ipaddress.IPv4Address(0)
    if not (is_media_group(address) if address.is_multicast else _may_be_own(address)):
        raise ConfigError(
            sentence(
                "%(address)s is not a multicast group for media or an address of this host. %(help)s",
                address=address,
                help=_HELP,
            )
        )
    interface = _address(query.get("localaddr", [""])[0])
    sender = _address(query.get("sources", [""])[0])
    if sender is not None and sender.version != address.version:
        raise ConfigError(
            sentence(
                "Only %(kind)s arrives at %(address)s, but sources names an %(sender)s address.",
                kind=_kind(address),
                address=address,
                sender=_kind(sender),
            )
        )
    if interface is not None and not interface.version == address.version == 4:
        raise ConfigError("localaddr is for IPv4 groups only. For IPv6, the routes choose the interface.")
    return UdpTarget(address, port, sender, str(interface or ""))


def _address(text: str) -> IpAddress | None:
    """Raises: ConfigError."""
    try:
        return ipaddress.ip_address(text) if text else None
    except ValueError:
        raise ConfigError(
            sentence("Use IP addresses in udp: URLs, not host names. %(help)s", help=_HELP)
        ) from None


def _kind(address: IpAddress) -> str:
    return f"IPv{address.version}"


def _may_be_own(address: IpAddress) -> bool:
    return address.is_unspecified or address.is_loopback or not address.is_reserved


async def open_udp(config: SourceConfig, *, clock: Clock) -> Source:
    """Wait for a transport stream and start to demux it, within `config.open_timeout_s`. Raises: SourceError."""
    target = parse_udp(config.url)
    if target.sender is not None:
        check_address(target.sender, config)
    receiver = _listen(target)
    try:
        async with asyncio.timeout(config.open_timeout_s):
            datagrams = _Datagrams(receiver, await _find_sender(receiver, target, config, clock), clock)
    except TimeoutError as exc:
        receiver.close()
        raise SourceTimeoutError(
            sentence(
                "No MPEG transport stream has arrived at %(where)s within %(open_timeout_s)s s: check "
                "that the camera sends to this host, and open the firewall for UDP.",
                where=target.where,
                open_timeout_s=f"{config.open_timeout_s:g}",
            )
        ) from exc
    except BaseException:
        receiver.close()
        raise
    from ninjacam.sources.ffmpeg import FfmpegInput, open_plan  # FFmpeg is imported only here.

    plan = FfmpegInput(
        url="udp.ts",
        where=target.where,
        kind="network",
        format="mpegts",
        options=dict(_OPTIONS),
        files=datagrams,
    )
    return await open_plan(plan, config, clock=clock)


def _listen(target: UdpTarget) -> socket.socket:
    """Return the bound socket. Raises: SourceError."""
    try:
        if target.address.is_multicast:
            return open_group(target.address, target.port, target.interface, source=target.sender)
        receiver = open_socket(target.address)
        try:
            receiver.bind((str(target.address), target.port))
        except BaseException:
            receiver.close()
            raise
    except OSError as exc:
        raise _translate(exc, target) from exc
    return receiver


def _translate(exc: OSError, target: UdpTarget) -> SourceError:
    if exc.errno == errno.EADDRINUSE:
        return SourceBusyError(
            sentence(
                "%(where)s is in use by another camera or program: stop that one, or use another port.",
                where=target.where,
            )
        )
    if target.address.is_multicast:
        return HostNotFoundError(
            sentence(
                "This host cannot join the multicast group %(address)s: name the interface by its "
                "address, as in ?localaddr=192.168.1.5.",
                address=target.address,
            )
        )
    if exc.errno == errno.EADDRNOTAVAIL:
        return HostNotFoundError(
            sentence(
                "%(address)s is not an address of this host: use udp://:%(port)s.",
                address=target.address,
                port=target.port,
            )
        )
    return ProtocolError(
        sentence("%(where)s cannot be opened (%(name)s).", where=target.where, name=type(exc).__name__)
    )


async def _find_sender(
    receiver: socket.socket, target: UdpTarget, config: SourceConfig, clock: Clock
) -> tuple[Any, ...]:
    """Wait for the first datagram with transport packets from an allowed address. Return its socket address.

    From then on, the kernel discards datagrams of other senders.
    """
    allowance = _Allowance(clock)
    while True:
        try:
            data, sender = receiver.recvfrom(_DATAGRAM_BYTES)
        except BlockingIOError:
            await _wait_until_readable(receiver)
            continue
        if packets_in_datagram(data) and _is_allowed(str(sender[0]), target, config):
            receiver.connect(sender)
            return tuple(sender)
        await clock.sleep(allowance.take())


async def _wait_until_readable(receiver: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(receiver.fileno(), resolve, readable)
    try:
        await readable
    finally:
        loop.remove_reader(receiver.fileno())


def _is_allowed(text: str, target: UdpTarget, config: SourceConfig) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    address = getattr(address, "ipv4_mapped", None) or address
    if target.sender is not None:
        return bool(address == target.sender)
    try:
        check_address(address, config)
    except ForbiddenAddressError:
        return False
    return True


class _Allowance:
    """Limits the rate of datagrams."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ns = clock.monotonic_ns()
        self._count = 0

    def take(self) -> float:
        """Count a datagram. Return the seconds to wait before the next one."""
        self._count += 1
        passed_ns = self._clock.monotonic_ns() - self._since_ns
        if passed_ns >= 1e9:
            self._since_ns += passed_ns
            self._count = 1
        return (1e9 - passed_ns) / 1e9 if self._count > MAX_DATAGRAMS_PER_S else 0.0


class _Datagrams:
    """`DemuxerFiles` with a single file: the transport packets of one sender."""

    def __init__(self, receiver: socket.socket, sender: tuple[Any, ...], clock: Clock) -> None:
        receiver.settimeout(_LOOK_S)
        self._receiver = receiver
        self._sender = sender
        self._allowance = _Allowance(clock)
        self._closed = threading.Event()
        self._lock = threading.Lock()
        """Held while receiving, so that the socket is not closed meanwhile."""
        self._rest = b""

    def open(self, _url: str, _flags: int, _options: dict[str, str]) -> "_Datagrams":
        return self

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" at the end, when closed. Thread: the demuxer's."""
        while not self._rest and not self._closed.wait(self._allowance.take()):
            self._rest = self._receive()
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def _receive(self) -> bytes:
        """Return the transport packets of the next datagram; b"" if it contains none, or none has arrived."""
        with self._lock:
            if self._closed.is_set():
                return b""
            try:
                data, sender = self._receiver.recvfrom(_DATAGRAM_BYTES)
            except TimeoutError:
                return b""
        # Datagrams of other senders may have been queued before the socket was connected.
        return packets_in_datagram(data) if sender == self._sender else b""

    def close(self) -> None:
        self._closed.set()
        with suppress(OSError):
            self._receiver.shutdown(socket.SHUT_RD)  # Wakes the thread that receives.
        with self._lock:
            self._receiver.close()
