"""Splits a video into parts that may run at the same time. The parts do not depend on the number of processes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from ninjacam.backtest.video import NS, VideoPart

PART_S = 60
MIN_WARM_UPS = 10
"""Minimum length of a part, in warm-ups: these frames are processed twice."""
MAX_PARTS = 1_000


class RecordedFile(NamedTuple):
    """A file of the recordings, in wall-clock ns."""

    path: str
    start_ns: int
    end_ns: int


def split(whole: VideoPart, warm_up_s: float | None, files: Sequence[RecordedFile] = ()) -> list[VideoPart]:
    """Return the parts of `whole`, in order. `warm_up_s`: None: it must not be split. `files`: of recordings.

    Parts in which nothing is recorded are left out.
    """
    start_ns = whole.start_ns or whole.starts_ns
    if warm_up_s is None or whole.end_ns <= start_ns:
        return [whole]
    warm_up_ns = int(warm_up_s * NS)
    length_ns = max(PART_S * NS, MIN_WARM_UPS * warm_up_ns, -(-(whole.end_ns - start_ns) // MAX_PARTS))
    parts = []
    for begin_ns in range(start_ns, whole.end_ns, length_ns):
        end_ns = min(begin_ns + length_ns, whole.end_ns)
        first_ns = max(start_ns, begin_ns - warm_up_ns)
        paths = whole.paths
        if files:
            paths = tuple(each.path for each in files if each.end_ns > first_ns and each.start_ns < end_ns)
            if not any(each.end_ns > begin_ns and each.start_ns < end_ns for each in files):
                continue
        parts.append(replace(whole, paths=paths, warm_up_ns=first_ns, start_ns=begin_ns, end_ns=end_ns))
    return parts or [whole]
