"""AAC headers (ISO/IEC 14496-3): the AudioSpecificConfig (1.6.2.1) and the ADTS header (1.A.2)."""

RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_LOW_COMPLEXITY = 2
_CHANNELS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7}


def low_complexity_config(sample_rate_hz: int, channels: int) -> bytes:
    """Return the AudioSpecificConfig of AAC-LC; b"" for an unknown rate or number of channels."""
    if sample_rate_hz not in RATES_HZ or channels not in _CHANNELS:
        return b""
    bits = _LOW_COMPLEXITY << 11 | RATES_HZ.index(sample_rate_hz) << 7 | _CHANNELS[channels] << 3
    return bits.to_bytes(2, "big")


def without_adts(data: bytes) -> bytes:
    """Return the frame after its ADTS header; b"" if there is none, or if it contains several frames."""
    if len(data) < 7 or data[0] != 0xFF or data[1] & 0xF6 != 0xF0 or data[6] & 3:
        return b""
    return data[7 if data[1] & 1 else 9 :]
