"""Annotations drawn into images. The player draws the same: tests/e2e/test_player_overlay.py."""

from typing import Any

import numpy as np
import pytest

from ninjacam import Box, Keypoints, Line, Mask, Point, Polygon
from ninjacam.core.annotations import to_annotation_set
from ninjacam.vision import drawing
from ninjacam.vision.drawing import draw_annotations

RED = (0, 0, 255)
COLOR: Any = {"color": "#ff0000"}


def draw(*annotations: Any) -> Any:
    image = np.zeros((120, 160, 3), np.uint8)
    draw_annotations(image, to_annotation_set(annotations, 160, 120), "faces")
    return image


def is_red(image: Any, x: int, y: int) -> bool:
    """Whether there is a red pixel at most 1 pixel away."""
    near = image[y - 1 : y + 2, x - 1 : x + 2].astype(int)
    return bool((np.abs(near - RED).max(axis=2) < 60).any())


def is_clear(image: Any, x: int, y: int) -> bool:
    return not image[y, x].any()


def test_a_line_is_open_and_a_polygon_closed() -> None:
    corners = [(20, 20), (140, 20), (140, 100), (20, 100)]
    line, polygon = draw(Line(corners, **COLOR)), draw(Polygon(corners, **COLOR))
    for image in (line, polygon):
        assert is_red(image, 80, 20) and is_red(image, 140, 60) and is_red(image, 80, 100)
    assert is_clear(line, 20, 60)
    assert is_red(polygon, 20, 60)


def test_keypoints_with_a_low_score_and_their_edges_are_not_drawn() -> None:
    points = [(20, 60, 0.9), (80, 60, 0.9), (140, 60, 0.1), (80, 20), None]
    image = draw(Keypoints(points, [(0, 1), (1, 2), (3, 4)], **COLOR))
    assert is_red(image, 50, 60)
    assert is_clear(image, 110, 60) and is_clear(image, 140, 60)
    assert image[15:26, 75:86, 2].max() > 200, "the point without an edge"
    assert is_clear(image, 80, 40)
    assert not image[:10, :10].any(), "no point is drawn for None"


def test_a_mask_tints_its_pixels() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:40, 20:60] = True
    mask[28:32, 38:42] = False
    image = draw(Mask(mask, left=40, top=30, **COLOR))
    tinted = (0, 0, round(255 * drawing.MASK_OPACITY))
    for x, y in ((61, 51), (99, 69), (70, 60)):
        assert tuple(image[y, x]) == tinted
    for x, y in ((59, 60), (101, 60), (80, 49), (80, 71), (80, 60)):
        assert is_clear(image, x, y)


def test_a_mask_at_the_edge_of_the_frame_is_not_moved() -> None:
    mask = np.zeros((40, 40), np.uint8)
    mask[:, 20:] = 1
    image = draw(Mask(mask, left=-30, top=100, **COLOR))
    assert image[100:120, :10, 2].min() > 90
    assert not image[:, 10:].any() and not image[:100].any()


def test_a_mask_does_not_hide_the_image_and_may_be_smaller_than_a_pixel() -> None:
    image = np.full((120, 160, 3), 100, np.uint8)
    small, large = Mask(np.ones((1, 1), bool), left=1000, top=1000), Mask(np.ones((600, 800), bool), **COLOR)
    draw_annotations(image, to_annotation_set([small, large], 1600, 1200), "faces")
    assert image[30, 40].tolist() == [60, 60, 162]
    assert (image[60:, 80:] == 100).all()


@pytest.mark.parametrize("shape", [Box(100, 40, 140, 80, trail=[(20, 20), (20, 60)], **COLOR),
                                   Point(120, 60, trail=[(20, 20), (20, 60)], **COLOR)])  # fmt: skip
def test_a_trail_ends_at_the_object(shape: Any) -> None:
    image = draw(shape)
    assert is_red(image, 20, 40) and is_red(image, 60, 60) and is_red(image, 108, 60)
    assert is_clear(image, 20, 68) and is_clear(image, 130, 30)
    assert is_clear(draw(type(shape)(*_positions(shape), **COLOR)), 60, 60)


def _positions(shape: Any) -> tuple[Any, ...]:
    return (
        (shape.x, shape.y) if isinstance(shape, Point) else (shape.left, shape.top, shape.right, shape.bottom)
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (Box(0, 60, 50, 90, "person", track=7), "person #7"),
        (Box(0, 60, 50, 90, "person", 0.93, track=0), "person #0 93%"),
        (Point(9, 60, track=7), "#7"),
        (Line([(0, 0), (9, 60)], "fence", 0.5), "fence 50%"),
        (Keypoints([None, (9, 60)], label="pose"), "pose"),
        (Mask(np.ones((9, 9), bool), "cat", track=12), "cat #12"),
    ],
)
def test_the_label_contains_the_track_and_the_score(
    shape: Any, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[str] = []
    monkeypatch.setattr(drawing, "draw_text", lambda image, text, at, **more: drawn.append(text))
    draw(shape)
    assert drawn == [words]


def test_the_color_depends_on_the_track_and_otherwise_on_the_label() -> None:
    def color(**more: Any) -> tuple[int, ...]:
        return tuple(draw(Box(20, 30, 140, 110, **more))[70, 20].tolist())

    assert color(track=7, label="person") == color(track=7, label="dog") != color(track=8, label="person")
    assert color(label="person") != color(label="dog")
    assert color(track=7, color="#ff0000") == color(color="#ff0000")
    # As overlay-drawing.js has it: track 7 is hsl(239 90% 60%).
    assert np.abs(np.array(color(track=7)) - (245, 64, 61)).max() < 60
