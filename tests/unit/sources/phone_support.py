"""FLV tags as a publishing page sends them."""

import struct

from ninjacam.testing.packets import H264_PPS, h264_sps

_SPS = h264_sps(640, 360)
AVCC = (
    b"\x17\x00\0\0\0\x01"
    + _SPS[1:4]
    + b"\xff\xe1"
    + struct.pack(">H", len(_SPS))
    + _SPS
    + b"\x01"
    + struct.pack(">H", len(H264_PPS))
    + H264_PPS
)
KEY_FRAME = b"\x17\x01\0\0\0" + struct.pack(">I", 5) + b"\x65\x88\x84\x00\x10"
MU_LAW = b"\x82" + bytes(320)
AAC_CONFIG, AAC_FRAME = b"\xaf\x00\x11\x88", b"\xaf\x01abc"


def tag(kind: int, timestamp_ms: int, data: bytes) -> bytes:
    """Return the message of a page."""
    return bytes((kind,)) + struct.pack(">I", timestamp_ms) + data
