"""`python -m ninjacam.capture.probe` as a process, on cameras that are hostile, slow or large."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
import pytest

from ninjacam.codecs.sps import MAX_PIXELS
from ninjacam.testing.clips import Clip
from ninjacam.testing.http_camera import FakeHttpCamera
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.memory_bomb import serve_memory_bomb
from tests.integration.test_sources_http import web_server


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, codec="mjpeg"))


def probe(url: str, **source: Any) -> Any:
    question = json.dumps({"source": {"url": url, **source}, "timeout_s": 10})
    done = subprocess.run(
        [sys.executable, "-m", "ninjacam.capture.probe"],
        input=question.encode(),
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    return json.loads(done.stdout)


def picture(answer: Any) -> Any:
    assert answer["ok"], answer
    return cv2.imdecode(np.frombuffer(base64.b64decode(answer["jpeg_base64"]), np.uint8), cv2.IMREAD_COLOR)


def test_a_camera_that_makes_ffmpeg_allocate_is_stopped_by_the_memory_limit() -> None:
    with serve_memory_bomb() as url:
        error = probe(url)["error"]
    assert error["code"] == "too_much_memory"


def test_the_largest_frame_fits_into_the_memory_limit() -> None:
    width, height = 8192, MAX_PIXELS // 8192
    with serving(gray(width, height)) as url:
        answer = probe(url)
    assert (answer["width"], answer["height"]) == (width, height)
    assert picture(answer).shape == (340, 640, 3)


def test_the_image_has_the_brightness_of_the_camera() -> None:
    with serving(gray(640, 360)) as url:
        seen = picture(probe(url))
    assert seen.shape == (360, 640, 3)
    assert np.abs(seen.astype(int)[:, 20:620] - ramp(640)[20:620, None]).max() <= 6


def test_the_first_frame_may_take_longer_than_a_pause_within_a_stream(clip: Clip) -> None:
    with FakeHttpCamera(clip) as camera:
        camera.faults.interval_s = 2.0
        answer = probe(camera.url(), read_timeout_s=0.1)
    assert answer["ok"], answer


def ramp(width: int) -> Any:
    """Return the displayed gray of limited-range luma from 16 to 235."""
    return np.linspace(0, 255, width).round().astype(int)


def gray(width: int, height: int) -> bytes:
    """Return a key frame, H.264 in Annex B, with luma from 16 to 235."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base, encoder.options = Fraction(1, 25), {"preset": "ultrafast", "crf": "10"}
    planes = np.full((height * 3 // 2, width), 128, np.uint8)
    planes[:height] = np.linspace(16, 235, width).round().astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
    return b"".join(map(bytes, (*encoder.encode(frame), *encoder.encode(None))))


@contextmanager
def serving(access_unit: bytes) -> Iterator[str]:
    def video(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "video/h264")
        handler.end_headers()
        for _ in range(3):
            handler.wfile.write(access_unit)

    answer: Callable[[Any], None] = video
    with web_server(answer) as base:
        yield f"{base}/live.h264"
