"""Packets over UDP, unicast or multicast (RFC 2326, sections 10.4 and 12.39).

The camera cannot choose the hosts to which we send, or from which we receive. Requests, reports and hole punches go
to the address of the connection, which has passed the address check. Packets are accepted only from that address, or
from the `source=` of the Transport header if it passes the check, too.
"""

import asyncio
import ipaddress
import re
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ConfigError, ForbiddenAddressError, ProtocolError, SourceTimeoutError
from ninjacam.core.texts import sentence
from ninjacam.sources.addresses import IpAddress, check_address
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.multicast import is_media_group, open_group, open_socket
from ninjacam.sources.rtsp.connection import RtspConnection
from ninjacam.sources.rtsp.delivery import OnRtcp, is_rtcp, transport_parameters
from ninjacam.sources.rtsp.tracks import RtspTrack

MAX_PORT_ATTEMPTS = 50
MAX_BATCH = 64
"""Maximum number of datagrams per wake-up, so that a flood cannot delay other cameras of this process."""
MAX_WAIT_S = 5.0
"""Seconds for the first packet after PLAY."""
_DATAGRAM_BYTES = 65_536
_PUNCH_RTP = struct.pack(">BBHII", 0x80, 0, 0, 0, 0)
_PUNCH_RTCP = struct.pack(">BBHI", 0x80, 201, 1, 0)
_PORTS = re.compile(r"(\d{1,5})(?:\s*-\s*(\d{1,5}))?", re.ASCII)


@dataclass(slots=True)
class _Channel:
    """The two sockets of one track. `server_ports`: the camera's ports for RTP and RTCP; 0: unknown."""

    rtp: socket.socket
    rtcp: socket.socket
    track: RtspTrack | None = None
    server_ports: tuple[int, int] = (0, 0)
    is_multicast: bool = False

    @property
    def sockets(self) -> tuple[socket.socket, socket.socket]:
        return self.rtp, self.rtcp


