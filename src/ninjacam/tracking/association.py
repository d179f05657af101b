"""Which detection belongs to which object, in several stages of decreasing certainty."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ninjacam.tracking.assignment import assign
from ninjacam.tracking.geometry import Array, overlap


class Association:
    """Pairs of objects (rows) and detections (columns) with equal labels. Each belongs to at most one pair."""

    __slots__ = ("_free_columns", "_free_rows", "_same_label", "row_of")

    def __init__(self, row_labels: Sequence[str], column_labels: Sequence[str]) -> None:
        numbers: dict[str, int] = {}
        rows, columns = (
            np.array([numbers.setdefault(label, len(numbers)) for label in labels], int)
            for labels in (row_labels, column_labels)
        )
        self._same_label = rows[:, None] == columns
        self._free_rows = np.ones(len(rows), bool)
        self._free_columns = np.ones(len(columns), bool)
        self.row_of: dict[int, int] = {}
        """Row by column."""

    def add(
        self,
        rows: NDArray[np.bool_],
        columns: NDArray[np.bool_],
        row_corners: Array,
        column_corners: Array,
        min_overlap: float,
    ) -> None:
        """Add the pairs with the largest sum of overlaps above `min_overlap`, of those `rows` and `columns` that
        belong to none. The corners are those of all rows and columns, shapes (n, 4) and (m, 4).
        """
        some_rows, some_columns = (
            np.flatnonzero(rows & self._free_rows),
            np.flatnonzero(columns & self._free_columns),
        )
        if not some_rows.size or not some_columns.size:
            return
        gains = overlap(row_corners[some_rows], column_corners[some_columns]) - min_overlap
        gains *= self._same_label[np.ix_(some_rows, some_columns)]
        for row, column in assign(gains):
            self.row_of[int(some_columns[column])] = int(some_rows[row])
        self._free_rows[list(self.row_of.values())] = False
        self._free_columns[list(self.row_of)] = False
