"""RTMP's chunk stream (section 5.3): reassembles messages that arrive in interleaved chunks, and writes messages."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from ninjacam.core.errors import ProtocolError

DEFAULT_CHUNK_BYTES = 128
MAX_MESSAGE_BYTES = 8 << 20
"""Maximum size of one message, and of all messages that are incomplete at the same time."""
MAX_CHUNK_STREAMS = 32
_EXTENDED = 0xFF_FFFF
_CONTROL_STREAM = 2
_HEADER_BYTES = (11, 7, 3, 0)
"""Size of the chunk's header by its format."""


class MessageType(IntEnum):
    SET_CHUNK_SIZE = 1
    ABORT = 2
    ACKNOWLEDGEMENT = 3
    USER_CONTROL = 4
    WINDOW_SIZE = 5
    SET_PEER_BANDWIDTH = 6
    AUDIO = 8
    VIDEO = 9
    DATA_AMF3 = 15
    COMMAND_AMF3 = 17
    DATA = 18
    COMMAND = 20
    AGGREGATE = 22


@dataclass(frozen=True, slots=True)
class Message:
    """An RTMP message. `kind`: a MessageType, or another number. `timestamp_ms`: 32 bits, wraps around. `stream_id`:
    of the message stream that `createStream` created."""

    kind: int
    timestamp_ms: int
    stream_id: int
    data: bytes


@dataclass(slots=True)
class _ChunkStream:
    """The last header of a chunk stream, to which the next chunk may refer, and the received part of its message."""

    timestamp_ms: int = 0
    step_ms: int = 0
    size: int = 0
    kind: int = 0
    stream_id: int = 0
    is_extended: bool = False
    parts: bytearray = field(default_factory=bytearray)


