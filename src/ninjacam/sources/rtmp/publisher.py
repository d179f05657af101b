"""One publisher over RTMP: handshake, commands and media."""

import asyncio
import logging
from typing import Any

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProtocolError, SourceEndedError, SourceError
from ninjacam.sources.flv_publisher import FlvPublisher
from ninjacam.sources.publish import Places
from ninjacam.sources.rtmp.amf import read_values, write_values
from ninjacam.sources.rtmp.chunks import ChunkReader, Message, MessageType, write_control, write_message

logger = logging.getLogger("ninjacam.sources")

VERSION = 3
HANDSHAKE_BYTES = 1536
MAX_COMMAND_BYTES = 65_536
MAX_COMMANDS = 64
"""Maximum number of commands before the publisher sends media."""
WINDOW_BYTES = 2_500_000
STREAM_ID = 1
_MAX_UNSENT_BYTES = 65_536
_BUFFER_BYTES = 1 << 17
_PING, _PONG = 6, 7


class RtmpPublisher(FlvPublisher, asyncio.BufferedProtocol):
    """The protocol of one connection."""

    def __init__(self, places: Places, clock: Clock) -> None:
        super().__init__(places, clock)
        self._buffer = bytearray(_BUFFER_BYTES)
        self._interval_s = 0.0
        self._resting: asyncio.TimerHandle | None = None
        self._shake = bytearray()
        self._steps = 0
        """Handshake state. 0: waiting for C0 and C1; 1: waiting for C2; 2: done."""
        self._chunks = ChunkReader()
        self._commands = 0
        self._window_bytes = WINDOW_BYTES
        self._acknowledged = 0
        self._app = ""

    # The connection -----------------------------------------------------------------------------------------------

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._consume(bytes(memoryview(self._buffer)[:nbytes]))
        if self._interval_s and nbytes < _BUFFER_BYTES:  # The socket has been drained.
            self._rest()

    def _consume(self, data: bytes) -> None:
        self.stats.bytes_received += len(data)
        try:
            if self._steps < 2:
                data = self._shake_hands(data)
            for message in self._chunks.feed(data):
                self._take(message)
                if self.ended.done():
                    return
            self._acknowledge()
        except SourceError as error:
            self.end(error)

    def _shake_hands(self, data: bytes) -> bytes:
        """Return the data after the handshake. Raises: ProtocolError."""
        self._shake += data
        if self._steps == 0 and self._shake:
            if self._shake[0] != VERSION:
                raise ProtocolError("This is not RTMP.")
            if len(self._shake) > HANDSHAKE_BYTES:
                asked = bytes(self._shake[1 : 1 + HANDSHAKE_BYTES])
                del self._shake[: 1 + HANDSHAKE_BYTES]
                self._steps = 1
                self._write(bytes((VERSION,)) + bytes(HANDSHAKE_BYTES) + asked)
        if self._steps == 1 and len(self._shake) >= HANDSHAKE_BYTES:
            rest = bytes(self._shake[HANDSHAKE_BYTES:])
            self._shake.clear()
            self._steps = 2
            return rest
        return b""

    def _acknowledge(self) -> None:
        if self.stats.bytes_received - self._acknowledged >= self._window_bytes // 2:
            self._acknowledged = self.stats.bytes_received
            self._write(write_control(MessageType.ACKNOWLEDGEMENT, self._acknowledged & 0xFFFF_FFFF))

    def _write(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.end(SourceEndedError("The publisher does not read our answers."))

    # Messages -----------------------------------------------------------------------------------------------------

    def _take(self, message: Message) -> None:
        if message.kind in (MessageType.VIDEO, MessageType.AUDIO, MessageType.AGGREGATE):
            if self._place is None:
                raise ProtocolError("The publisher sends media before it has been admitted.")
            self._take_media(message.kind, message.data, message.timestamp_ms)
        elif message.kind in (MessageType.COMMAND, MessageType.COMMAND_AMF3):
            self._commands += 1
            if self._commands > MAX_COMMANDS and not self.is_publishing:
                raise ProtocolError("The publisher sends too many commands.")
            self._command(_values_of(message))
        elif message.kind in (MessageType.DATA, MessageType.DATA_AMF3):
            self._read_metadata(_values_of(message))
        elif message.kind == MessageType.WINDOW_SIZE:
            self._window_bytes = max(65_536, int.from_bytes(message.data[:4], "big"))
        elif message.kind == MessageType.USER_CONTROL and message.data[:2] == _PING.to_bytes(2, "big"):
            self._write(
                write_message(MessageType.USER_CONTROL, bytes((0, _PONG)) + message.data[2:6], chunk_stream=2)
            )

    def _take_media(self, kind: int, data: bytes, timestamp_ms: int) -> None:
        if kind == MessageType.VIDEO:
            self._take_video(data, timestamp_ms)
        elif kind == MessageType.AUDIO:
            self._take_audio(data, timestamp_ms)
        else:
            self._split_aggregate(data, timestamp_ms)

    def _split_aggregate(self, data: bytes, timestamp_ms: int) -> None:
        """Read the FLV tags of an aggregate message (section 7.1.6), whose timestamps are relative to the first one."""
        at, first_ms = 0, -1
        while at + 11 <= len(data):
            stop = at + 11 + int.from_bytes(data[at + 1 : at + 4], "big")
            time_ms = int.from_bytes(data[at + 4 : at + 7], "big") | data[at + 7] << 24
            first_ms = time_ms if first_ms < 0 else first_ms
            if data[at] in (MessageType.VIDEO, MessageType.AUDIO) and stop <= len(data):
                self._take_media(
                    data[at], data[at + 11 : stop], timestamp_ms + time_ms - first_ms & 0xFFFF_FFFF
                )
            at = stop + 4

    def _read_metadata(self, values: list[Any]) -> None:
        for value in values:
            if isinstance(value, dict):
                self._expects_audio = bool(value.get("audiocodecid") or value.get("hasAudio"))

    # Commands -----------------------------------------------------------------------------------------------------

    def _command(self, values: list[Any]) -> None:
        name, number = (*values, None, None)[:2]
        if not isinstance(name, str) or not isinstance(number, float):
            raise ProtocolError("The publisher sent a malformed command.")
        if name == "connect":
            self._connect(number, values)
        elif name == "createStream":
            self._answer("_result", number, None, STREAM_ID)
        elif name in ("releaseStream", "FCPublish", "_checkbw", "getStreamLength"):
            self._answer("_result", number, None, None)
        elif name == "publish":
            self._publish(values)
        elif name in ("FCUnpublish", "deleteStream", "closeStream"):
            if self._place is not None:
                self.end(SourceEndedError("The publisher ended the stream."))
        elif name == "play":
            self._refuse("NetStream.Play.StreamNotFound", "This port only accepts publishers.")

    def _connect(self, number: float, values: list[Any]) -> None:
        properties = values[2] if len(values) > 2 and isinstance(values[2], dict) else {}
        self._app = str(properties.get("app", ""))[:300]
        self._write(write_control(MessageType.WINDOW_SIZE, WINDOW_BYTES))
        self._write(write_control(MessageType.SET_PEER_BANDWIDTH, WINDOW_BYTES, b"\x02"))
        information = {
            "level": "status",
            "code": "NetConnection.Connect.Success",
            "description": "Connected.",
            "objectEncoding": 0,
            "fourCcList": ["avc1", "hvc1", "mp4a"],
        }
        self._answer("_result", number, {"fmsVer": "FMS/3,0,1,123", "capabilities": 31}, information)

    def _publish(self, values: list[Any]) -> None:
        if self._claiming is not None:
            raise ProtocolError("The publisher asks to publish twice.")
        stream = str(values[3]) if len(values) > 3 else ""
        parts = [part for part in f"{self._app}/{stream}".partition("?")[0].split("/") if part]
        if len(parts) != 2 or parts[0] != "publish":
            self._refuse("NetStream.Publish.BadName", "Publish to rtmp://HOST/publish/KEY.")
            return
        self._pause()
        self._claiming = asyncio.create_task(self._claim(parts[1]), name="rtmp-claim")

    async def _claim(self, key: str) -> None:
        try:
            place = await self._places.claim(key, self)
        except SourceError as error:
            self._refuse("NetStream.Publish.BadName", str(error))
            return
        if self.ended.done():
            place.leave()
            return
        self._place = place
        self._status("status", "NetStream.Publish.Start", "Publishing.")
        self._resume()

    def _answer(self, name: str, number: float, *values: Any) -> None:
        self._write(write_message(MessageType.COMMAND, write_values(name, number, *values)))

    def _status(self, level: str, code: str, description: str) -> None:
        values = write_values("onStatus", 0, None, {"level": level, "code": code, "description": description})
        self._write(write_message(MessageType.COMMAND, values, stream_id=STREAM_ID))

    def _refuse(self, code: str, description: str) -> None:
        self._status("error", code, description)
        if self._transport is not None:
            self._transport.close()  # After the response has been sent.

    # Periodic reading ---------------------------------------------------------------------------------------------

    def relax(self, interval_s: float) -> None:
        """Read only at multiples of `interval_s` on the loop's clock, so that many publishers wake this process
        together. 0: at once, the default. Not used with TLS, which loses buffered data at the end."""
        if self._transport is None or self._transport.get_extra_info("ssl_object") is not None:
            return
        self._interval_s = interval_s
        if not interval_s and self._resting is not None:
            self._resting.cancel()
            self._wake()

    def _rest(self) -> None:
        if self._transport is None or self._transport.is_closing() or self._resting is not None:
            return
        self._transport.pause_reading()
        loop = asyncio.get_running_loop()
        # uvloop's clock has millisecond resolution: the millisecond before a multiple counts as the multiple.
        delay_s = self._interval_s - (loop.time() + 0.001) % self._interval_s + 0.001
        self._resting = loop.call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._resting = None
        self._resume()

    def _disconnect(self, error: SourceError) -> None:
        if self._resting is not None:
            self._resting.cancel()
        super()._disconnect(error)


def _values_of(message: Message) -> list[Any]:
    """Raises: ProtocolError."""
    if len(message.data) > MAX_COMMAND_BYTES:
        raise ProtocolError("The publisher sent a command that is too long.")
    is_amf3 = message.kind in (MessageType.COMMAND_AMF3, MessageType.DATA_AMF3)
    return read_values(message.data[1:] if is_amf3 and message.data[:1] == b"\0" else message.data)
