"""Decoding times for sources that only tell when a picture is shown (RTP has no DTS)."""

from bisect import insort

from ninjacam.core.packets import VIDEO_CLOCK_HZ

MAX_REORDER = 16
_MAX_STEP = VIDEO_CLOCK_HZ
"""One second: presentation times further apart are a jump in time, not B-frames."""


class DecodeTimes:
    """dts is the smallest of the N+1 latest presentation times, N being the stream's reorder depth.

    N comes from the SPS; where that is silent or wrong, it is learned from presentation times that step back.
    """

    __slots__ = ("_depth", "_window")

    def __init__(self) -> None:
        self._window: list[int] = []
        self._depth = 0

    def offset(self, pts: int, max_reorder: int | None) -> int:
        """pts - dts of the next picture in decoding order; pts in 1/90000 s. 0 where nothing is reordered."""
        window = self._window
        if window and abs(pts - window[-1]) > _MAX_STEP:
            window.clear()
        if max_reorder is not None and max_reorder > self._depth:
            self._depth = min(max_reorder, MAX_REORDER)
        insort(window, pts)
        if len(window) > self._depth + 1:
            if window[0] == pts < window[1] and self._depth < MAX_REORDER:
                self._depth += 1
            else:
                del window[0]
        return max(0, pts - window[0])
