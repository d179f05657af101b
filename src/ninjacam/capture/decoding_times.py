"""Derives decoding times of frames that arrive in decoding order with presentation times."""

import heapq

from ninjacam.core.packets import VIDEO_CLOCK_HZ

LEARNED_DEPTH = 2
MAX_LEARNED_TICKS = VIDEO_CLOCK_HZ // 4
"""If a stream does not announce reordering, steps back of less than this show that it has B-frames."""


class DecodingTimes:
    """The decoding times of one camera, which never decrease. Times are ticks of VIDEO_CLOCK_HZ.

    `depth`: number of frames that may precede a frame in decoding order and follow it in display order; 0: no
    B-frames.
    """

    def __init__(self) -> None:
        self.last: int | None = None
        self.restart()

    def restart(self) -> None:
        """Reset the state, because the source was opened again with another stream."""
        self.depth = 0
        self._learns_depth = False
        self._waiting: list[int] = []

    def forget(self) -> None:
        """Discard the collected times, because the camera's clock has jumped."""
        self._waiting = []

    def set_depth(self, depth: int | None) -> None:
        """Set the depth. None: the stream does not specify it, and is assumed to have no B-frames until one appears."""
        self._learns_depth = depth is None
        if depth is not None and depth != self.depth:
            self.depth = depth
            self._waiting = []

    def learn(self, step: int) -> None:
        """Process the step from one frame's time to the next frame's."""
        if self._learns_depth and not self.depth and -MAX_LEARNED_TICKS <= step < 0:
            self.depth = LEARNED_DEPTH

    def next(self, pts: int, frame_ticks: float) -> int:
        """Return the decoding time of the next frame. `frame_ticks`: display duration of a frame."""
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
