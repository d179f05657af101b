"""Uvicorn's WebSocket protocol with a fast path for most of its messages: frames for many viewers.

Imported only if uvicorn runs with websockets-sansio. Tested with uvicorn 0.54 and websockets 17.
"""

import struct

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

from ninjacam.front_door.messages import Message

FRAME = "ninjacam.frame"
"""The key under which a message caches its frame (RFC 6455, section 5.2), for its other recipients."""
_OPEN = State.OPEN
_BINARY = 0x82  # With FIN.
_SHORT, _LONG = struct.Struct("!BBH"), struct.Struct("!BBQ")


class SharedFrameProtocol(WebSocketsSansIOProtocol):
    """Creates the frame of a binary message once. Uvicorn creates one for each connection, in a dozen calls."""

    async def send(self, message: Message) -> None:  # type: ignore[override]
        data = message.get("bytes")
        if data is None or not self._takes_frames():
            await super().send(message)  # type: ignore[arg-type]
            return
        frame = message.get(FRAME)
        if frame is None:
            frame = message[FRAME] = binary_frame(data)
        self.transport.write(frame)

    def _takes_frames(self) -> bool:
        """Return whether uvicorn, too, would write a frame at once, and unchanged."""
        conn = self.conn
        return (
            self.handshake_complete
            and not self.disconnected
            and self.writable.is_set()
            and self.initial_response is None
            and conn.state is _OPEN
            and not conn.extensions
            and not conn.expect_continuation_frame
        )


def binary_frame(data: bytes) -> bytes:
    """Return the unmasked frame of a whole binary message, as a server sends it."""
    size_bytes = len(data)
    if size_bytes < 126:
        return bytes((_BINARY, size_bytes)) + data
    if size_bytes < 1 << 16:
        return _SHORT.pack(_BINARY, 126, size_bytes) + data
    return _LONG.pack(_BINARY, 127, size_bytes) + data
