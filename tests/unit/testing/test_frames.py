"""Unit tests of processors get their frames from here."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Processor
from ninjacam.core.frames import Frame
from ninjacam.testing import frame


def test_it_is_a_frame_with_a_copy_of_the_image() -> None:
    image = np.full((90, 160, 3), (10, 20, 30), np.uint8)
    made = frame(image, camera="gate", number=3)
    assert (made.camera, made.number, made.width, made.height) == ("gate", 3, 160, 90)
    made.image[:] = 0
    assert (image == (10, 20, 30)).all()
    assert made.image is made.image and made.drawn
    assert made.captured_at.tzinfo is UTC
    assert frame(image, number=4).captured_at - made.captured_at == timedelta(milliseconds=40)
    assert frame(image, number=4).pts_s - made.pts_s == pytest.approx(0.04)
    at = datetime(2026, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert frame(image, captured_at=at).captured_at == at


def test_gray_is_read_only_luma_as_sent_by_cameras() -> None:
    for image in (np.array([[0, 255]] * 2, np.uint8), np.array([[[0] * 3, [255] * 3]] * 2, np.uint8)):
        gray = frame(image).gray
        assert gray.tolist() == [[16, 235]] * 2
        with pytest.raises(ValueError, match="read-only"):
            gray[:] = 0
        assert frame(image).image.tolist() == [[[0] * 3, [255] * 3]] * 2


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (None, TypeError, "cv2.imread returns None"),
        (np.zeros((4, 4, 3)), ValueError, "float64"),
        (np.zeros((4, 4, 4), np.uint8), ValueError, r"\(4, 4, 4\)"),
    ],
)
def test_an_invalid_image_is_rejected_with_a_readable_error(
    image: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        frame(image)


def test_a_custom_processor_can_be_tested_like_this() -> None:
    class Bright(Processor):
        def setup(self, camera: str, options: Any) -> None:
            self.count = 0

        def process(self, frame: Frame) -> list[Box]:
            self.count += 1
            return [Box(0, 0, frame.width, frame.height, "bright")] if frame.gray.mean() > 128 else []

    bright = Bright()
    bright.setup("gate", None)
    assert bright.process(frame(np.zeros((90, 160), np.uint8))) == []
    assert bright.process(frame(np.full((90, 160), 255, np.uint8))) == [Box(0, 0, 160, 90, "bright")]
    assert bright.count == 2
    bright.close()
