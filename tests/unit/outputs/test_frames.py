import struct

from ninjacam.core.packets import Codec, Flags, Kind, Packet
from ninjacam.outputs.frames import HEADER, encode_frame


def test_the_header_has_36_bytes_in_the_agreed_order() -> None:
    packet = Packet(
        Kind.VIDEO, Codec.H264, b"unit", 90_000, 0, duration=3600, captured_ns=1_234_567, sequence=(1 << 32) + 5,
        width_px=1280, height_px=720,
    )  # fmt: skip
    data = encode_frame(packet, packet.data, stream=7, flags=Flags.KEY | Flags.DISCONT)
    assert HEADER.size == 36 and data[36:] == b"unit"
    assert struct.unpack("<BBHIqqIHHI", data[:36]) == (1, 5, 7, 5, 1_000_000, 1234, 40_000, 1280, 720, 0)


def test_internal_flags_are_not_sent_to_clients() -> None:
    packet = Packet(Kind.VIDEO, Codec.H264, b"", -90, 0)
    data = encode_frame(packet, b"", stream=1, flags=Flags.CORRUPT | Flags.CONFIG)
    assert data[1] == 2
    assert HEADER.unpack(data)[4] == -1000
