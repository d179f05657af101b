"""Checks boxes and converts them to arrays.

The rules, for everything in this package: a coordinate or score that is not a finite number is an error of the
detector and raises InvalidError. A box without an area (right <= left or bottom <= top), such as one that was clipped
at the edge of the frame, is ignored.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ninjacam.core.annotations import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking.geometry import MAX_COORDINATE_PX, Array, Corners

MAX_BOXES = 512
"""Maximum number of boxes of one frame. Of more, those with the highest scores are used."""


class BoxArrays(NamedTuple):
    """Boxes with an area, in their order. `corners`: shape (n, 4): left, top, right, bottom. `scores`: shape (n,), 0 to
    1; a box without a score has 1.
    """

    boxes: list[Box]
    corners: Array
    scores: Array


class TrackedBox(NamedTuple):
    """A box with its track. `corners`: left, top, right, bottom. `score`: 1 if the box has none."""

    track: int
    box: Box
    corners: Corners
    score: float


def to_detections(boxes: Sequence[Box]) -> BoxArrays:
    """Return the boxes that have an area, at most MAX_BOXES. Raises: InvalidError: see the rules of this module."""
    corners, scores = _to_arrays(boxes)
    usable = np.flatnonzero((corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1]))
    if usable.size > MAX_BOXES:
        best = np.argsort(-scores[usable], kind="stable")[:MAX_BOXES]
        usable = np.sort(usable[best])
    return BoxArrays([boxes[index] for index in usable.tolist()], corners[usable], scores[usable])


def to_tracked(boxes: Sequence[Box]) -> list[TrackedBox]:
    """Return boxes that a tracker has returned, in their order.

    Raises: InvalidError: a box has no track, two boxes have the same one, or see the rules of this module.
    """
    found = to_detections(boxes)
    tracked: dict[int, TrackedBox] = {}
    for box, corners, score in zip(found.boxes, found.corners.tolist(), found.scores.tolist(), strict=True):
        if box.track is None:
            raise InvalidError.of("boxes", "A box has no track. Pass the result of Tracker.update.")
        track = int(box.track)
        if track in tracked:
            raise InvalidError.of("boxes", f"Two boxes have the track {track}. Use one tracker per camera.")
        tracked[track] = TrackedBox(track, box, tuple(corners), score)
    return list(tracked.values())


def _to_arrays(boxes: Sequence[Box]) -> tuple[Array, Array]:
    """Return `corners` and `scores` of all boxes."""
    if not all(isinstance(box, Box) for box in boxes):
        raise InvalidError.of("boxes", "Only boxes can be tracked. Pass a list of Box.")
    try:
        corners = np.array([(b.left, b.top, b.right, b.bottom) for b in boxes], float).reshape(-1, 4)
        scores = np.array([1.0 if box.score is None else float(box.score) for box in boxes], float)
    except (TypeError, ValueError, OverflowError) as exc:
        raise InvalidError.of("boxes", "A box has a coordinate or a score that is not a number.") from exc
    if not (np.abs(corners) <= MAX_COORDINATE_PX).all():
        raise InvalidError.of(
            "boxes", "A box has a coordinate that is not finite, or far outside of the frame."
        )
    if not ((scores >= 0) & (scores <= 1)).all():
        raise InvalidError.of("boxes", "A box has a score that is not a number from 0 to 1.")
    return corners, scores
