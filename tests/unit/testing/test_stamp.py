import cv2
import numpy as np
import pytest
import simplejpeg

from ninjacam.testing import stamp
from ninjacam.testing.scenes import SceneOptions, VideoName, draw_frames, make_clip
from tests.unit.testing.decoding import luma_planes


@pytest.mark.parametrize("value", [0, 1, 249, 0x12345678, 0xFFFFFFFF])
@pytest.mark.parametrize("width", [320, 352, 768, 1280, 1920])
def test_stamp_is_read_back_from_luma_and_bgr(value: int, width: int) -> None:
    gray = np.full((240, width), 90, np.uint8)
    bgr = np.full((240, width, 3), 90, np.uint8)
    stamp.draw(gray, value)
    stamp.draw(bgr, value)
    assert stamp.read(gray) == stamp.read(bgr) == value


@pytest.mark.parametrize("width", [320, 427, 640, 854, 1279, 1600])
def test_stamp_survives_scaling_and_jpeg(width: int) -> None:
    image = next(iter(draw_frames(SceneOptions(seconds=0.1))))
    stamp.draw(image, 4321)
    scaled = cv2.resize(image, (width, round(width * 9 / 16)), interpolation=cv2.INTER_AREA)
    jpeg = simplejpeg.encode_jpeg(np.ascontiguousarray(scaled), quality=60, colorspace="BGR")
    assert stamp.read(simplejpeg.decode_jpeg(jpeg, "GRAY")[:, :, 0]) == 4321


def test_a_frame_without_a_stamp_has_no_number() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (360, 640), np.uint8)
    assert stamp.read(noise) is None
    assert stamp.read(np.zeros((360, 640), np.uint8)) is None
    assert stamp.read(np.zeros((360, 200), np.uint8)) is None


def test_a_damaged_bit_is_detected() -> None:
    gray = np.full((90, 640), 90, np.uint8)
    stamp.draw(gray, 77)
    gray[:16, 10 * 16 : 11 * 16] = 235
    assert stamp.read(gray) is None


@pytest.mark.parametrize("codec", ["h264", "hevc", "mjpeg"])
def test_every_frame_of_an_encoded_scene_has_its_number(codec: VideoName) -> None:
    clip = make_clip(SceneOptions(width=640, height=360, seconds=1, gop=10, codec=codec, bitrate_bps=700_000))
    assert [stamp.read(plane) for plane in luma_planes(clip)] == list(range(25))
