"""The server of local streams: channels, their subscribers, and back-pressure that respects key frames.

While more than 1 MB waits for a subscriber, the server drops all its packets. When less than 256 KB is left,
it continues at the next key frame (docs/design/0002-hub.md). A stopped reader therefore takes 1 MB, delays no
other reader, and never gets a gap that it cannot decode.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from ninjacam.core.errors import ConfigError, NinjacamError, ProtocolError
from ninjacam.core.packets import VIDEO, Flags, Kind, Packet, StreamInfo
from ninjacam.core.unix_sockets import listen_unix
from ninjacam.hub.gop import GopCache
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.wire import HubMessage, MessageReader, encode_extension, encode_info, encode_packet

logger = logging.getLogger("ninjacam.hub")


HIGH_WATER_BYTES = 1 << 20
LOW_WATER_BYTES = 256 << 10
MAX_WAITING_BYTES = 16 << 20
"""Maximum number of waiting bytes: more than the longest GOP and the data that may follow it. Only error
messages to a stopped reader can exceed it."""
MAX_SUBSCRIBERS = 1_000
"""Maximum number of subscribers per socket. Subscribers are workers and recorders, never browsers, so only a
bug exceeds it."""


class Channel:
    """One stream of packets to any number of subscribers. Owner and thread: the event loop of the server.

    The number of subscribers is the demand: `on_demand(channel)` is called when it changes.
    """

    def __init__(
        self,
        info: StreamInfo,
        *,
        camera_id: int = 0,
        on_demand: "Callable[[Channel], None] | None" = None,
    ) -> None:
        self.info = info
        self.camera_id = camera_id
        self.dropped = 0
        self._subscribers: set[_Subscriber] = set()
        self._gop = GopCache()
        self._on_demand = on_demand

    @property
    def subscribers(self) -> int:
        return len(self._subscribers)

    def publish(self, packet: Packet) -> None:
        self._gop.add(packet)
        if self._subscribers:
            data = encode_packet(packet, camera_id=self.camera_id, epoch=self.info.epoch)
            for subscriber in self._subscribers:
                subscriber.send_packet(packet, data)

    def set_info(self, info: StreamInfo) -> None:
        """Send the description and state of the stream to current and future subscribers."""
        self.info = info
        data = encode_info(info)
        for subscriber in list(self._subscribers):
            subscriber.send_control(data)

    @property
    def gop_refused(self) -> str:
        """Return why new subscribers wait for the next key frame, or "" if they do not."""
        return self._gop.refused

    def forget_gop(self) -> None:
        """Discard the cached GOP because the camera was lost."""
        self._gop.clear()

    def close(self) -> None:
        for subscriber in list(self._subscribers):
            subscriber.close()

    def _add(self, subscriber: "_Subscriber") -> None:
        subscriber.send_control(encode_info(self.info))
        subscriber.send_burst(
            [
                encode_packet(packet, camera_id=self.camera_id, epoch=self.info.epoch)
                for packet in self._gop
                if subscriber.wants(packet)
            ]
        )
        self._subscribers.add(subscriber)
        if self._on_demand:
            self._on_demand(self)

    def _remove(self, subscriber: "_Subscriber") -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
            if self._on_demand:
                self._on_demand(self)


class StreamServer:
    """A Unix socket. `find_channel(request)` returns the channel of a new subscriber.

    `find_channel` runs in the event loop. If it raises a NinjacamError, the subscriber receives that error.
    """

    def __init__(self, path: Path, find_channel: Callable[[StreamRequest], Channel]) -> None:
        self.path = path
        self._find_channel = find_channel
        self._server: asyncio.AbstractServer | None = None
        self._connections: set[_Subscriber] = set()
        self._inode = 0

    async def start(self) -> None:
        """Listen, replacing the socket of this name that a dead process left.

        Raises: ConfigError: the path is too long for a Unix socket, or not writable.
        """
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            listener = listen_unix(self.path)
            self._inode = self.path.stat().st_ino
        except OSError as exc:
            raise ConfigError(
                f"The run directory {self.path.parent} cannot be used: {exc.strerror}."
            ) from exc
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: _Subscriber(self), sock=listener)

    async def close(self) -> None:
        """Idempotent. Does not remove a socket of the same name that another process has created since."""
        if self._server is None:
            return
        server, self._server = self._server, None
        server.close()
        for connection in list(self._connections):
            connection.close()
        with contextlib.suppress(OSError):
            if self.path.stat().st_ino == self._inode:
                self.path.unlink()

    @property
    def connections(self) -> "Iterator[_Subscriber]":
        return iter(self._connections)


class _Subscriber(asyncio.BufferedProtocol):
    """One connection: receives one SUBSCRIBE message, then its channel writes to it."""

    def __init__(self, server: StreamServer) -> None:
        self._server = server
        self._reader = MessageReader(self._on_message, size_bytes=4096)
        self._transport: asyncio.Transport | None = None
        self._channel: Channel | None = None
        self._request = StreamRequest()
        self._paused = False
        self._needs_key = True
        self._in_burst = False
        self.dropped = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's.
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        self._server._connections.add(self)
        if len(self._server._connections) > MAX_SUBSCRIBERS:
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        del self._reader  # As in the client.
        self._transport = None
        self._server._connections.discard(self)
        if self._channel is not None:
            self._channel._remove(self)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._reader.received(nbytes)
        except ProtocolError as exc:
            logger.warning("%s: %s", self._server.path.name, exc)
            self.close()

    def _on_message(self, message: HubMessage) -> None:
        if message.kind is not Kind.SUBSCRIBE or self._channel is not None:
            raise ProtocolError("A subscriber sent something that is not a single subscription.")
        try:
            self._request = StreamRequest.from_dict(message.extension)
            channel = self._server._find_channel(self._request)
        except NinjacamError as exc:
            self.send_control(encode_extension(Kind.ERROR, exc.as_dict()))
            self.close()
            return
        self._channel = channel
        channel._add(self)

    def wants(self, packet: Packet) -> bool:
        return packet.kind is VIDEO or self._request.audio

    def send_burst(self, gop: list[bytes]) -> None:
        """Send the whole cached GOP, even if it is longer than the high-water mark."""
        if self._transport is None or not gop:
            return
        size_bytes = sum(map(len, gop))
        self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES + size_bytes, low=LOW_WATER_BYTES)
        self._in_burst = True
        self._needs_key = False
        for data in gop:
            self._transport.write(data)

    def pause_writing(self) -> None:
        self._paused = self._needs_key = True

    def resume_writing(self) -> None:
        self._paused = False

    def send_packet(self, packet: Packet, data: bytes) -> None:
        if self._transport is None or not self.wants(packet):
            return
        if packet.kind is VIDEO and packet.flags & Flags.KEY and not self._paused:
            self._needs_key = False
        if self._needs_key:  # A pause sets it, and no key frame clears it before the pause ends.
            self.dropped += 1
            if self._channel is not None:
                self._channel.dropped += 1
            return
        if self._in_burst and self._transport.get_write_buffer_size() <= LOW_WATER_BYTES:
            self._in_burst = False
            self._transport.set_write_buffer_limits(high=HIGH_WATER_BYTES, low=LOW_WATER_BYTES)
        self._transport.write(data)

    def send_control(self, data: bytes) -> None:
        """Send a state or description, even to a slow reader: they are small and rare. Disconnects a reader
        that never reads."""
        if self._transport is not None:
            self._transport.write(data)
            if self._transport.get_write_buffer_size() > MAX_WAITING_BYTES:
                self._transport.abort()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
