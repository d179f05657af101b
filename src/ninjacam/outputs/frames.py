"""Binary messages of the live WebSocket: a header of 36 bytes, then one frame. Little-endian.

version u8, flags u8, stream u16, sequence u32, pts_us i64, captured_us i64 (wall clock; 0: unknown), duration_us
u32, width u16, height u16, reserved u32.
"""

import struct

from ninjacam.core.packets import Flags, Packet

VERSION = 1
HEADER = struct.Struct("<BBHIqqIHHI")
SHOWN_FLAGS = Flags.KEY | Flags.CONFIG | Flags.DISCONT


def encode_frame(packet: Packet, payload: bytes, *, stream: int, flags: int) -> bytes:
    """Return a message. `stream`: the number from the "stream" message. `flags`: only those of `SHOWN_FLAGS` are
    sent."""
    hz = packet.time_base_hz
    return (
        HEADER.pack(
            VERSION,
            flags & SHOWN_FLAGS,
            stream,
            packet.sequence & 0xFFFF_FFFF,
            packet.pts * 1_000_000 // hz,
            packet.captured_ns // 1000,
            min(packet.duration * 1_000_000 // hz, 0xFFFF_FFFF),
            min(packet.width_px, 0xFFFF),
            min(packet.height_px, 0xFFFF),
            0,
        )
        + payload
    )
