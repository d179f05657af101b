"""Computes the coverage of many files at once: sixteen cameras create 23,000 files per day.

To call NumPy once instead of once per camera, all cameras share one time axis with a lane for each camera. All times
in ns, int64.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Lanes:
    """Maps times to the axis: `time - start_ns` after the origin of its camera's lane.

    `length_ns`: length of the requested span, from `start_ns`. `margin_ns`: maximum length of a file, and so how far
    one may extend beyond the span; lanes are separated by this margin too, so no span crosses lanes.
    """

    cameras: int
    start_ns: int
    length_ns: int
    margin_ns: int

    @property
    def origins(self) -> Array:
        """Return the origins of the lanes: shape (cameras,)."""
        return np.arange(self.cameras) * (self.length_ns + 3 * self.margin_ns) + self.margin_ns


@dataclass(frozen=True, slots=True)
class FileArrays:
    """The files of all cameras. All arrays have shape (files,), ordered by start on the axis."""

    starts: Array
    ends: Array
    sizes_bytes: Array


def read_files(lanes: Lanes, rows: Iterable[Sequence[str | bytes]]) -> FileArrays:
    """Return the arrays. `rows`: one per camera, from `SegmentQuerySet.as_lists`."""
    found = [np.empty((3, 0), np.int64)]
    for origin, row in zip(lanes.origins, rows, strict=True):
        numbers = np.array([_read_numbers(each) for each in row])
        numbers[0] += origin
        found.append(numbers)
    numbers = np.concatenate(found, axis=1)
    starts, lengths, sizes_bytes = numbers[:, np.argsort(numbers[0], kind="stable")]
    return FileArrays(starts, starts + np.minimum(lengths, lanes.margin_ns), sizes_bytes)


def _read_numbers(packed: str | bytes) -> Array:
    if isinstance(packed, str):
        return np.fromstring(packed[1:-1], np.int64, sep=",")
    return np.frombuffer(packed, ">i8").astype(np.int64)


def spans(lanes: Lanes, files: FileArrays, *, max_gap_ns: int) -> list[list[tuple[int, int]]]:
    """Return for each camera the spans [from, until) without a gap longer than `max_gap_ns`, in order, in ns since
    1970, clipped to the requested span.
    """
    found: list[list[tuple[int, int]]] = [[] for _ in range(lanes.cameras)]
    if not len(files.starts):
        return found
    reached = np.maximum.accumulate(files.ends)
    breaks = np.flatnonzero(files.starts[1:] - reached[:-1] > max_gap_ns)
    firsts, lasts = files.starts[np.append(0, breaks + 1)], reached[np.append(breaks, -1)]
    cameras = np.searchsorted(lanes.origins - lanes.margin_ns, firsts, side="right") - 1
    origins = lanes.origins[cameras]
    firsts = np.maximum(firsts - origins, 0) + lanes.start_ns
    lasts = np.minimum(lasts - origins, lanes.length_ns) + lanes.start_ns
    for camera, first, last in zip(cameras.tolist(), firsts.tolist(), lasts.tolist(), strict=True):
        found[camera].append((first, last))
    return found


def bitrates_bps(lanes: Lanes, files: FileArrays, buckets: int) -> list[list[int]]:
    """Return, for each camera and bucket of the requested span, the mean bit rate of the files that overlap it; 0:
    none. `buckets` must divide the span evenly."""
    edges = np.array([lanes.length_ns * n // buckets for n in range(buckets + 1)], np.int64)
    edges_of_all = lanes.origins[:, np.newaxis] + edges
    by_end = np.argsort(files.ends, kind="stable")
    begun = np.searchsorted(files.starts, edges_of_all[:, 1:], side="left")
    ended = np.searchsorted(files.ends[by_end], edges_of_all[:, :-1], side="right")

    def overlapping(values: Array) -> Array:
        """Return the sum over files that start before a bucket ends, minus those that end before it starts."""
        return _sums(values)[begun] - _sums(values[by_end])[ended]

    lengths_ns = overlapping(files.ends - files.starts)
    # Converted to float: multiplied by 1e9, it would overflow an int64.
    bits = overlapping(files.sizes_bytes) * 8.0
    rates = np.where(lengths_ns > 0, bits * 1e9 // np.maximum(lengths_ns, 1), 0)
    whole: list[list[int]] = rates.astype(np.int64).tolist()
    return whole


def _sums(values: Array) -> Array:
    """Return the sums of the first 0, 1, ... n values: shape (n + 1,)."""
    return np.append(0, np.cumsum(values))
