"""The colors of objects in synthetic scenes: cars and people before several backgrounds, in several lights."""

import math
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam.core.colors import COLORS, Color, to_color_bits, to_colors
from ninjacam.recordings.object_colors import find_colors

PAINT = {
    "black": (28, 28, 30), "gray": (125, 128, 130), "white": (238, 240, 240), "red": (190, 25, 30),
    "orange": (240, 130, 20), "yellow": (245, 205, 30), "green": (40, 130, 60), "blue": (35, 75, 180),
    "purple": (120, 40, 150), "brown": (110, 70, 40), "pink": (250, 130, 180),
}  # fmt: skip
"""RGB."""
GROUND = {"asphalt": (100, 100, 102), "lawn": (85, 120, 60), "bricks": (140, 85, 60), "snow": (225, 228, 232)}
LIGHT = {
    "day": (1.0, 1.0, 1.0),
    "dusk": (0.45, 0.45, 0.45),
    "evening sun": (1.0, 0.96, 0.88),
    "shade": (0.8, 0.86, 0.92),
}
BOX = (0.3, 0.35, 0.6, 0.75)
WIDTH, HEIGHT = 320, 180


def draw_scene(ground: str) -> Any:
    """Return RGB, float32: a bright sky above the ground."""
    image = np.empty((HEIGHT, WIDTH, 3), np.float32)
    image[:] = GROUND[ground]
    image[: HEIGHT // 6] = (215, 230, 250)
    return image


def finish(image: Any, light: str = "day") -> Any:
    """Return the image as a camera records it: uint8, BGR, with noise and compression."""
    noise = np.random.default_rng(5).normal(0, 4, image.shape)
    bgr = np.clip(image * LIGHT[light] + noise, 0, 255).astype(np.uint8)[..., ::-1]
    return cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 70])[1], cv2.IMREAD_COLOR)


def fill(
    image: Any, left: float, top: float, right: float, bottom: float, color: tuple[int, int, int]
) -> None:
    """Fill a part of the box, in fractions of it."""
    x = [round((BOX[0] + each * (BOX[2] - BOX[0])) * WIDTH) for each in (left, right)]
    y = [round((BOX[1] + each * (BOX[3] - BOX[1])) * HEIGHT) for each in (top, bottom)]
    image[y[0] : y[1], x[0] : x[1]] = color


def car(ground: str, color: str, light: str = "day") -> Any:
    image = draw_scene(ground)
    fill(image, 0, 0.4, 1, 0.88, PAINT[color])
    fill(image, 0.2, 0, 0.8, 0.4, PAINT[color])
    fill(image, 0.26, 0.1, 0.74, 0.36, (60, 70, 75))
    fill(image, 0.1, 0.8, 0.28, 1, (25, 25, 25))
    fill(image, 0.72, 0.8, 0.9, 1, (25, 25, 25))
    return finish(image, light)


def person(ground: str, jacket: str, trousers: str, light: str = "day") -> Any:
    image = draw_scene(ground)
    fill(image, 0.38, 0, 0.62, 0.17, (225, 180, 150))
    fill(image, 0.22, 0.17, 0.78, 0.56, PAINT[jacket])
    fill(image, 0.28, 0.56, 0.72, 1, PAINT[trousers])
    return finish(image, light)


SAME_AS_GROUND = {"asphalt": "gray", "lawn": "green", "bricks": "brown", "snow": "white"}
"""A small object in the color of its background cannot be told apart from it."""


@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("ground", GROUND)
def test_a_car_has_its_color_and_not_that_of_the_ground(ground: str, light: str) -> None:
    for color in PAINT:
        found = find_colors(car(ground, color, light), BOX)
        assert color in found and set(found) <= {color, "black", "gray"}, (color, found)


