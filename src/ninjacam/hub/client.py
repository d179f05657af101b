"""The reading end of a local stream."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import ProtocolError, StreamUnavailableError
from ninjacam.core.lifecycle import Stop
from ninjacam.core.packets import Kind, Packet, StreamInfo
from ninjacam.core.unix_sockets import unix_address
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.wire import HubMessage, MessageReader, decode_info, encode_extension

RETRY_FIRST_S = 0.02
MAX_RETRY_S = 0.25
"""Maximum seconds between attempts. A local connection costs little, and its server restarts within a second
or two."""


class RefusedError(StreamUnavailableError):
    """The server refused the subscription. `details`: `as_dict()` of the error."""

    code = "refused"
    retryable = False

    def __init__(self, details: dict[str, object]) -> None:
        super().__init__(str(details.get("message", "The local stream refused the subscription.")))
        self.details = details


class StreamSubscription:
    """Reads one stream until closed, reconnecting as necessary. Owner: its event loop.

    `on_packet(packet)`, `on_info(info)`: called in the loop, synchronously, in order. `on_info(None)`: the
    connection is lost and is being retried; the next packet is a key frame. `max_retry_s`: maximum seconds
    between two attempts.
    """

    def __init__(
        self,
        path: Path,
        request: StreamRequest,
        *,
        on_packet: Callable[[Packet], None],
        on_info: Callable[[StreamInfo | None], None],
        max_retry_s: float = MAX_RETRY_S,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self.path = path
        self.request = request
        self._on_packet = on_packet
        self._on_info = on_info
        self._max_retry_s = max_retry_s
        self._clock = clock
        self._stop = Stop()
        self._closed = False
        self._transport: asyncio.Transport | None = None

    async def run(self) -> None:
        """Run until `close`. Raises: RefusedError: the server does not have this stream."""
        delay_s = RETRY_FIRST_S
        while not self._stop.is_set():
            try:
                connection = await self._connect()
            except OSError:
                delay_s = min(self._max_retry_s, delay_s * 2)
            else:
                if await connection.lost:
                    delay_s = RETRY_FIRST_S
                if connection.refused is not None:
                    raise RefusedError(connection.refused)
                if not self._stop.is_set():
                    self._on_info(None)
            await self._stop.sleep(delay_s, self._clock)

    async def _connect(self) -> "_Connection":
        loop = asyncio.get_running_loop()
        with unix_address(self.path) as address:
            _, connection = await loop.create_unix_connection(lambda: _Connection(self), address)
        self._transport = connection.transport
        connection.transport.write(encode_extension(Kind.SUBSCRIBE, self.request.as_dict()))
        if self._stop.is_set():
            connection.transport.abort()
        return connection

    def pause(self) -> None:
        """Stop reading until `resume`; the server then skips to the next key frame."""
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None:
            with contextlib.suppress(RuntimeError):
                self._transport.resume_reading()

    def close(self) -> None:
        """Idempotent; `run` returns soon afterwards."""
        self._closed = True
        self._stop.set()
        if self._transport is not None:
            self._transport.abort()


class _Connection(asyncio.BufferedProtocol):
    transport: asyncio.Transport

    def __init__(self, owner: StreamSubscription) -> None:
        self._owner = owner
        self._reader = MessageReader(self._on_message)
        self._heard = False
        self.lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        """Completed when the connection ends. Result: whether anything was received on it."""
        self.refused: dict[str, object] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's transports are not asyncio's.

    def connection_lost(self, exc: Exception | None) -> None:
        del self._reader  # Free its buffer at once: it is part of a reference cycle.
        if not self.lost.done():
            self.lost.set_result(self._heard)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        try:
            self._reader.received(nbytes)
        except ProtocolError:
            self.transport.abort()

    def _on_message(self, message: HubMessage) -> None:
        if self._owner._closed:
            return
        self._heard = True
        if message.packet is not None:
            self._owner._on_packet(message.packet)
        elif message.kind is Kind.INFO:
            self._owner._on_info(decode_info(message.extension))
        elif message.kind is Kind.ERROR:
            self.refused = message.extension


async def read_one(path: Path, request: StreamRequest, *, timeout_s: float) -> Packet:
    """Return the first video packet of a stream: its latest key frame or JPEG.

    Raises: RefusedError, StreamUnavailableError (nothing arrived within `timeout_s`).
    """
    first: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()

    def on_packet(packet: Packet) -> None:
        if not first.done() and packet.kind is Kind.VIDEO:
            first.set_result(packet)

    subscription = StreamSubscription(path, request, on_packet=on_packet, on_info=lambda _info: None)
    run = asyncio.ensure_future(subscription.run())
    try:
        await asyncio.wait((first, run), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if first.done():
            return first.result()
        if run.done():
            run.result()  # raises
        raise StreamUnavailableError(f"No frame came from {path.stem} within {timeout_s:g} s.")
    finally:
        subscription.close()
        with contextlib.suppress(RefusedError):
            await run
