"""Binary masks encoded as run lengths and decoded."""

from typing import Any

import numpy as np
import pytest

from ninjacam.core.masks import MaskRuns, decode_mask, encode_mask

SIZE_PX = 1920, 1080


def encode(mask: Any, left: int = 0, top: int = 0) -> MaskRuns:
    found = encode_mask(mask, left, top, *SIZE_PX)
    assert found is not None
    return found


def decode(found: MaskRuns) -> Any:
    return decode_mask(found.runs, found.columns, found.rows)


def test_a_small_mask_is_kept_exactly() -> None:
    mask = np.random.default_rng(7).random((40, 30)) < 0.5
    mask[0, 0] = mask[-1, -1] = True
    for given in (mask, mask.astype(np.uint8) * 255, np.asfortranarray(mask)):
        found = encode(given, 100, 200)
        assert found[:6] == (100, 200, 130, 240, 30, 40)
        assert (decode(found) == mask).all()


@pytest.mark.parametrize(
    ("rows", "runs"),
    [([[0, 1, 1], [1, 0, 0]], [1, 3, 2]), ([[1, 0, 1], [1, 1, 1]], [0, 1, 1, 4]), ([[1]], [0, 1])],
)
def test_runs_go_row_by_row_and_start_outside(rows: list[list[int]], runs: list[int]) -> None:
    assert encode(np.array(rows, np.uint8)).runs == runs


def test_only_the_rectangle_that_contains_the_mask_is_sent() -> None:
    mask = np.zeros((1080, 1920), bool)
    mask[500:510, 600:640] = True
    assert encode(mask) == (600, 500, 640, 510, 40, 10, [0, 400])


def test_only_the_part_within_the_frame_is_sent() -> None:
    mask = np.ones((100, 200), bool)
    assert encode(mask, -150, -60)[:4] == (0, 0, 50, 40)
    assert encode(mask, 1900, 1075)[:4] == (1900, 1075, 1920, 1080)
    for left, top in (
        (-200, 0),
        (1920, 0),
        (2000, 0),
        (0, -100),
        (0, 1080),
        (0, 1100),
        (10**300, -(10**300)),
    ):
        assert encode_mask(mask, left, top, *SIZE_PX) is None


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (5, 0), (5, 5)])
def test_an_empty_mask_is_none(shape: tuple[int, int]) -> None:
    assert encode_mask(np.zeros(shape, np.uint8), 0, 0, *SIZE_PX) is None


def test_a_large_mask_is_reduced_to_few_cells_of_the_same_proportions() -> None:
    y, x = np.mgrid[:800, :400] + 0.5
    ellipse = ((x - 200) / 200) ** 2 + ((y - 400) / 400) ** 2 <= 1
    found = encode(ellipse)
    assert (found.columns, found.rows) == (80, 160)
    assert (np.kron(decode(found), np.ones((5, 5))) != ellipse).mean() < 0.008
    thin = encode(np.ones((1, 1920), bool))
    assert (thin.columns, thin.rows) == (160, 1)


def test_the_number_of_runs_is_limited() -> None:
    noise = np.random.default_rng(7).random((150, 150)) < 0.5
    noise[0] = noise[-1] = noise[:, 0] = noise[:, -1] = True
    found = encode(noise)
    assert len(found.runs) <= 2048
    assert sum(found.runs) == found.columns * found.rows
    assert found[:4] == (0, 0, 150, 150)
