"""Checks of recordings on the disk: the files, whether they decode, and whether each frame is present once."""

import contextlib
import subprocess
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_segment
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing import stamp


def files_of(root: Path) -> list[SegmentInfo]:
    """Return the files in the order of their starts. Call it only after recording has stopped."""
    found = [read_segment(root / path, root=root) for path in iter_paths(root)]
    return sorted(found, key=lambda each: each.start_ns)


def end_ns_of(root: Path) -> int:
    """Return the end of the recording so far; 0 if there is none. Skips a file that was just created."""
    ends_ns = [0]
    for path in iter_paths(root):
        with contextlib.suppress(DecodeError):
            ends_ns.append(read_segment(root / path, root=root).end_ns)
    return max(ends_ns)


def assert_decodes(path: Path) -> None:
    """Require that FFmpeg's program decodes all of it without output.

    Uses the file's time base: at the frame rate that FFmpeg estimates, frames that are closer together would count as
    additional ones.
    """
    done = subprocess.run(
        ["ffmpeg", "-v", "warning", "-xerror", "-i", str(path), "-map", "0", "-enc_time_base", "-1", "-f", "null", "-"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), f"{path.name}: {done.stderr}"


def stamps(paths: Sequence[Path]) -> list[int | None]:
    """Return the numbers stamped in the frames, in display order."""
    out = []
    for path in paths:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                out.append(stamp.read(frame.to_ndarray(format="gray").astype(np.uint8)))
    return out


def assert_consecutive(numbers: Sequence[int | None], loop: int) -> None:
    """Require that nearly all frames are legible and that each has its place in the loop."""
    legible = [(at, number) for at, number in enumerate(numbers) if number is not None]
    assert len(legible) > 0.95 * len(numbers)
    at, number = legible[0]
    wrong = [(place, found, (number - at + place) % loop) for place, found in legible]
    wrong = [each for each in wrong if each[1] != each[2]]
    assert not wrong, (
        f"{len(wrong)} of {len(numbers)}; the first (place, number, number expected): {wrong[:3]}"
    )


def by_time(root: Path) -> list[Path]:
    rows = [read_segment(root / path, root=root) for path in iter_paths(root)]
    return [root / row.path for row in sorted(rows, key=lambda row: row.start_ns)]
