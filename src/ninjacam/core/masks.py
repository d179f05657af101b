"""Binary masks as run lengths of a few cells, as players and recordings receive them.

The runs go row by row from the top left and alternate, starting with the number of cells outside of the mask, which may
be 0. This is COCO's uncompressed run-length encoding, but by rows instead of columns.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from ninjacam.core.errors import EncodeError

MAX_CELLS = 160
"""Maximum number of cells on the longer side."""
MAX_RUNS = 2048
"""Maximum number of runs, which are 12 KB of JSON at most. A mask with more runs gets half the cells on each side."""


class MaskRuns(NamedTuple):
    """A mask. `left`, `top`, `right`, `bottom`: the smallest rectangle that contains it, in pixels of the frame.
    `columns`, `rows`: cells in that rectangle. `runs`: run lengths; their sum is columns * rows.
    """

    left: int
    top: int
    right: int
    bottom: int
    columns: int
    rows: int
    runs: list[int]


def encode_mask(mask: Any, left: int, top: int, width_px: int, height_px: int) -> MaskRuns | None:
    """Return the part of a mask that is within the frame, by nearest neighbour; None if it is empty.

    `mask`: (height, width), bool or uint8 (not 0: inside). `left`, `top`: its top left corner in pixels of the frame.
    Raises: EncodeError: it is not such an array.
    """
    _check_mask(mask)
    visible = mask[max(0, -top) : max(0, height_px - top), max(0, -left) : max(0, width_px - left)]
    visible = visible.astype(bool, copy=False)
    rows, columns = np.flatnonzero(visible.any(axis=1)), np.flatnonzero(visible.any(axis=0))
    if not rows.size:
        return None
    inside = visible[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    max_cells = MAX_CELLS
    while len(runs := _run_lengths(cells := _reduce(inside, max_cells))) > MAX_RUNS:
        max_cells //= 2
    x, y = max(0, left) + int(columns[0]), max(0, top) + int(rows[0])
    return MaskRuns(x, y, x + inside.shape[1], y + inside.shape[0], cells.shape[1], cells.shape[0], runs)


def decode_mask(runs: Sequence[int], columns: int, rows: int) -> Any:
    """Return the cells: uint8, shape (rows, columns), 1 inside and 0 outside. The sum of `runs` is columns * rows."""
    return np.repeat(np.arange(len(runs), dtype=np.uint16) % 2, runs).astype(np.uint8).reshape(rows, columns)


def _check_mask(mask: Any) -> None:
    if not isinstance(mask, np.ndarray):
        problem = type(mask).__name__
    elif mask.ndim != 2:
        problem = f"an array of shape {mask.shape}"
    elif mask.dtype not in (np.bool_, np.uint8):
        problem = f"an array of {mask.dtype}"
    else:
        return
    raise EncodeError(
        f"The processor returned a Mask with {problem}; use a NumPy array of shape (height, width) "
        "of bool or uint8, such as `scores > 0.5`."
    )


def _reduce(inside: Any, max_cells: int) -> Any:
    """Return the cells of a mask, at most `max_cells` on the longer side: the pixels at their centers."""
    scale = min(1.0, max_cells / max(inside.shape))
    counts = [max(1, round(size * scale)) for size in inside.shape]
    centers = [
        ((np.arange(count) + 0.5) * size / count).astype(int)
        for size, count in zip(inside.shape, counts, strict=True)
    ]
    return inside[np.ix_(*centers)]


def _run_lengths(cells: Any) -> list[int]:
    flat = cells.ravel()
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs: list[int] = np.diff(changes, prepend=0, append=flat.size).tolist()
    return [0, *runs] if flat[0] else runs
