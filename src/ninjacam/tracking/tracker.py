"""Gives the boxes of an object the same number from frame to frame, by ByteTrack with capture times.

Source: Zhang et al., "ByteTrack: Multi-Object Tracking by Associating Every Detection Box", ECCV 2022
(arXiv:2110.06864). What differs, and why: docs/design/0016-tracking.md.
"""

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ninjacam.core.annotation_values import MAX_TRACK
from ninjacam.core.annotations import MAX_TRAIL, Box
from ninjacam.tracking.association import Association
from ninjacam.tracking.boxes import BoxArrays, to_detections
from ninjacam.tracking.capture_clock import (
    CaptureClock,
    CaptureTime,
    check_count,
    check_scores,
    to_interval_ns,
)
from ninjacam.tracking.geometry import grow
from ninjacam.tracking.motion import BoxMotion, to_centers

MAX_TRACKED = 1024
"""Maximum number of objects at a time, including those that are not visible at the moment. Of more, those that have
been invisible for the longest time are forgotten.
"""
MAX_GAP_S = 15
"""After a longer interval without frames, no object is recognized. Still scenes have a frame about every 10 s."""
MAX_PREDICTED_S = 2
"""Longest interval between two frames in which objects are assumed to move on with their speed."""
MIN_OVERLAP = 0.2
"""Smallest IoU of an object's expected box and its detection. ByteTrack: 0.2."""
MIN_WEAK_OVERLAP = 0.5
"""The same for detections with a low score. ByteTrack: 0.5."""
NEAR_MARGIN = 0.5
"""Share of width and height by which two boxes are enlarged on each side. If they overlap then, they are near. An
object whose speed is unknown or has changed need not overlap with its previous box.
"""
MAX_NEAR_NS = 1_000_000_000
"""After this time, a box near the last one is not the same object."""


@dataclass(slots=True)
class _Track:
    """An object. `watched_ns`: when it was last seen. `track`: its number; None until it has been seen often enough."""

    label: str
    watched_ns: int
    trail: deque[tuple[float, float]]
    detections: int = 0
    track: int | None = None


