"""Stationary objects whose visits have ended: they are still there, although their detection was lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ninjacam.core.annotations import Box
from ninjacam.tracking.boxes import TrackedBox
from ninjacam.tracking.course import SAME_PLACE_OVERLAP
from ninjacam.tracking.geometry import corners_of, overlap
from ninjacam.tracking.json_values import box_from_json, box_to_json, invalid_state, to_integer

MAX_PARKED = 256
"""Maximum number of remembered objects; of more, those that were seen least recently are forgotten."""


@dataclass(slots=True, eq=False)
class ParkedObject:
    """A stationary object whose visit has ended. `watched_ns`: when it was last seen."""

    box: Box
    watched_ns: int


class ParkedObjects:
    """The stationary objects of a camera whose visits have ended, least recently seen first."""

    __slots__ = ("_parked",)

    def __init__(self) -> None:
        self._parked: list[ParkedObject] = []

    def add(self, box: Box, watched_ns: int) -> None:
        self._parked = [*self._parked, ParkedObject(box, watched_ns)][-MAX_PARKED:]

    def remove(self, parked: ParkedObject) -> None:
        """Remove an object that has moved; one that is not there any more is ignored."""
        self._parked = [each for each in self._parked if each is not parked]

    def find(self, boxes: Sequence[TrackedBox]) -> list[ParkedObject | None]:
        """Return the parked object at the place of each box, with the same label."""
        if not self._parked or not boxes:
            return [None] * len(boxes)
        places = np.array([corners_of(each.box) for each in self._parked])
        labels = np.array([each.box.label for each in boxes], object)
        same_label = labels[:, None] == np.array([each.box.label for each in self._parked], object)
        overlaps = overlap(np.array([each.corners for each in boxes]), places) * same_label
        best, largest = overlaps.argmax(axis=1).tolist(), overlaps.max(axis=1).tolist()
        return [
            self._parked[index] if value >= SAME_PLACE_OVERLAP else None
            for index, value in zip(best, largest, strict=True)
        ]

    def forget(self, before_ns: int) -> None:
        """Remove the objects that were last seen before this time."""
        self._parked = [each for each in self._parked if each.watched_ns >= before_ns]

    def state(self) -> list[dict[str, Any]]:
        """Return the objects as plain JSON."""
        return [{"box": box_to_json(each.box), "watched_ns": each.watched_ns} for each in self._parked]

    @classmethod
    def from_state(cls, state: Any) -> "ParkedObjects":
        """Raises: InvalidError, LookupError or TypeError: it is not the result of `state`."""
        made = cls()
        if len(state) > MAX_PARKED:
            raise invalid_state()
        for each in state:
            made.add(box_from_json(each["box"]), to_integer(each["watched_ns"]))
        return made
