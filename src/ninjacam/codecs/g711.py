"""Encodes PCM as G.711 (ITU-T G.711): µ-law and A-law, with a table for all 16-bit samples."""

import sys
from array import array
from functools import lru_cache
from typing import Literal

Law = Literal["ulaw", "alaw"]

_BIAS = 132
"""Added to the magnitude, so that the position of the highest bit is the segment (µ-law)."""
_MAX_MAGNITUDE = 32_635


def encode_g711(pcm: bytes, law: Law) -> bytes:
    """Return one byte per sample. `pcm`: 16 bits, little-endian, mono; a whole number of samples."""
    samples = array("H", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return bytes(map(_table(law).__getitem__, samples))


@lru_cache(maxsize=2)
def _table(law: Law) -> bytes:
    """Return the codes of all samples, indexed by the sample as an unsigned number."""
    encode = _ulaw if law == "ulaw" else _alaw
    return bytes(encode(unsigned - 65536 if unsigned & 0x8000 else unsigned) for unsigned in range(65536))


def _ulaw(sample: int) -> int:
    magnitude = min(abs(sample), _MAX_MAGNITUDE) + _BIAS
    segment = magnitude.bit_length() - 8
    mantissa = magnitude >> (segment + 3) & 0x0F
    return ~((0x80 if sample < 0 else 0) | segment << 4 | mantissa) & 0xFF


def _alaw(sample: int) -> int:
    value = sample >> 3
    toggled = 0xD5 if value >= 0 else 0x55
    value = value if value >= 0 else -value - 1
    segment = max(0, value.bit_length() - 5)
    return (segment << 4 | value >> max(1, segment) & 0x0F) ^ toggled