class Tracker:
    """Tracks the objects of one camera.

    `start_score`: the score from which a box starts a track. `continue_score`: the score from which a box continues
    one. `max_unseen_s`: how long an object may be invisible, for example behind a tree, and keep its track; an interval
    without frames counts at most 1 s. `min_detections`: how many updates in succession must show an object before it
    has a track. `max_trail`: how many earlier positions each returned box has, 0 to 64. `first_track`: number of the
    first track. Numbers increase by 1 and are never used twice; objects beyond 2**53 - 1 have no track.

    Not thread-safe. Raises: InvalidError: a parameter is out of range.
    """

    def __init__(
        self,
        *,
        start_score: float = 0.5,
        continue_score: float = 0.1,
        max_unseen_s: float = 2.0,
        min_detections: int = 2,
        max_trail: int = 0,
        first_track: int = 1,
    ) -> None:
        check_scores(start_score, continue_score)
        check_count(min_detections, "min_detections", (1, 1000))
        check_count(max_trail, "max_trail", (0, MAX_TRAIL))
        check_count(first_track, "first_track", (0, MAX_TRACK))
        self._start_score, self._continue_score = start_score, continue_score
        self._max_unseen_ns = to_interval_ns(max_unseen_s, "max_unseen_s")
        self._min_detections = min_detections
        self._max_trail = max_trail
        self._next_track = first_track
        self._clock = CaptureClock()
        self._tracks: list[_Track] = []
        self._motion = BoxMotion()  # its rows belong to `_tracks`, as those of `_seen` do
        self._seen = np.empty((0, 4))  # the last detections

    def update(self, boxes: Sequence[Box], captured_at: CaptureTime) -> list[Box]:
        """Return the boxes that belong to a track as new boxes with `track` and `trail`, in the order of `boxes`.

        `boxes`: the detections of one frame, in pixels, in any order. A box without a score has the score 1. Boxes
        without an area are ignored, as are those with the lowest scores if there are more than 512. Boxes with
        different labels never belong to the same track. `captured_at`: the frame's `captured_at` or `captured_ns`. A
        time before that of the previous update counts as the same time.

        Raises: InvalidError: a box or the time cannot be used (see `ninjacam.tracking.boxes`). Nothing has changed.
        """
        found = to_detections(boxes)
        self._clock.advance(captured_at)
        if self._clock.step_s > MAX_GAP_S:
            self._keep([])
        self._motion.predict(min(self._clock.step_s, MAX_PREDICTED_S))
        pairs = self._associate(found)
        self._motion.correct(list(pairs.values()), found.corners[list(pairs)])
        self._seen[list(pairs.values())] = found.corners[list(pairs)]
        tracks = {index: self._tracks[row] for index, row in pairs.items()}
        tracks |= self._start(found, taken=tracks.keys())
        centers = to_centers(found.corners)[:, :2].tolist()
        returned = []
        for index, track in sorted(tracks.items()):
            self._count(track)
            if track.track is not None:
                trail = tuple(track.trail)
                returned.append(replace(found.boxes[index], track=track.track, trail=trail))
            x, y = centers[index]
            track.trail.append((x, y))
        self._forget()
        return returned

    def _associate(self, found: BoxArrays) -> dict[int, int]:
        """Return the row of `_tracks` by the index of its detection."""
        has_number = np.array([track.track is not None for track in self._tracks], bool)
        seen_ns = np.array([track.watched_ns for track in self._tracks], np.int64)
        is_recent = self._clock.watched_ns - seen_ns <= MAX_NEAR_NS
        is_strong = found.scores >= self._start_score
        is_usable = found.scores >= self._continue_score
        expected = self._motion.corners()
        nearby, enlarged = grow(self._seen, NEAR_MARGIN), grow(found.corners, NEAR_MARGIN)
        pairs = Association([track.label for track in self._tracks], [box.label for box in found.boxes])
        pairs.add(has_number, is_strong, expected, found.corners, MIN_OVERLAP)
        pairs.add(has_number, is_usable & ~is_strong, expected, found.corners, MIN_WEAK_OVERLAP)
        pairs.add(has_number & is_recent, is_strong, nearby, enlarged, MIN_OVERLAP)
        pairs.add(~has_number, is_usable, nearby, enlarged, MIN_OVERLAP)
        return pairs.row_of

    def _start(self, found: BoxArrays, taken: Collection[int]) -> dict[int, _Track]:
        """Add a track for each detection with a high score that belongs to none. Return them by its index."""
        strong = np.flatnonzero(found.scores >= self._start_score).tolist()
        started = [index for index in strong if index not in taken]
        trails = [deque[tuple[float, float]](maxlen=self._max_trail) for _ in started]
        tracks = [_Track(found.boxes[i].label, 0, trail) for i, trail in zip(started, trails, strict=True)]
        self._tracks += tracks
        self._motion.add(found.corners[started])
        self._seen = np.vstack([self._seen, found.corners[started]])
        return dict(zip(started, tracks, strict=True))

    def _count(self, track: _Track) -> None:
        """Count a detection. The object gets its number if it has been seen often enough."""
        track.watched_ns = self._clock.watched_ns
        track.detections += 1
        if track.track is None and track.detections >= self._min_detections and self._next_track <= MAX_TRACK:
            track.track = self._next_track
            self._next_track += 1

    def _forget(self) -> None:
        """Forget objects that have been invisible for too long, and new ones that this update does not show."""
        now_ns = self._clock.watched_ns
        kept = [
            row
            for row, track in enumerate(self._tracks)
            if track.watched_ns == now_ns
            or (track.track is not None and now_ns - track.watched_ns <= self._max_unseen_ns)
        ]
        if len(kept) > MAX_TRACKED:
            latest = sorted(kept, key=lambda row: -self._tracks[row].watched_ns)  # stable: older rows first
            kept = sorted(latest[:MAX_TRACKED])
        if len(kept) < len(self._tracks):
            self._keep(kept)

    def _keep(self, rows: list[int]) -> None:
        self._tracks = [self._tracks[row] for row in rows]
        self._motion.keep(rows)
        self._seen = self._seen[rows]
