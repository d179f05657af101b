"""Decoding a clip's video with FFmpeg, to look at what was made."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import av
import numpy as np

from ninjacam.testing.clips import Clip

if TYPE_CHECKING:
    from numpy.typing import NDArray


def luma(frame: av.VideoFrame) -> "NDArray[np.uint8]":
    """uint8, (height, width)."""
    return cast("NDArray[np.uint8]", frame.to_ndarray(format="gray"))


def luma_planes(clip: Clip) -> "Iterator[NDArray[np.uint8]]":
    """In the order of showing."""
    context = cast("av.VideoCodecContext", av.CodecContext.create(clip.video.codec.label, "r"))
    packets = [av.Packet(unit.data) for unit in clip.video.units]
    for packet in (*packets, None):
        for frame in context.decode(packet):
            yield luma(frame)
