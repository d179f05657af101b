"""Decoding and measurement of audio in tests."""

from collections.abc import Sequence
from typing import TypeAlias

import av
import numpy as np

from ninjacam.codecs.aac import low_complexity_config

Sound: TypeAlias = "np.ndarray[tuple[int, ...], np.dtype[np.float64]]"
"""Samples from -1 to 1."""


def decode_ulaw(data: bytes) -> Sound:
    """Decode G.711 µ-law with FFmpeg."""
    context = av.CodecContext.create("pcm_mulaw", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    frames = context.decode(av.Packet(data))
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]) / 32768


def decode_aac(frames: Sequence[bytes], rate_hz: int) -> Sound:
    """Decode frames of AAC-LC, mono, with FFmpeg."""
    context = av.CodecContext.create("aac", "r")
    assert isinstance(context, av.AudioCodecContext)
    context.extradata = low_complexity_config(rate_hz, 1)
    decoded = [frame for data in frames for frame in context.decode(av.Packet(data))]
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in decoded]).astype(np.float64)


def strength(sound: Sound, tone_hz: float, rate_hz: int = 8000) -> float:
    """Return the energy of a tone of this frequency."""
    times = np.arange(len(sound)) / rate_hz
    windowed = sound * np.hanning(len(sound))
    return float(np.abs(np.sum(windowed * np.exp(-2j * np.pi * tone_hz * times)) / len(sound)) ** 2)
