"""The decoding times of frames that come in the order of decoding, while their own times are those of display."""

import heapq

from ninjacam.core.packets import VIDEO_CLOCK_HZ

LEARNED_DEPTH = 2
MAX_LEARNED_TICKS = VIDEO_CLOCK_HZ // 4
"""A stream that does not announce reordering, and steps back by less than this, has B-frames."""


class DecodingTimes:
    """Of one camera; never decreasing. Times are ticks of VIDEO_CLOCK_HZ.

    `depth`: how many frames may precede one in decoding and follow it in display; 0: there are no B-frames.
    """

    def __init__(self) -> None:
        self.last: int | None = None
        self.restart()

    def restart(self) -> None:
        """The source was opened again: another stream."""
        self.depth = 0
        self._learns_depth = False
        self._waiting: list[int] = []

    def forget(self) -> None:
        """The camera's clock has jumped: what was collected before says nothing of what comes."""
        self._waiting = []

    def set_depth(self, depth: int | None) -> None:
        """None: the stream does not specify it; it is assumed to have no B-frames until one appears."""
        self._learns_depth = depth is None
        if depth is not None and depth != self.depth:
            self.depth = depth
            self._waiting = []

    def learn(self, step: int) -> None:
        """`step`: from a frame's time to the next one's."""
        if self._learns_depth and not self.depth and -MAX_LEARNED_TICKS <= step < 0:
            self.depth = LEARNED_DEPTH

    def next(self, pts: int, frame_ticks: float) -> int:
        """Return the decoding time of the next frame. `frame_ticks`: how long a frame is shown."""
        dts = self._reordered(pts, frame_ticks) if self.depth else pts
        if self.last is not None and dts <= self.last:
            dts = self.last + 1
        self.last = dts
        return dts

    def _reordered(self, pts: int, frame_ticks: float) -> int:
        heapq.heappush(self._waiting, pts)
        missing = self.depth + 1 - len(self._waiting)
        if missing > 0:
            return self._waiting[0] - int(missing * frame_ticks)
        return heapq.heappop(self._waiting)
