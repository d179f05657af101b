"""Bytes as a camera puts them on the wire, made by hand."""

import struct
from collections.abc import Iterable

from ninjacam.core.packets import Flags, Packet

SPS = bytes.fromhex("674d401fdb014016e840000003004000000c83c60cb8")
OTHER_SPS = bytes.fromhex("67640028acd940780227e584000003000400000300c83c60c658")
PPS = bytes.fromhex("68eacf20")
IDR = b"\x65\x88" + bytes(range(1, 200))
SLICE = b"\x41\x9a" + bytes(range(1, 100))
SSRC = 0x1234


def rtp(
    sequence: int, timestamp: int, payload: bytes, *, marker: bool = False, kind: int = 96, ssrc: int = SSRC
) -> bytes:
    return (
        struct.pack(">BBHII", 0x80, kind | marker << 7, sequence & 0xFFFF, timestamp & 0xFFFF_FFFF, ssrc)
        + payload
    )


def interleaved(packets: Iterable[bytes], channel: int = 0) -> bytes:
    return b"".join(b"$" + bytes([channel]) + len(packet).to_bytes(2, "big") + packet for packet in packets)


def fu_a(nal: bytes, size: int) -> list[bytes]:
    """FU-A payloads of `size` bytes of the NAL unit each."""
    body = nal[1:]
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    last = len(pieces) - 1
    return [
        bytes([nal[0] & 0xE0 | 28, nal[0] & 0x1F | (index == 0) << 7 | (index == last) << 6]) + piece
        for index, piece in enumerate(pieces)
    ]


def stap_a(*nals: bytes) -> bytes:
    return b"\x78" + b"".join(len(nal).to_bytes(2, "big") + nal for nal in nals)


class Sink:
    """Collects packets."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []

    def __call__(self, packet: Packet) -> None:
        self.packets.append(packet)

    @property
    def data(self) -> list[bytes]:
        return [packet.data for packet in self.packets]

    @property
    def disconts(self) -> int:
        return sum(bool(packet.flags & Flags.DISCONT) for packet in self.packets)
