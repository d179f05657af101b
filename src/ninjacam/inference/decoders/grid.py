"""The grid of cells in which anchor-free detectors predict one box each."""

from functools import lru_cache

import numpy as np

from ninjacam.inference.candidates import Floats, Size

STRIDES = ((8, 16, 32), (8, 16, 32, 64))
"""Pixels between two cells, for each level of the network: the combinations that are in use."""


def grid_of(size: Size, cell_count: int) -> Floats | None:
    """Return column, row and stride of each cell, shape (cell_count, 3); None: no combination has so many cells.

    Levels come from the finest to the coarsest, the cells of each row by row.
    """
    for strides in STRIDES:
        cells = _grid(size, strides)
        if len(cells) == cell_count:
            return cells
    return None


def describe_counts(size: Size) -> str:
    """Return the numbers of cells that an input of this size may have: “3549 or 3598”."""
    return " or ".join(str(len(_grid(size, strides))) for strides in STRIDES)


@lru_cache(maxsize=32)
def _grid(size: Size, strides: tuple[int, ...]) -> Floats:
    width_px, height_px = size
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: -(-height_px // stride), : -(-width_px // stride)]
        levels.append(np.stack([columns.ravel(), rows.ravel(), np.full(rows.size, stride)], axis=1))
    cells = np.concatenate(levels).astype(np.float32)
    cells.setflags(write=False)
    return cells
