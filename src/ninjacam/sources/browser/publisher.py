"""The server side of one browser publisher, whose messages a web worker relays."""

import asyncio

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProtocolError, SourceError, SourceTimeoutError
from ninjacam.sources.browser.messages import VIDEO, FrameReader, encode, parse_claim, parse_tag
from ninjacam.sources.flv_publisher import FlvPublisher
from ninjacam.sources.publish import Places
from ninjacam.sources.publisher_port import OPENING_S

ACKNOWLEDGE_EVERY_MS = 200
"""Milliseconds between two acknowledged frames, from which the page measures its delay."""
_MAX_UNSENT_BYTES = 65_536


class BrowserPublisher(FlvPublisher, asyncio.Protocol):
    """The protocol of one connection of a web worker. It has OPENING_S seconds until its first frame."""

    def __init__(self, places: Places, clock: Clock) -> None:
        super().__init__(places, clock)
        self._reader = FrameReader()
        self._opening: asyncio.TimerHandle | None = None
        self._acknowledged_ms = -ACKNOWLEDGE_EVERY_MS

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._opening = asyncio.get_running_loop().call_later(OPENING_S, self._expire)

    def _expire(self) -> None:
        if not self.is_publishing:
            self.end(SourceTimeoutError("The publisher did not send video in time."))

    def data_received(self, data: bytes) -> None:
        self.stats.bytes_received += len(data)
        try:
            for message in self._reader.feed(data):
                if self.ended.done():
                    return
                self._take(message)
        except SourceError as error:
            self.end(error)

    def _take(self, message: bytes) -> None:
        """Raises: SourceError."""
        if self._place is not None:
            tag = parse_tag(message)
            if tag.kind != VIDEO:
                self._take_audio(tag.data, tag.timestamp_ms)
                return
            self._take_video(tag.data, tag.timestamp_ms)
            if abs(tag.timestamp_ms - self._acknowledged_ms) >= ACKNOWLEDGE_EVERY_MS:
                self._acknowledged_ms = tag.timestamp_ms
                self._send(encode(op="ack", t=tag.timestamp_ms))
        elif self._claiming is not None:
            raise ProtocolError("The page sends media before it has been admitted.")
        else:
            self._claiming = asyncio.create_task(self._claim(parse_claim(message)), name="browser-claim")

    async def _claim(self, key_hash: str) -> None:
        try:
            place = await self._places.claim_hash(key_hash, self)
        except SourceError as error:
            self.end(error)
            return
        if self.ended.done():
            place.leave()
            return
        self._place = place
        self._expects_audio = place.config.audio
        self._send(encode(op="ready", audio=place.config.audio))

    def _send(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() < _MAX_UNSENT_BYTES:
            transport.write(data)

    def _disconnect(self, error: SourceError) -> None:
        if self._opening is not None:
            self._opening.cancel()
        if self._transport is not None and not self._transport.is_closing():
            self._send(encode(op="end", code=error.code, message=error.message))
            self._transport.close()  # After the message has been sent.