class Datagrams:
    """A `Delivery`. Owner: the session; everything runs in the event loop."""

    refusal = "The camera does not send RTP over UDP: set the transport of this camera to TCP."
    ordered = False

    def __init__(self, connection: RtspConnection, config: SourceConfig, clock: Clock) -> None:
        self.bytes_received = 0
        self.last_bytes_ns = clock.monotonic_ns()
        self._config = config
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._peer, self._own, self._scope = connection.addresses
        self._senders = {self._peer, str(_plain(self._peer))}
        self._channels: list[_Channel] = []
        self._on_rtcp: OnRtcp | None = None
        self._is_reading = False
        self._view = memoryview(bytearray(_DATAGRAM_BYTES))
        self._first = asyncio.Event()

    # Negotiation --------------------------------------------------------------------------------------------------

    def offers(self, index: int) -> tuple[str, ...]:
        channel = self._channel(index)
        port = channel.rtp.getsockname()[1]
        unicast, multicast = f"RTP/AVP;unicast;client_port={port}-{port + 1}", "RTP/AVP;multicast"
        return (multicast, unicast) if self._config.transport == "multicast" else (unicast, multicast)

    def _channel(self, index: int) -> _Channel:
        """Return the sockets of track number `index`, opened on demand."""
        while len(self._channels) <= index:
            self._channels.append(_Channel(*_open_pair(self._own)))
        return self._channels[index]

    def accept(self, index: int, track: RtspTrack, transport: str) -> None:
        channel = self._channel(index)
        channel.track = track
        parameters = transport_parameters(transport)
        self._allow_source(parameters.get("source", ""))
        if "multicast" in parameters:
            self._join(channel, parameters)
            return
        channel.server_ports = _ports(parameters.get("server_port", ""))
        self._punch(channel)

    def _allow_source(self, text: str) -> None:
        """Also accept packets from the address that the camera announces, if it is allowed. No data is sent to it."""
        try:
            address = ipaddress.ip_address(text.strip("[]"))
            check_address(address, self._config)
        except (ValueError, ForbiddenAddressError):
            return
        self._senders.add(str(_plain(str(address))))

    def _join(self, channel: _Channel, parameters: dict[str, str]) -> None:
        """Join the announced group. Raises: ProtocolError: the camera announces no usable group."""
        rtp, rtcp = _ports(parameters.get("port", "") or parameters.get("client_port", ""))
        try:
            group = ipaddress.ip_address(parameters.get("destination", "").strip("[]"))
        except ValueError as exc:
            raise ProtocolError("The camera offers multicast, but names no group address.") from exc
        if not is_media_group(group) or not rtp:
            raise ProtocolError("The camera offers multicast at an address that is not a multicast group.")
        if group.version != ipaddress.ip_address(self._own).version:
            raise ProtocolError(
                sentence(
                    "The camera offers multicast over IPv%(version)s, but is connected over another version. "
                    "Set the transport of this camera to TCP.",
                    version=group.version,
                )
            )
        _close(channel)
        try:
            channel.rtp = open_group(group, rtp, self._own, self._scope)
            channel.rtcp = open_group(group, rtcp, self._own, self._scope)
        except OSError as exc:
            raise ProtocolError(
                sentence(
                    "This host cannot receive the camera's multicast group: %(reason)s. Set the transport "
                    "of this camera to TCP.",
                    reason=exc.strerror,
                )
            ) from exc
        channel.is_multicast = True

    def _punch(self, channel: _Channel) -> None:
        """Open a path through a firewall or NAT on our side by sending first."""
        for sender, port, packet in zip(
            channel.sockets, channel.server_ports, (_PUNCH_RTP, _PUNCH_RTCP), strict=True
        ):
            self._send(sender, port, packet)

    def _send(self, sender: socket.socket, port: int, packet: bytes) -> None:
        if port:
            try:
                sender.sendto(packet, (self._peer, port))
            except OSError:  # For example, a route is temporarily missing. Reports are repeated.
                return

    # Receiving ----------------------------------------------------------------------------------------------------

    def listen(self, on_rtcp: OnRtcp) -> None:
        self._on_rtcp = on_rtcp
        self.last_bytes_ns = self._clock.monotonic_ns()
        self.resume()

    async def wait_for_media(self) -> None:
        limit_s = min(MAX_WAIT_S, self._config.open_timeout_s / 2)
        try:
            async with asyncio.timeout(limit_s):
                await self._first.wait()
        except TimeoutError as exc:
            raise SourceTimeoutError(
                sentence(
                    "The camera plays, but none of its UDP packets has arrived within %(limit_s)s s. Set the "
                    "transport of this camera to TCP, or open the firewall for UDP.",
                    limit_s=f"{limit_s:g}",
                )
            ) from exc

    def resume(self) -> None:
        self.last_bytes_ns = self._clock.monotonic_ns()
        if self._is_reading:
            return
        self._is_reading = True
        for channel in self._channels:
            track = channel.track
            if track is not None:
                self._loop.add_reader(channel.rtp, partial(self._read, channel.rtp, self._take_rtp(track)))
                self._loop.add_reader(channel.rtcp, partial(self._read, channel.rtcp, self._take_rtcp(track)))

    def pause(self) -> None:
        if not self._is_reading:
            return
        self._is_reading = False
        for channel in self._channels:
            for each in channel.sockets:
                self._loop.remove_reader(each)

    def _read(self, receiver: socket.socket, take: Callable[[int, int], None]) -> None:
        now_ns = self._clock.monotonic_ns()
        view, senders = self._view, self._senders
        for _ in range(MAX_BATCH):
            try:
                size_bytes, sender = receiver.recvfrom_into(view)
            except OSError:  # No more data, or an error reported by ICMP.
                return
            if sender[0] not in senders:
                continue  # Not from the camera's address.
            self.bytes_received += size_bytes
            self.last_bytes_ns = now_ns
            take(size_bytes, now_ns)

    def _take_rtp(self, track: RtspTrack) -> Callable[[int, int], None]:
        view, receive, reports = self._view, track.receiver.receive, self._take_rtcp(track)
        first = self._first

        def take(size_bytes: int, now_ns: int) -> None:
            if size_bytes > 1 and is_rtcp(view[1]):
                reports(size_bytes, now_ns)
                return
            if size_bytes >= 12:
                first.set()
                receive(view, 0, size_bytes, size_bytes, now_ns)

        return take

    def _take_rtcp(self, track: RtspTrack) -> Callable[[int, int], None]:
        view = self._view

        def take(size_bytes: int, now_ns: int) -> None:
            if self._on_rtcp is not None:
                self._on_rtcp(track, bytes(view[:size_bytes]), now_ns)

        return take

    # Playing ------------------------------------------------------------------------------------------------------

    def send_rtcp(self, track: RtspTrack, data: bytes) -> None:
        channel = next(each for each in self._channels if each.track is track)
        if not channel.is_multicast:
            self._send(channel.rtcp, channel.server_ports[1], data)

    def relax(self, interval_s: float) -> None:
        """Do nothing: the kernel's buffer is too small to leave datagrams in it."""

    def close(self) -> None:
        self.pause()
        for channel in self._channels:
            _close(channel)
        self._channels.clear()


def _plain(address: str) -> IpAddress:
    """Return an address without its zone, and as IPv4 if it is IPv4 embedded in IPv6. Raises: ValueError."""
    found = ipaddress.ip_address(address.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def _ports(text: str) -> tuple[int, int]:
    """Return the pair of ports in "6970-6971", or in "6970"; (0, 0): none."""
    found = _PORTS.match(text)
    rtp = int(found[1]) if found else 0
    rtcp = int(found[2]) if found and found[2] else rtp + 1
    return (rtp, rtcp) if 0 < rtp < 65_536 and 0 < rtcp < 65_536 else (0, 0)


def _open_pair(own: str) -> tuple[socket.socket, socket.socket]:
    """Open two sockets on `own`, with an even port and the next one (RFC 3550, section 11). Raises: ConfigError."""
    address = ipaddress.ip_address(own.partition("%")[0])
    for _ in range(MAX_PORT_ATTEMPTS):
        pair = open_socket(address), open_socket(address)
        try:
            pair[0].bind((own, 0))
            port = pair[0].getsockname()[1]
            if port % 2 == 0:
                pair[1].bind((own, port + 1))
                return pair
        except OSError:
            pass  # The next port is in use.
        for each in pair:
            each.close()
    raise ConfigError("This host has no two free UDP ports: close other programs, or use TCP.")


def _close(channel: _Channel) -> None:
    for each in channel.sockets:
        each.close()
