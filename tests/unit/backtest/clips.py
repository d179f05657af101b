"""Small videos of a bright square that crosses a noisy scene."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np

FPS = 10
WIDTH_PX, HEIGHT_PX = 320, 180


def images(
    seconds: float, moves: tuple[float, float] = (0, 0)
) -> "Iterator[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]]":
    """Gray images. The square moves within these seconds, and is not there before and afterwards."""
    noise = np.random.default_rng(1)
    still = noise.integers(40, 120, (HEIGHT_PX // 10, WIDTH_PX // 10), np.uint8).repeat(10, 0).repeat(10, 1)
    for number in range(round(seconds * FPS)):
        image = still + noise.integers(0, 3, still.shape, np.uint8)
        since_s = number / FPS - moves[0]
        if 0 <= since_s < moves[1] - moves[0]:
            left = 20 + int(since_s * 60) % 240
            image[60:130, left : left + 40] = 230
        yield image


def write_video(
    path: Path, seconds: float, moves: tuple[float, float] = (0, 0), *, gop: int = FPS, b_frames: int = 0
) -> Path:
    """Write an MP4 file with H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
        parameters = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0"
        stream.options = {"preset": "ultrafast", "x264-params": parameters}
        for image in images(seconds, moves):
            frame = av.VideoFrame.from_ndarray(image, format="gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path
