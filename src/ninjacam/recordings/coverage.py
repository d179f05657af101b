"""What many files cover together: arrays in, as a day of sixteen cameras has 23,000 files.

All times in ns since 1970, int64. `starts` and `ends`: shape (n,), of the same files, in the order of their starts.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]


def read_files(texts: Iterable[str], start_ns: int) -> tuple[Array, Array, Array]:
    """(starts, ends, sizes in bytes), in the order of their starts, of a row of `SegmentQuerySet.as_texts`."""
    numbers = np.array([np.fromstring(text[1:-1], np.int64, sep=",") for text in texts])
    offsets, lengths, sizes_bytes = numbers[:, np.argsort(numbers[0])]
    starts = start_ns + offsets
    return starts, starts + lengths, sizes_bytes


def spans(starts: Array, ends: Array, *, within: tuple[int, int], most_gap_ns: int) -> list[tuple[int, int]]:
    """The spans [from, until) without a gap longer than `most_gap_ns`, in order, cut to `within`. n > 0."""
    reached = np.maximum.accumulate(ends)
    breaks = np.flatnonzero(starts[1:] - reached[:-1] > most_gap_ns)
    firsts = np.maximum(starts[np.append(0, breaks + 1)], within[0])
    lasts = np.minimum(reached[np.append(breaks, -1)], within[1])
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def edges_ns(start_ns: int, end_ns: int, buckets: int) -> Array:
    """Of buckets that divide [start, end) evenly: shape (buckets + 1,)."""
    return np.array([start_ns + (end_ns - start_ns) * n // buckets for n in range(buckets + 1)], np.int64)


def bitrates_bps(starts: Array, ends: Array, sizes_bytes: Array, edges: Array) -> list[int]:
    """Of each bucket between two `edges`, the mean bit rate of the files that overlap it; 0: none."""
    buckets = len(edges) - 1
    first = np.clip(np.searchsorted(edges, starts, side="right") - 1, 0, buckets)
    behind = np.clip(np.searchsorted(edges, ends, side="left"), first, buckets)

    def overlapping(values: Array) -> Array:
        change = np.zeros(buckets + 1, np.int64)
        np.add.at(change, first, values)
        np.subtract.at(change, behind, values)
        return np.cumsum(change)[:-1]

    lengths_ns = overlapping(ends - starts)
    bits = overlapping(sizes_bytes) * 8.0  # times 1e9 it is too much for an int64
    rates = np.where(lengths_ns > 0, bits * 1e9 // np.maximum(lengths_ns, 1), 0)
    whole: list[int] = rates.astype(np.int64).tolist()
    return whole