@pytest.mark.parametrize("light", LIGHT)
@pytest.mark.parametrize("ground", GROUND)
def test_a_person_has_the_colors_of_jacket_and_trousers(ground: str, light: str) -> None:
    worn = [color for color in PAINT if color != SAME_AS_GROUND[ground]]
    for jacket, trousers in zip(worn, worn[3:] + worn[:3], strict=True):
        assert set(find_colors(person(ground, jacket, trousers, light), BOX)) == {jacket, trousers}


def test_the_largest_color_is_first_and_a_detail_is_none() -> None:
    image = draw_scene("lawn")
    fill(image, 0, 0, 1, 1, PAINT["red"])
    fill(image, 0, 0.6, 1, 1, PAINT["blue"])
    fill(image, 0.4, 0.1, 0.6, 0.2, PAINT["yellow"])
    assert find_colors(finish(image), BOX) == [Color.RED, Color.BLUE]


def test_an_object_of_many_colors_has_at_most_three() -> None:
    image = draw_scene("lawn")
    fill(image, 0, 0, 0.5, 0.5, PAINT["red"])
    fill(image, 0.5, 0, 1, 0.5, PAINT["blue"])
    fill(image, 0, 0.5, 0.5, 1, PAINT["yellow"])
    fill(image, 0.5, 0.5, 1, 1, PAINT["black"])
    found = find_colors(finish(image), BOX)
    assert len(found) == 3 and set(found) < {"red", "blue", "yellow", "black"}


def test_an_object_without_a_main_color_has_one() -> None:
    image = draw_scene("lawn")
    names = list(PAINT)
    for number in range(144):
        x, y = number % 12 / 12, number // 12 / 12
        fill(image, x, y, x + 1 / 12, y + 1 / 12, PAINT[names[number % 11]])
    assert len(find_colors(finish(image), BOX)) == 1


def test_a_neighbor_at_the_edge_of_the_box_does_not_count() -> None:
    image = draw_scene("lawn")
    fill(image, 0.22, 0, 1, 1, PAINT["red"])
    fill(image, 0, 0, 0.22, 1, PAINT["blue"])
    assert find_colors(finish(image), BOX) == ["red"]


def test_an_object_that_fills_the_frame_has_its_color() -> None:
    assert find_colors(finish(np.full((90, 160, 3), PAINT["orange"], np.float32)), (0, 0, 1, 1)) == ["orange"]


def test_a_frame_in_infrared_light_has_no_colors() -> None:
    gray = cv2.cvtColor(car("asphalt", "red"), cv2.COLOR_BGR2GRAY)
    assert find_colors(cv2.cvtColor(gray, cv2.COLOR_GRAY2BGR), BOX) == []


@pytest.mark.parametrize(
    "box",
    [
        (0.5, 0.5, 0.5, 0.9), (0.6, 0.2, 0.3, 0.8), (math.nan, 0.1, 0.5, 0.5), (2, 2, 3, 3), (-3, -3, -2, -2),
        (math.inf, 0, 1, 1), (1e308, 0, math.inf, 1), (0, 0, 0, math.nan),
    ],
)  # fmt: skip
def test_a_box_that_is_empty_or_outside_has_no_colors(box: tuple[float, float, float, float]) -> None:
    assert find_colors(car("lawn", "red"), box) == []


@pytest.mark.parametrize(
    "box", [(0.4, 0.5, 0.4001, 0.5001), (-1e300, -1e300, math.inf, 1e300), (0.9, 0.9, 5, 5)]
)
@pytest.mark.parametrize("size_px", [2, 320])
def test_any_other_box_has_one_to_three_colors(box: tuple[float, float, float, float], size_px: int) -> None:
    image = cv2.resize(car("lawn", "red"), (size_px, size_px))
    assert 1 <= len(find_colors(image, box)) <= 3


def test_each_color_has_its_bit() -> None:
    assert [to_colors(to_color_bits([color])) for color in COLORS] == [[color] for color in COLORS]
    assert to_color_bits([Color.RED, "black", "red", "mauve"]) == 0b1001
    assert to_colors(None) == to_colors(0) == []
    assert to_color_bits(COLORS) < 1 << 15, "the column is a smallint"
