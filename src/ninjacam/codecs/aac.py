"""AAC headers (ISO/IEC 14496-3): the AudioSpecificConfig (1.6.2.1) and the ADTS header (1.A.2)."""

from ninjacam.codecs.sps import BitReader
from ninjacam.core.errors import DecodeError

RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2
_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7}
_CHANNEL_COUNTS = {value: count for count, value in _CHANNELS.items()}


def low_complexity_config(sample_rate_hz: int, channels: int) -> bytes:
    """Return the AudioSpecificConfig of AAC-LC; b"" for an unknown rate or number of channels."""
    if sample_rate_hz not in RATES_HZ or channels not in _CHANNELS:
        return b""
    bits = _LOW_COMPLEXITY << 11 | RATES_HZ.index(sample_rate_hz) << 7 | _CHANNELS[channels] << 3
    return bits.to_bytes(2, "big")


def parse_config(config: bytes) -> tuple[int, int] | None:
    """Return (sample rate in Hz, number of channels) of an AudioSpecificConfig; None: malformed or reserved."""
    reader = BitReader(config)
    try:
        if reader.bits(5) == 31:
            reader.skip(6)
        index = reader.bits(4)
        rate_hz = reader.bits(24) if index == 15 else RATES_HZ[index]
        channels = _CHANNEL_COUNTS[reader.bits(4)]
    except (DecodeError, IndexError, KeyError):
        return None
    return (rate_hz, channels) if 1000 <= rate_hz <= 200_000 else None


def without_adts(data: bytes) -> bytes:
    """Return the frame after its ADTS header; b"" if there is no header, or if it covers several frames."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[6] & 3:
        return b""
    return data[7 if data[1] & 1 else 9 :]
