"""Detects the codec of RTP payloads from their parameter sets, because the SDP may be wrong."""

from ninjacam.codecs.bitstream import START_CODE, nal_type, parse_sps
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec

_AGGREGATION = {Codec.H264: (24, 3), Codec.H265: (48, 4)}
"""The NAL type of an aggregation packet, and the offset of its first NAL unit (RFC 6184, 5.7.1; RFC 7798, 4.4.2)."""
_SPS = {Codec.H264: 7, Codec.H265: 33}
_H265_VPS = 32
_VPS_RESERVED = b"\xff\xff"
"""The value of bytes 4 and 5 of each video parameter set (H.265, 7.3.2.1)."""


def codec_of_payload(payload: bytes) -> Codec | None:
    """Return H264 or H265 if the payload is, or begins with, an unmistakable parameter set of that codec."""
    for codec, (aggregation, first) in _AGGREGATION.items():
        nal = payload.removeprefix(START_CODE)
        if nal and nal_type(codec, nal[0]) == aggregation:
            nal = _first_of(nal, first)
        if nal and _is_parameter_set(codec, nal):
            return codec
    return None


def _first_of(aggregate: bytes, start: int) -> bytes:
    return aggregate[start : start + int.from_bytes(aggregate[start - 2 : start], "big")]


def _is_parameter_set(codec: Codec, nal: bytes) -> bool:
    kind = nal_type(codec, nal[0])
    if codec is Codec.H265 and kind == _H265_VPS:
        return nal[0] & 0x81 == 0 and nal[4:6] == _VPS_RESERVED
    if kind != _SPS[codec] or nal[0] & 0x80:
        return False
    try:
        parse_sps(codec, nal)
    except DecodeError:
        return False
    return True
