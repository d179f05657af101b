"""Finds when something moved in a region of recorded video, from key frames only, at most one every two seconds.

Key frames are decoded and reduced by several threads, a file each; one detector then compares them in order.
"""

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from av.video.reformatter import VideoReformatter

from ninjacam.backtest.movements import MERGE_NS, WARM_UP_NS, WHOLE, MotionSearch, MotionSpan, Region
from ninjacam.backtest.parts import RecordedFile
from ninjacam.core.errors import DecodeError
from ninjacam.motion import MotionDetector, shrink
from ninjacam.recordings.key_frames import iter_key_frames
from ninjacam.vision.attention import SENSITIVITY
from ninjacam.vision.images import DecodedFrame

if TYPE_CHECKING:
    from ninjacam.core.frames import GrayImage

MAX_MOVEMENTS = 1_000
STEP_NS = 1_900_000_000
"""Minimum time between two key frames that are examined: one every 2 s, because decoding them is most of the work."""
MIN_AREA, MIN_AREA_OF_REGION = 0.001, 0.02
"""Smallest moving area: the smaller one of a share of the image and a share of the region."""


class _SmallFrame(NamedTuple):
    captured_ns: int
    luma: "GrayImage"


def search_motion(
    files: Sequence[RecordedFile],
    start_ns: int,
    end_ns: int,
    region: Region = WHOLE,
    *,
    budget_s: float = float("inf"),
) -> MotionSearch:
    """Search the recordings of [start, end), for at most about `budget_s`. Unreadable files are gaps. Blocks."""
    area = (region.right - region.left) * (region.bottom - region.top)
    detector = MotionDetector(sensitivity=SENSITIVITY, min_area=min(MIN_AREA, MIN_AREA_OF_REGION * area))
    found = MotionSearch(searched_until_ns=start_ns)
    deadline_s = time.monotonic() + budget_s
    ignored: Any = None
    moved_before = False
    for file, frames in _read_ahead(files, start_ns - WARM_UP_NS, end_ns):
        for captured_ns, luma in frames:
            if ignored is None or ignored.shape != luma.shape:
                ignored = _outside(region, luma.shape)
            detector.update(luma, captured_ns, ignored)
            if captured_ns >= start_ns:
                found.key_frames += 1
                if detector.has_changed:
                    _note(found.movements, captured_ns, continues=moved_before)
                moved_before = detector.has_changed
        found.searched_until_ns = max(start_ns, min(file.end_ns, end_ns))
        if time.monotonic() >= deadline_s or len(found.movements) >= MAX_MOVEMENTS:
            return found
    found.searched_until_ns = end_ns
    return found


def _note(movements: list[MotionSpan], at_ns: int, *, continues: bool) -> None:
    """Add a key frame that shows motion. `continues`: the key frame before it did, too."""
    if movements and (continues or at_ns - movements[-1].end_ns <= MERGE_NS):
        movements[-1] = movements[-1]._replace(end_ns=at_ns)
    else:
        movements.append(MotionSpan(at_ns, at_ns))


def _outside(region: Region, shape: tuple[int, ...]) -> Any:
    """Return uint8, of this shape: 255 outside of the region."""
    rows, columns = shape
    ignored = np.full(shape, 255, np.uint8)
    left, right = int(region.left * columns), max(1, round(region.right * columns))
    top, bottom = int(region.top * rows), max(1, round(region.bottom * rows))
    ignored[min(top, bottom - 1) : bottom, min(left, right - 1) : right] = 0
    return ignored


def _read_ahead(
    files: Sequence[RecordedFile], start_ns: int, end_ns: int
) -> Iterator[tuple[RecordedFile, list[_SmallFrame]]]:
    """Yield each file with its key frames, in order, while the next ones are being decoded."""
    threads = len(os.sched_getaffinity(0))
    with ThreadPoolExecutor(threads, thread_name_prefix="key-frames") as pool:
        ahead: deque[tuple[RecordedFile, Future[list[_SmallFrame]]]] = deque()
        try:
            for file in files:
                ahead.append((file, pool.submit(_read, Path(file.path), start_ns, end_ns)))
                if len(ahead) > 2 * threads:
                    first, future = ahead.popleft()
                    yield first, future.result()
            while ahead:
                first, future = ahead.popleft()
                yield first, future.result()
        finally:
            for _, future in ahead:
                future.cancel()


def _read(path: Path, start_ns: int, end_ns: int) -> list[_SmallFrame]:
    found = []
    reformatter = VideoReformatter()
    try:
        for captured_ns, frame in iter_key_frames(path, start_ns, end_ns, step_ns=STEP_NS, is_exact=False):
            # A copy: the array must not depend on the decoder's frame.
            found.append(_SmallFrame(captured_ns, shrink(DecodedFrame(frame, reformatter).gray()).copy()))
    except (DecodeError, OSError):
        pass  # A gap.
    return found
