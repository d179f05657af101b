"""The assignment problem: which of n rows belongs to which of m columns, so that the sum of gains is largest.

Pairs without a gain are never assigned, so rows and columns that have no common gain are independent problems. A frame
with many objects has many small ones. Each is solved exactly, by shortest augmenting paths (Jonker and Volgenant, "A
shortest augmenting path algorithm for dense and sparse linear assignment problems", Computing 38, 1987), after a greedy
start. Equal inputs give equal results.
"""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from ninjacam.tracking.geometry import Array


def assign(gains: Array) -> list[tuple[int, int]]:
    """Return the pairs (row, column) whose sum of gains is largest, by row.

    `gains`: shape (n, m), finite. Each row and each column is in at most one pair, and only pairs with a gain above 0
    are returned.
    """
    pairs: list[tuple[int, int]] = []
    for rows, columns in _independent_parts(gains):
        if len(rows) == 1 and len(columns) == 1:
            pairs.append((rows[0], columns[0]))
            continue
        part = np.maximum(gains[np.ix_(rows, columns)], 0)
        if len(rows) <= len(columns):
            chosen = list(enumerate(_solve(-part)))
        else:
            chosen = [(row, column) for column, row in enumerate(_solve(-part.T))]
        pairs += [(rows[row], columns[column]) for row, column in chosen if part[row, column] > 0]
    return sorted(pairs)


def _independent_parts(gains: Array) -> list[tuple[list[int], list[int]]]:
    """Return the connected components of the graph of all pairs with a gain, as lists of rows and of columns."""
    columns_of, rows_of = defaultdict(list), defaultdict(list)
    for row, column in zip(*(each.tolist() for each in np.nonzero(gains > 0)), strict=True):
        columns_of[row].append(column)
        rows_of[column].append(row)
    parts = []
    seen_rows: set[int] = set()
    for first in columns_of:
        if first in seen_rows:
            continue
        seen_rows.add(first)
        rows, columns = [first], []
        seen_columns: set[int] = set()
        for row in rows:  # It grows during the loop.
            for column in columns_of[row]:
                if column not in seen_columns:
                    seen_columns.add(column)
                    columns.append(column)
                    added = [other for other in rows_of[column] if other not in seen_rows]
                    seen_rows.update(added)
                    rows += added
        parts.append((sorted(rows), sorted(columns)))
    return parts


def _solve(costs: Array) -> list[int]:
    """Return the column of each row, with the smallest sum of costs. Shape (n, m) with n <= m."""
    row_count, column_count = costs.shape
    # A column may have a price from the start only if it is certain to be assigned.
    column_prices = costs.min(axis=0) if row_count == column_count else np.zeros(column_count)
    reduced = costs - column_prices
    row_prices = reduced.min(axis=1)
    column_of = np.full(row_count, -1)
    row_of = np.full(column_count, -1)
    for row, column in enumerate(reduced.argmin(axis=1).tolist()):
        if row_of[column] < 0:
            column_of[row], row_of[column] = column, row
    for row in np.flatnonzero(column_of < 0).tolist():
        _augment(row, costs, row_prices, column_prices, column_of, row_of)
    return column_of.tolist()


def _augment(
    start: int,
    costs: Array,
    row_prices: Array,
    column_prices: Array,
    column_of: NDArray[np.int_],
    row_of: NDArray[np.int_],
) -> None:
    """Assign one more row along the shortest path to a free column (Dijkstra), and update the prices."""
    distance = np.full(costs.shape[1], np.inf)
    open_distance = distance.copy()  # infinite for columns whose distance is final
    is_open = np.ones(costs.shape[1], bool)
    came_from = np.full(costs.shape[1], -1)
    rows, columns = [start], []
    row, nearest = start, 0.0
    while True:
        reached = costs[row] - column_prices
        reached += nearest - row_prices[row]
        shorter = (reached < distance) & is_open
        distance[shorter] = open_distance[shorter] = reached[shorter]
        came_from[shorter] = row
        column = int(open_distance.argmin())
        nearest = float(open_distance[column])
        open_distance[column] = np.inf
        is_open[column] = False
        columns.append(column)
        row = int(row_of[column])
        if row < 0:
            break
        rows.append(row)
    final = columns[:-1]
    row_prices[start] += nearest
    row_prices[rows[1:]] += nearest - distance[final]
    column_prices[final] -= nearest - distance[final]
    while True:
        row = int(came_from[column])
        row_of[column] = row
        column, column_of[row] = int(column_of[row]), column
        if row == start:
            break
