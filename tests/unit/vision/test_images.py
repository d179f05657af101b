"""Decoded frames as arrays."""

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from ninjacam.vision.images import DecodedFrame


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "nv12", "gray", "yuv420p10le", "p010le", "yuyv422", "rgb24"]
)
def test_the_luma_of_each_pixel_format_has_eight_bits_and_the_size_of_the_frame(pixel_format: str) -> None:
    """H.265 cameras send 10 bits; two bytes of these are one pixel."""
    image = np.zeros((72, 128, 3), np.uint8)
    image[:, 64:] = 200
    frame = av.VideoFrame.from_ndarray(image, "bgr24").reformat(format=pixel_format)
    gray = DecodedFrame(frame, VideoReformatter()).gray()
    assert gray.shape == (72, 128) and gray.dtype == np.uint8
    dark, bright = gray[:, :60], gray[:, 68:]
    assert dark.max() <= 20 and bright.min() >= 180
