import numpy as np
import pytest

from ninjacam.inference.candidates import Candidates
from ninjacam.inference.selection import MAX_CANDIDATES, select


def candidates(*rows: tuple[float, ...], is_final: bool = False) -> Candidates:
    """`rows`: left, top, right, bottom, score, class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Candidates(table[:, :4], table[:, 4], table[:, 5].astype(np.int64), is_final=is_final)


THREE = candidates((0, 0, 10, 10, 0.6, 0), (0, 0, 10, 9, 0.9, 0), (0, 0, 10, 10, 0.7, 1))


def test_of_boxes_that_overlap_the_best_of_each_class_is_kept() -> None:
    found = select(THREE, iou=0.5, max_boxes=10)
    assert found.scores.tolist() == pytest.approx([0.9, 0.7]) and found.classes.tolist() == [0, 1]


def test_boxes_that_overlap_less_than_the_limit_are_kept() -> None:
    pair = candidates((0, 0, 10, 10, 0.9, 0), (5, 0, 15, 10, 0.8, 0))  # They share a third of their union.
    assert len(select(pair, iou=0.34, max_boxes=10)) == 2
    assert len(select(pair, iou=0.33, max_boxes=10)) == 1


def test_final_boxes_are_only_sorted() -> None:
    final = candidates((0, 0, 9, 9, 0.6, 0), (0, 0, 9, 9, 0.9, 0), is_final=True)
    assert select(final, iou=0.5, max_boxes=10).scores.tolist() == pytest.approx([0.9, 0.6])
    assert len(select(final, iou=0.5, max_boxes=1)) == 1


def test_other_classes_do_not_use_up_the_number_of_boxes() -> None:
    rows = [(20.0 * n, 0, 20.0 * n + 10, 10, 0.9, 1) for n in range(5)]
    found = select(candidates(*rows, (0, 50, 9, 59, 0.5, 0)), iou=0.5, max_boxes=2, wanted=frozenset({0}))
    assert found.classes.tolist() == [0]


def test_the_number_of_boxes_is_limited_to_the_best() -> None:
    rows = [(20.0 * n, 0, 20.0 * n + 10, 10, n / 10, 0) for n in range(10)]
    found = select(candidates(*rows), iou=0.5, max_boxes=3)
    assert found.scores.tolist() == pytest.approx([0.9, 0.8, 0.7])


def test_nothing_is_selected_of_nothing() -> None:
    assert len(select(candidates(), iou=0.5, max_boxes=3)) == 0


def test_a_network_that_finds_something_everywhere_is_limited() -> None:
    rows = np.random.default_rng(1).uniform(0, 100, (5 * MAX_CANDIDATES, 6)).astype(np.float32)
    rows[:, 2:4] += rows[:, :2]
    many = Candidates(rows[:, :4], rows[:, 4] / np.float32(200), np.zeros(len(rows), np.int64))
    assert len(select(many, iou=1, max_boxes=256)) == 256
