"""The wire format of local streams: a fixed header, an extension (JSON), a payload. docs/design/0002-hub.md.

Little-endian, 80 bytes. The version covers the whole protocol. Both ends come from one installation, so an unknown
version is an error, without negotiation.
"""

import json
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from ninjacam.core.errors import ProtocolError
from ninjacam.core.packets import AUDIO, CameraState, Codec, Kind, Packet, StreamInfo, Track

MAGIC = b"NC"
VERSION = 1
MAX_PAYLOAD_BYTES = 16 << 20
"""Larger than any access unit that a source accepts (8 MB) and any 8K JPEG."""
MAX_EXTENSION_BYTES = 1 << 20

# magic, version, flags, kind, codec, stream, camera id, sequence, pts, time base, duration, captured wall ns,
# received monotonic ns, width, height, pts - dts, lease epoch, payload length, extension length
HEADER = struct.Struct("<2sBBBBHQQqIIqqHHiQII")
_KINDS = {int(kind): kind for kind in Kind}
_CODECS = {int(codec): codec for codec in Codec}


class HubMessage(NamedTuple):
    """One received message: a packet, or an extension without a packet."""

    kind: Kind
    packet: Packet | None
    extension: dict[str, Any]


def encode_packet(packet: Packet, *, camera_id: int = 0, epoch: int = 0) -> bytes:
    data = packet.data
    return (
        HEADER.pack(
            MAGIC,
            VERSION,
            packet.flags,
            packet.kind,
            packet.codec,
            0,
            camera_id,
            packet.sequence,
            packet.pts,
            packet.time_base_hz,
            packet.duration,
            packet.captured_ns,
            packet.received_ns,
            packet.width_px,
            packet.height_px,
            packet.dts_offset,
            epoch,
            len(data),
            0,
        )
        + data
    )


def encode_extension(kind: Kind, extension: dict[str, Any]) -> bytes:
    data = json.dumps(extension, separators=(",", ":")).encode()
    if len(data) > MAX_EXTENSION_BYTES:
        raise ProtocolError(f"An extension of {len(data)} bytes is too long for the local stream.")
    return HEADER.pack(MAGIC, VERSION, 0, kind, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, len(data)) + data


def encode_info(info: StreamInfo) -> bytes:
    return encode_extension(
        Kind.INFO,
        {
            "camera": info.camera,
            "state": info.state,
            "error": info.error,
            "epoch": info.epoch,
            "extra": info.extra,
            "tracks": [
                {
                    "kind": track.kind,
                    "codec": track.codec,
                    "time_base_hz": track.time_base_hz,
                    "extradata": track.extradata.hex(),
                    "width_px": track.width_px,
                    "height_px": track.height_px,
                    "sample_rate_hz": track.sample_rate_hz,
                    "channels": track.channels,
                }
                for track in info.tracks
            ],
        },
    )


def decode_info(extension: dict[str, Any]) -> StreamInfo:
    """Return the stream information of an INFO message. Raises: ProtocolError: the extension is malformed."""
    try:
        return StreamInfo(
            camera=extension["camera"],
            state=CameraState(extension["state"]),
            error=extension["error"],
            epoch=extension["epoch"],
            extra=extension["extra"],
            tracks=tuple(
                Track(
                    kind=Kind(track["kind"]),
                    codec=Codec(track["codec"]),
                    time_base_hz=track["time_base_hz"],
                    extradata=bytes.fromhex(track["extradata"]),
                    width_px=track["width_px"],
                    height_px=track["height_px"],
                    sample_rate_hz=track["sample_rate_hz"],
                    channels=track["channels"],
                )
                for track in extension["tracks"]
            ),
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise ProtocolError("The local stream's description is malformed; restart the engine.") from exc


class MessageReader:
    """Splits received bytes into messages. One per connection; calls `on_message` synchronously.

    It is a receive buffer for asyncio.BufferedProtocol: `get_buffer` and `received`. It grows to the largest message
    received, up to the limits above.
    """

    def __init__(self, on_message: Callable[[HubMessage], None], *, size_bytes: int = 1 << 16) -> None:
        self._on_message = on_message
        self._buffer = bytearray(size_bytes)
        self._start = 0  # Offset of the first unparsed byte.
        self._end = 0  # Offset behind the last received byte.

    def get_buffer(self) -> memoryview:
        if self._start == self._end:
            self._start = self._end = 0
        elif self._end == len(self._buffer):
            self._make_room(len(self._buffer))
        return memoryview(self._buffer)[self._end :]

    def _make_room(self, size_bytes: int) -> None:
        """Move unparsed data to the front. Grow so that `size_bytes` and some spare space fit."""
        pending = self._buffer[self._start : self._end]
        if size_bytes > len(self._buffer) or len(pending) * 2 > len(self._buffer):
            # Allocate a new buffer: a returned memoryview may still reference the old one.
            self._buffer = bytearray(max(size_bytes + HEADER.size, 2 * len(self._buffer)))
        self._buffer[: len(pending)] = pending
        self._start, self._end = 0, len(pending)

    def received(self, count: int) -> None:
        """Parse `count` new bytes of the buffer. Raises: ProtocolError: the data is not of this protocol."""
        self._end += count
        while self._end - self._start >= HEADER.size:
            need = self._parse_one()
            if need:
                if need > len(self._buffer) - self._start:
                    self._make_room(need)
                return

    def _parse_one(self) -> int:
        """Parse a message and return 0, or return the number of bytes that the incomplete message requires."""
        start = self._start
        (
            magic, version, flags, kind, codec, _stream, _camera_id, sequence, pts, time_base_hz, duration,
            captured_ns, received_ns, width_px, height_px, dts_offset, _epoch, payload_bytes, extension_bytes,
        ) = HEADER.unpack_from(self._buffer, start)  # fmt: skip
        if magic != MAGIC or version != VERSION:
            raise ProtocolError(
                "The peer of a local stream uses another protocol version. Restart the engine."
            )
        if payload_bytes > MAX_PAYLOAD_BYTES or extension_bytes > MAX_EXTENSION_BYTES:
            raise ProtocolError("A message of a local stream exceeds the maximum length.")
        total: int = HEADER.size + extension_bytes + payload_bytes
        if self._end - start < total:
            return total
        at = start + HEADER.size
        try:
            extension = json.loads(self._buffer[at : at + extension_bytes]) if extension_bytes else {}
            packet = None
            if kind <= AUDIO:
                at += extension_bytes
                packet = Packet(
                    _KINDS[kind], _CODECS[codec], bytes(memoryview(self._buffer)[at : at + payload_bytes]), pts,
                    received_ns, time_base_hz, duration, dts_offset, flags, captured_ns, sequence,
                    width_px, height_px,
                )  # fmt: skip
            message = HubMessage(_KINDS[kind], packet, extension)
        except (LookupError, ValueError) as exc:
            raise ProtocolError("A message of a local stream is malformed.") from exc
        self._start = start + total
        self._on_message(message)
        return 0
