"""Which new track is the object of a visit that was lost: after an occlusion, an interval without frames, a restart."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ninjacam.tracking.assignment import assign
from ninjacam.tracking.capture_clock import NS_PER_S
from ninjacam.tracking.course import Course, distances_from_paths
from ninjacam.tracking.geometry import Array, Corners
from ninjacam.tracking.memory import TrackMemory
from ninjacam.tracking.parked import ParkedObject
from ninjacam.tracking.visit import Visit

MAX_GAP_NS = 120 * NS_PER_S
"""Longest interval without frames, such as a restart, that a visit outlasts."""
REACH = 0.5
"""How far a lost object may be found from where it may be expected, in units of its longer side."""
REACH_PER_S = 0.8
"""The same for each second of an interval without frames, in which it may have gone anywhere. A person walks 0.8 body
heights per second.
"""
MAX_LOST_IN_GAP_NS = 2 * NS_PER_S
"""An object that frames have not shown for this time was not lost in an interval without frames, which counts 1 s."""


@dataclass(slots=True, eq=False)
class OngoingVisit:
    """An ongoing visit. `track`: None after `restore`. `watched_ns`, `elapsed_ns`: when the object was last seen."""

    visit: Visit
    track: int | None
    watched_ns: int
    elapsed_ns: int
    course: Course


@dataclass(slots=True, eq=False)
class Candidate:
    """A track that may become a visit, from its first detection (`first_…`). `parked`: the object that it may be."""

    label: str = ""
    first_corners: Corners = (0.0, 0.0, 0.0, 0.0)
    first_captured_ns: int = 0
    first_elapsed_ns: int = 0
    first_watched_ns: int = 0
    detections: int = 0
    strong_detections: int = 0
    parked: ParkedObject | None = None


def find_again(
    ongoing: Sequence[OngoingVisit], candidates: TrackMemory[Candidate], watched_ns: int, end_after_ns: int
) -> dict[int, OngoingVisit]:
    """Return the visit that each candidate probably continues, by its track.

    Its object was lost before the candidate appeared, at most `end_after_ns` ago. The candidate appeared where the
    object may have gone: between its last place and where it would be with its last speed. `watched_ns`: now.
    """
    lost = [each for each in ongoing if each.track is None or each.watched_ns < watched_ns]
    found = [(track, each) for track, each in candidates if each.detections]
    if not lost or not found:
        return {}
    gains = _gains(lost, [each for _, each in found], end_after_ns)
    return {found[column][0]: lost[row] for row, column in assign(gains)}


def _gains(lost: list[OngoingVisit], new: list[Candidate], end_after_ns: int) -> Array:
    """Return how close each candidate is to where each object may be: 1 to 0, less if it cannot be the same."""
    gaps_ns = _differences([each.first_elapsed_ns for each in new], [each.elapsed_ns for each in lost])
    unseen_ns = _differences([each.first_watched_ns for each in new], [each.watched_ns for each in lost])
    is_restored = np.array([each.track is None for each in lost])[:, None]
    labels = np.array([each.visit.label for each in lost], object)[:, None]
    is_possible = (
        (labels == np.array([each.label for each in new], object))
        & (is_restored | (unseen_ns > 0))
        & (unseen_ns <= end_after_ns)
        & (gaps_ns <= end_after_ns + MAX_GAP_NS)
    )
    distances = distances_from_paths(
        [each.course for each in lost],
        np.array([each.first_corners for each in new]),
        np.maximum(gaps_ns, 0) / NS_PER_S,
    )
    unwatched_s = np.maximum(gaps_ns - unseen_ns, 0) / NS_PER_S
    reach = REACH + REACH_PER_S * unwatched_s * (unseen_ns <= MAX_LOST_IN_GAP_NS)
    gains: Array = (1 - distances / reach) * is_possible
    return gains


def _differences(columns: Sequence[int], rows: Sequence[int]) -> NDArray[np.int64]:
    """Return column - row for each pair, shape (len(rows), len(columns))."""
    return np.array(columns, np.int64) - np.array(rows, np.int64)[:, None]
