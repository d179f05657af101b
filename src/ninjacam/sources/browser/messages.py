"""The messages between a publishing page, the web worker that relays them, and the capture process.

A page sends binary messages, each with one FLV tag: its type (8: audio, 9: video), its timestamp in milliseconds as
32 bits, big-endian, and its data (FLV 10.1, annex E). On the Unix socket, the size of each message precedes it, as
32 bits. The web worker sends the first message there: {"key": hash of the publisher's key}. The capture process
sends JSON, which the web worker forwards: {"op": "ready"}, {"op": "ack", "t": timestamp of a frame}, {"op": "end",
"code", "message"}.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from ninjacam.core.errors import ProtocolError

MAX_MESSAGE_BYTES = 1 << 20
"""Maximum size of a page's message: more than a key frame at 20 Mbit/s. Must match uvicorn's limit in
`processes.web_worker`."""
MAX_CLAIM_BYTES = 1024
AUDIO, VIDEO = 8, 9
_HEAD_BYTES = 5
_SIZE_BYTES = 4
_KEY_CHARS = 64


class Tag(NamedTuple):
    kind: int
    timestamp_ms: int
    data: bytes


def socket_path(run_dir: Path) -> Path:
    return run_dir / "publishers.browser"


def frame(message: bytes) -> bytes:
    """Return a message with the framing of the Unix socket."""
    return len(message).to_bytes(_SIZE_BYTES, "big") + message


def encode(**values: Any) -> bytes:
    return frame(json.dumps(values).encode())


class FrameReader:
    """Splits the bytes of the Unix socket into messages. Buffers at most one message and the data that was read with
    it."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Raises: ProtocolError: a message is too large."""
        buffer, at = self._rest + data if self._rest else data, 0
        self._rest = b""
        while len(buffer) - at >= _SIZE_BYTES:
            start = at + _SIZE_BYTES
            stop = start + int.from_bytes(buffer[at:start], "big")
            if stop - start > MAX_MESSAGE_BYTES:
                raise ProtocolError("The publisher sends a message that is too large.")
            if stop > len(buffer):
                break
            at = stop
            yield buffer[start:stop]
        self._rest = buffer[at:]


def parse_claim(message: bytes) -> str:
    """Return the hash of the publisher's key. Raises: ProtocolError."""
    try:
        key = json.loads(message)["key"] if len(message) <= MAX_CLAIM_BYTES else None
    except (ValueError, TypeError, KeyError, RecursionError):
        key = None
    if not isinstance(key, str) or len(key) != _KEY_CHARS:
        raise ProtocolError("The first message must name the key.")
    return key


def parse_tag(message: bytes) -> Tag:
    """Raises: ProtocolError."""
    if len(message) <= _HEAD_BYTES or message[0] not in (AUDIO, VIDEO):
        raise ProtocolError("The page sent a message that is not audio or video.")
    return Tag(message[0], int.from_bytes(message[1:_HEAD_BYTES], "big"), message[_HEAD_BYTES:])
