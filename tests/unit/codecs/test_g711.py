"""G.711 compared with FFmpeg's decoders."""

from array import array
from typing import Literal

import av
import numpy as np
import pytest

from ninjacam.codecs.g711 import encode_g711

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int16)


def decoded(
    codes: bytes, codec: Literal["pcm_mulaw", "pcm_alaw"]
) -> "np.ndarray[tuple[int, ...], np.dtype[np.int32]]":
    context = av.CodecContext.create(codec, "r")
    assert isinstance(context, av.AudioCodecContext)
    context.sample_rate, context.layout = 8000, "mono"
    frames = context.decode(av.Packet(codes))
    return np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.int32)


@pytest.mark.parametrize(("law", "codec"), [("ulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
def test_each_sample_is_decoded_to_within_half_a_step(
    law: Literal["ulaw", "alaw"], codec: Literal["pcm_mulaw", "pcm_alaw"]
) -> None:
    codes = encode_g711(EVERY_SAMPLE.tobytes(), law)
    assert len(codes) == 65536
    heard = decoded(codes, codec)
    clipped = np.clip(EVERY_SAMPLE.astype(np.int32), heard.min(), heard.max())
    # Half a step: each segment has 16 steps and begins at a power of 2 (minus the bias of µ-law).
    assert np.all(np.abs(heard - clipped) <= (np.abs(clipped) + 132) / 32 + 4)
    assert np.all(np.diff(heard) >= 0) and len(np.unique(heard)) >= 255


def test_silence_has_the_codes_of_the_standard() -> None:
    nothing = array("h", [0, 0]).tobytes()
    assert encode_g711(nothing, "ulaw") == b"\xff\xff"
    assert encode_g711(nothing, "alaw") == b"\xd5\xd5"
