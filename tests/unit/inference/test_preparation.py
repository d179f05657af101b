from typing import Any

import numpy as np
import pytest

from ninjacam.core.errors import ConfigError
from ninjacam.inference.candidates import Candidates
from ninjacam.inference.preparation import check_image, place, to_blob
from ninjacam.inference.spec import ModelSpec, make_spec


def spec(**values: Any) -> ModelSpec:
    return make_spec({"decoder": "yolox", "input_size": (64, 64), **values})


def boxes(*rows: tuple[float, ...]) -> Candidates:
    table = np.array(rows, np.float32)
    return Candidates(table, np.ones(len(rows), np.float32), np.zeros(len(rows), np.int64))


WIDE = np.full((50, 100, 3), 200, np.uint8)


def test_a_wide_image_is_placed_at_the_top_left() -> None:
    placed, placement = place(WIDE, (64, 64), spec())
    assert placed.shape == (64, 64, 3)
    assert (placed[:32] == 200).all() and (placed[32:] == 114).all()
    np.testing.assert_allclose(placement.to_image(boxes((0, 0, 64, 32))).boxes, [(0, 0, 100, 50)])


def test_a_tall_image_is_placed_in_the_middle() -> None:
    tall = np.ascontiguousarray(WIDE.transpose(1, 0, 2))
    placed, placement = place(tall, (64, 64), spec(letterbox="center", padding=7))
    assert (placed[:, 16:48] == 200).all() and (placed[:, :16] == 7).all() and (placed[:, 48:] == 7).all()
    np.testing.assert_allclose(placement.to_image(boxes((16, 0, 48, 32))).boxes, [(0, 0, 50, 50)])


def test_without_a_letterbox_the_image_is_stretched() -> None:
    placed, placement = place(WIDE, (64, 32), spec(letterbox="none", input_size=(64, 32)))
    assert placed.shape == (32, 64, 3) and (placed == 200).all()
    np.testing.assert_allclose(placement.to_image(boxes((32, 16, 64, 32))).boxes, [(50, 25, 100, 50)])


def test_an_image_of_the_right_size_is_not_copied() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    assert place(image, (64, 64), spec())[0] is image


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (3, 2)])
def test_odd_sizes_fill_the_input(size: tuple[int, int]) -> None:
    for letterbox in ("corner", "center", "none"):
        placed, _ = place(np.zeros((size[1], size[0], 3), np.uint8), (64, 64), spec(letterbox=letterbox))
        assert placed.shape == (64, 64, 3)


def test_boxes_are_clipped_and_those_outside_are_left_out() -> None:
    _, placement = place(WIDE, (64, 64), spec())
    found = placement.to_image(
        boxes((-9, -9, 32, 16), (0, 40, 9, 60), (5, 5, 5, 9), (0, 0, np.inf, 9), (np.nan, 0, 9, 9))
    )
    np.testing.assert_allclose(found.boxes, [(0, 0, 50, 25)])


def test_channels_are_ordered_and_normalized() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[...] = (10, 20, 30)
    bgr = to_blob([image], spec())
    assert bgr.shape == (1, 3, 64, 64) and bgr.dtype == np.float32
    assert bgr[0, :, 0, 0].tolist() == [10, 20, 30]
    rgb = to_blob([image, image], spec(colors="rgb", mean=(1, 2, 3), scale=(2, 2, 2)))
    assert rgb.shape[0] == 2 and rgb[1, :, 5, 5].tolist() == [58, 36, 14]
    each = to_blob([image], spec(mean=(1, 2, 3), scale=(1, 10, 100)))
    assert each[0, :, 5, 5].tolist() == [9, 180, 2700]


@pytest.mark.parametrize(
    "image",
    [
        None,
        [[1]],
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
    ],
)
def test_anything_but_a_bgr_image_is_an_error_for_the_author(image: Any) -> None:
    with pytest.raises(ConfigError, match=r"needs an image of uint8, \(height, width, 3\)"):
        check_image(image)
