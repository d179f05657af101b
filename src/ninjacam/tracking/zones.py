"""Which objects are in a zone, since when, and which ones stay for long."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ninjacam.core.annotations import Box
from ninjacam.core.errors import InvalidError
from ninjacam.tracking.boxes import TrackedBox, to_tracked
from ninjacam.tracking.capture_clock import (
    NS_PER_S,
    CaptureClock,
    CaptureTime,
    check_count,
    to_interval_ns,
)
from ninjacam.tracking.geometry import Anchor, PixelPoint, are_inside, check_anchor, find_anchor, to_polygon
from ninjacam.tracking.memory import TrackMemory


class Stay(NamedTuple):
    """An object in a zone. `box`: its latest box. `dwell_s`: seconds from the first frame that shows it inside to the
    last one. `entered_ns`: capture time of that first frame.
    """

    track: int
    label: str
    box: Box
    entered_ns: int
    dwell_s: float


class ZoneUpdate(NamedTuple):
    """The changes of one update. `entered`, `left`: objects that are now inside, and no longer inside. `loitering`:
    objects that have now been inside for the loitering time. `occupancy`: how many are inside.
    """

    entered: list[Stay]
    left: list[Stay]
    loitering: list[Stay]
    occupancy: int


@dataclass(slots=True)
class _State:
    """An object. Times are elapsed ones. `contrary`: number of successive frames that show it on the other side."""

    box: Box | None = None
    is_inside: bool = False
    contrary: int = 0
    contrary_since_ns: int = 0
    contrary_captured_ns: int = 0
    entered_ns: int = 0
    entered_captured_ns: int = 0
    last_inside_ns: int = 0
    has_loitered: bool = False


class ZoneOccupancy:
    """Counts the objects in one zone.

    `polygon`: 3 to 256 points (x, y) in pixels of the frame. `inertia`, `inertia_s`: an object is inside when at least
    this number of successive frames, over at least this time, show its anchor inside, and outside again by the same
    rule. `loitering_s`: the time inside after which it is reported once as loitering; None: never. `anchor`: "bottom",
    the middle of the lower edge, or "center". `max_unseen_s`: an object that is not seen for longer has left; an
    interval without frames counts at most 1 s.

    An object that is inside when it is first seen enters. All that enter leave or are inside: the numbers of `entered`
    and `left` so far differ by `occupancy`. Not thread-safe. Raises: InvalidError: a parameter is out of range.
    """

    def __init__(
        self,
        polygon: Any = None,
        *,
        inertia: int = 3,
        inertia_s: float = 0.0,
        loitering_s: float | None = None,
        anchor: Anchor = "bottom",
        max_unseen_s: float = 2.0,
    ) -> None:
        check_anchor(anchor)
        check_count(inertia, "inertia", (1, 1000), " frames")
        self._polygon = None if polygon is None else to_polygon(polygon)
        self._inertia = inertia
        self._inertia_ns = to_interval_ns(inertia_s, "inertia_s")
        self._loitering_ns = None if loitering_s is None else to_interval_ns(loitering_s, "loitering_s")
        self._anchor = anchor
        self._max_unseen_ns = to_interval_ns(max_unseen_s, "max_unseen_s")
        self._clock = CaptureClock()
        self._states = TrackMemory(_State)

    @property
    def inside(self) -> list[Stay]:
        """The objects that are inside, least recently seen first."""
        return [self._stay(track, state) for track, state in self._states if state.is_inside]

    def update(self, boxes: Sequence[Box], captured_at: CaptureTime, polygon: Any = None) -> ZoneUpdate:
        """Return the changes since the previous update.

        `boxes`: the result of `Tracker.update`. `captured_at`: as there. `polygon`: replaces the polygon, for example
        because the size of frames has changed. Objects that are inside stay so until they are outside of the new one.

        Raises: InvalidError: there is no polygon, or a box, the time or the polygon cannot be used.
        """
        tracked = to_tracked(boxes)
        new_polygon = self._polygon if polygon is None else to_polygon(polygon)
        if new_polygon is None:
            raise InvalidError.of("polygon", "The zone has no polygon. Pass points (x, y).")
        self._clock.advance(captured_at)
        self._polygon = new_polygon
        entered: list[Stay] = []
        left: list[Stay] = []
        loitering: list[Stay] = []
        for each, is_inside in zip(tracked, self._are_inside(tracked, new_polygon), strict=True):
            state = self._states.see(each.track, self._clock.watched_ns)
            state.box = each.box
            if self._changes_side(state, is_inside):
                (entered if state.is_inside else left).append(self._stay(each.track, state))
            if self._begins_to_loiter(state):
                loitering.append(self._stay(each.track, state))
        gone = self._states.forget(self._clock.watched_ns - self._max_unseen_ns)
        left += [self._stay(track, state) for track, state in gone if state.is_inside]
        occupancy = sum(state.is_inside for _, state in self._states)
        return ZoneUpdate(entered, left, loitering, occupancy)

    def _are_inside(self, tracked: list[TrackedBox], polygon: tuple[PixelPoint, ...]) -> list[bool]:
        if not tracked:
            return []
        anchors = np.array([find_anchor(each.corners, self._anchor) for each in tracked])
        return are_inside(anchors, np.array(polygon)).tolist()  # type: ignore[no-any-return]

    def _changes_side(self, state: _State, is_inside: bool) -> bool:
        """Note where an object is. Return whether it has entered or left."""
        now_ns = self._clock.elapsed_ns
        if is_inside:
            state.last_inside_ns = now_ns
        if is_inside == state.is_inside:
            state.contrary = 0
            return False
        if not state.contrary:
            state.contrary_since_ns, state.contrary_captured_ns = now_ns, self._clock.captured_ns
        state.contrary += 1
        if state.contrary < self._inertia or now_ns - state.contrary_since_ns < self._inertia_ns:
            return False
        state.is_inside, state.contrary = is_inside, 0
        if is_inside:
            state.entered_ns, state.entered_captured_ns = state.contrary_since_ns, state.contrary_captured_ns
            state.has_loitered = False
        return True

    def _begins_to_loiter(self, state: _State) -> bool:
        if self._loitering_ns is None or not state.is_inside or state.has_loitered:
            return False
        state.has_loitered = state.last_inside_ns - state.entered_ns >= self._loitering_ns
        return state.has_loitered

    def _stay(self, track: int, state: _State) -> Stay:
        assert state.box is not None
        dwell_s = (state.last_inside_ns - state.entered_ns) / NS_PER_S
        return Stay(track, state.box.label, state.box, state.entered_captured_ns, dwell_s)
