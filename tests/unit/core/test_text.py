"""Text in images with any version of OpenCV."""

from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ninjacam
from ninjacam import draw_text, text_size
from ninjacam.core.text import MAX_CHARS, MAX_WIDTH_PX

GROUND = 90


@pytest.fixture
def image() -> Any:
    return np.full((120, 400, 3), GROUND, np.uint8)


def drawn(text: str, **options: Any) -> Any:
    image = np.full((80, 400), GROUND, np.uint8)
    draw_text(image, text, (20, 50), size_px=40, outline=None, **options)
    return image


def test_letters_of_many_scripts_are_drawn_and_differ() -> None:
    missing = drawn("\U000e0fff")
    pictures = {letter: drawn(letter) for letter in "aAñßŁЖжΩω가각뷁뷀힣ㄱあ€°№한"}
    for letter, picture in pictures.items():
        assert picture.max() > 200, letter
        assert (picture != missing).any(), letter
    for one, other in combinations(pictures, 2):
        assert (pictures[one] != pictures[other]).any(), (one, other)


def test_all_syllables_of_korean_are_available() -> None:
    codes = range(0xAC00, 0xD7A4)
    widths = {text_size(chr(code), 100).width for code in codes}
    assert len(widths) == 1
    assert widths != {text_size("\U000e0fff", 100).width}


def test_a_letter_is_rendered_once() -> None:
    """OpenCV 5 draws outlined text twice: "I" must be one stroke."""
    columns = (drawn("I") > 200).any(axis=0)
    assert np.count_nonzero(np.diff(columns.astype(int)) == 1) == 1
    rows = (drawn("I") > 200).any(axis=1)
    top, bottom = np.flatnonzero(rows)[[0, -1]]
    assert bottom == pytest.approx(49, abs=1), "it stands on the base line"
    assert bottom - top + 1 == pytest.approx(0.714 * 40, abs=2)


def test_korean_in_parts_is_drawn_as_syllables() -> None:
    assert (drawn("\u1112\u1161\u11ab") == drawn("한")).all()


def test_missing_characters_are_replaced_and_line_breaks_become_spaces() -> None:
    assert (drawn("\U0001f600") == drawn("\N{REPLACEMENT CHARACTER}")).all()
    assert (drawn("\udce9") == drawn("\N{REPLACEMENT CHARACTER}")).all()
    assert (drawn("a\nb") == drawn("a b")).all()


@pytest.mark.parametrize(
    "at", [(-30, 40), (380, 40), (20, 2), (20, 130), (-900, 0), (9000, 9000), (1.5, 60.4)]
)
@pytest.mark.parametrize("size_px", [0, 12, 90, 10_000])
def test_text_is_clipped_at_the_edges_of_the_image(image: Any, at: tuple[float, float], size_px: int) -> None:
    framed = np.full((160, 440, 3), 7, np.uint8)
    framed[20:140, 20:420] = image
    draw_text(framed[20:140, 20:420], "Größe 가", at, size_px=size_px)
    framed[20:140, 20:420] = 7
    assert (framed == 7).all()


def test_the_length_of_a_text_is_bounded(image: Any) -> None:
    draw_text(image, "가" * 100_000, (0, 40), size_px=400)
    assert text_size("x" * MAX_CHARS, 24) == text_size("x" * MAX_CHARS * 9, 24)
    assert text_size("가" * MAX_CHARS, 400).width == MAX_WIDTH_PX


def test_color_and_outline_are_drawn(image: Any) -> None:
    draw_text(image, "I", (20, 80), size_px=80, color=(0, 0, 255), outline=(255, 0, 0))
    row = image[60].tolist()
    red, blue = row.index([0, 0, 255]), row.index([255, 0, 0])
    assert 20 < blue < red
    plain = np.full_like(image, GROUND)
    draw_text(plain, "I", (20, 80), size_px=80, color=(0, 0, 255), outline=None)
    assert [255, 0, 0] not in plain[60].tolist()


def test_the_measured_size_equals_the_drawn_one() -> None:
    for text in ("Łódź", "Ägypten jgq", "현관 카메라", "0123456789:"):
        width, ascent, descent = text_size(text, 40)
        image = np.zeros((120, 500), np.uint8)
        draw_text(image, text, (30, 60), size_px=40, outline=None)
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        assert 60 - ascent <= rows[0] and rows[-1] <= 60 + descent
        assert columns[0] >= 30 - 2 and columns[-1] <= 30 + width + 2
        assert columns[-1] - columns[0] > 0.85 * width


def test_any_view_of_an_array_can_be_drawn_on() -> None:
    whole = np.zeros((240, 600, 3), np.uint8)
    for image in (whole[::2], whole[:, ::2]):
        draw_text(image, "I", (20, 80), size_px=80)
        assert image.max() == 255


def test_no_module_draws_with_the_fonts_of_opencv() -> None:
    """They have ASCII only, and OpenCV 5 draws them twice."""
    package = Path(ninjacam.__file__).parent
    assert [str(path) for path in package.rglob("*.py") if "cv2.putText(" in path.read_text()] == []
