"""Fragmented MP4 for live players: an init segment from the parameter sets, one moof+mdat per frame, no delay.

Media Source Extensions and all players support it. The boxes: `ninjacam.containers.mp4`.
"""

import struct

from ninjacam.codecs.bitstream import ParameterSets, SpsInfo, to_length_prefixed
from ninjacam.containers.mp4 import (
    OTHER_SAMPLE,
    SYNC_SAMPLE,
    Mp4Track,
    encode_avcc,
    encode_header,
    encode_hvcc,
    video_entry,
)
from ninjacam.core.packets import Codec, Packet

__all__ = ["encode_avcc", "encode_fragment", "encode_hvcc", "encode_init"]

_DEFAULT_DURATION_S = 0.04

_MOOF_BYTES = 104
# moof, mfhd, traf, tfhd (default-base-is-moof), tfdt (64 bit), trun (version 1: data offset, and the sample's
# duration, size, flags and signed composition offset)
_FRAGMENT = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIIIIIIi I4s")


def encode_init(codec: Codec, sets: ParameterSets, info: SpsInfo, *, time_base_hz: int) -> bytes:
    """Return ftyp + moov of one video track. Raises: EncodeError: the codec is not supported in MP4."""
    entry = video_entry(codec, sets, info)
    return encode_header([Mp4Track(1, time_base_hz, entry, info.width_px, info.height_px)])


def encode_fragment(packet: Packet) -> bytes:
    """Return moof + mdat of one access unit (Annex B). Times: the packet's own ticks; decode time = pts -
    dts_offset.
    """
    sample = to_length_prefixed(packet.data)
    size = len(sample)
    head = _FRAGMENT.pack(
        _MOOF_BYTES, b"moof",
        16, b"mfhd", 0, packet.sequence & 0xFFFF_FFFF,
        _MOOF_BYTES - 24, b"traf",
        16, b"tfhd", 0x020000, 1,
        20, b"tfdt", 0x01000000, max(0, packet.pts - packet.dts_offset),
        36, b"trun", 0x01000F01, 1, _MOOF_BYTES + 8,
        packet.duration or int(packet.time_base_hz * _DEFAULT_DURATION_S),
        size,
        SYNC_SAMPLE if packet.is_key else OTHER_SAMPLE,
        packet.dts_offset,
        8 + size, b"mdat",
    )  # fmt: skip
    return head + sample