class ChunkReader:
    """Converts received bytes to messages. Processes the messages that change the chunk size or abort a message."""

    def __init__(self) -> None:
        self._chunk_bytes = DEFAULT_CHUNK_BYTES
        self._streams: dict[int, _ChunkStream] = {}
        self._rest = b""
        self._pending_bytes = 0

    def feed(self, data: bytes | memoryview) -> Iterator[Message]:
        """Yield the messages that are complete now. Raises: ProtocolError."""
        buffer = self._rest + data if self._rest else bytes(data)
        at = 0
        while True:
            after, message = self._read_chunk(buffer, at)
            if after == at:
                break
            at = after
            if message is not None and not self._obey(message):
                yield message
        self._rest = buffer[at:]

    def _read_chunk(self, buffer: bytes, start: int) -> tuple[int, Message | None]:
        """Return (the position after the chunk, the message if it is complete now); `start` if bytes are missing."""
        available = len(buffer)
        if available == start:
            return start, None
        form, number = buffer[start] >> 6, buffer[start] & 0x3F
        at = start + (2 + number if number < 2 else 1)  # Large numbers follow in one or two bytes.
        body_at = at + _HEADER_BYTES[form]
        if available < body_at:
            return start, None
        stream = self._find(
            number if number > 1 else 64 + int.from_bytes(buffer[start + 1 : at], "little"), form
        )
        head = buffer[at:body_at]
        time_ms = int.from_bytes(head[:3], "big")
        is_extended = time_ms == _EXTENDED if form < 3 else stream.is_extended
        if is_extended:
            if available < body_at + 4:
                return start, None
            extended_ms = int.from_bytes(buffer[body_at : body_at + 4], "big")
            if form < 3 or extended_ms in (stream.timestamp_ms, stream.step_ms):
                time_ms, body_at = extended_ms, body_at + 4  # Some encoders do not repeat it in later chunks.
        size = int.from_bytes(head[3:6], "big") if form < 2 else stream.size
        if size > MAX_MESSAGE_BYTES:
            raise ProtocolError("The publisher sends a message that is too large.")
        stop = body_at + min(self._chunk_bytes, size - (len(stream.parts) if form == 3 else 0))
        if available < stop:
            return start, None
        self._take_header(stream, form, head, time_ms, size, is_extended)
        return stop, self._add(stream, buffer[body_at:stop])

    def _find(self, number: int, form: int) -> _ChunkStream:
        """Raises: ProtocolError."""
        stream = self._streams.get(number)
        if stream is None:
            if form:
                raise ProtocolError("This is not RTMP: a chunk refers to a header that was never sent.")
            if len(self._streams) >= MAX_CHUNK_STREAMS:
                raise ProtocolError("The publisher uses too many chunk streams.")
            stream = self._streams[number] = _ChunkStream()
        return stream

    def _take_header(
        self, stream: _ChunkStream, form: int, head: bytes, time_ms: int, size: int, is_extended: bool
    ) -> None:
        """Process a header. A header in the middle of a message begins another message and discards the incomplete
        one."""
        if form == 3:
            if not stream.parts:
                stream.timestamp_ms = stream.timestamp_ms + stream.step_ms & 0xFFFF_FFFF
            return
        self._pending_bytes -= len(stream.parts)
        stream.parts.clear()
        stream.is_extended = is_extended
        if form == 0:
            stream.timestamp_ms, stream.step_ms = time_ms, 0
            stream.stream_id = int.from_bytes(head[7:11], "little")
        else:
            stream.step_ms = time_ms
            stream.timestamp_ms = stream.timestamp_ms + time_ms & 0xFFFF_FFFF
        if form < 2:
            stream.size, stream.kind = size, head[6]

    def _add(self, stream: _ChunkStream, body: bytes) -> Message | None:
        if len(stream.parts) + len(body) < stream.size:
            stream.parts += body
            self._pending_bytes += len(body)
            if self._pending_bytes > MAX_MESSAGE_BYTES:
                raise ProtocolError("The publisher sends too many messages at the same time.")
            return None
        self._pending_bytes -= len(stream.parts)
        data = bytes(stream.parts) + body if stream.parts else body
        stream.parts = bytearray()
        return Message(stream.kind, stream.timestamp_ms, stream.stream_id, data)

    def _obey(self, message: Message) -> bool:
        """Process a message for the chunk reader. Return whether it was one."""
        if message.kind == MessageType.SET_CHUNK_SIZE:
            size = int.from_bytes(message.data[:4], "big") & 0x7FFF_FFFF
            if len(message.data) < 4 or not size >= 1:
                raise ProtocolError("The publisher sets an invalid chunk size.")
            self._chunk_bytes = min(size, MAX_MESSAGE_BYTES)
            return True
        if message.kind == MessageType.ABORT:
            stream = self._streams.get(int.from_bytes(message.data[:4], "big"))
            if stream is not None:
                self._pending_bytes -= len(stream.parts)
                stream.parts.clear()
            return True
        return False


def write_message(kind: int, data: bytes, *, chunk_stream: int = 3, stream_id: int = 0) -> bytes:
    """Return the message in chunks of the default size, with the timestamp 0. `chunk_stream`: 2 to 63."""
    head = bytes((chunk_stream, 0, 0, 0)) + len(data).to_bytes(3, "big") + bytes((kind,))
    head += stream_id.to_bytes(4, "little")
    parts = [head, data[:DEFAULT_CHUNK_BYTES]]
    for at in range(DEFAULT_CHUNK_BYTES, len(data), DEFAULT_CHUNK_BYTES):
        parts += [bytes((0xC0 | chunk_stream,)), data[at : at + DEFAULT_CHUNK_BYTES]]
    return b"".join(parts)


def write_control(kind: MessageType, value: int, tail: bytes = b"") -> bytes:
    """Return a protocol control message (section 5.4) with one number of 32 bits."""
    return write_message(kind, value.to_bytes(4, "big") + tail, chunk_stream=_CONTROL_STREAM)
