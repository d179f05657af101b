"""Reads annotations from recorded files, in the format of `core.annotations`."""

import json
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from ninjacam.containers.mp4 import ANNOTATIONS_SCHEME
from ninjacam.core.errors import DecodeError
from ninjacam.recordings.library import read_known
from ninjacam.recordings.reader import MAX_HEAD_BYTES

LATE_NS = 6_000_000_000
"""Maximum delay between a frame and its annotations, which may even be in the next file: a frame waits up to 2 s for
a call that takes up to 2 s, and a fragment is a second long.
"""
MAX_FRAMES, MAX_BYTES = 2_000, 4 << 20
"""Maximum size of one response."""
_CLOCK_STEP_NS = 1_000_000_000
"""Maximum step back of a file's clock from one fragment to the next."""
_HEAD_BYTES = 8 + 24
"""Maximum length of an emsg box up to its scheme."""


def read_annotations(paths: Iterable[Path], start_ns: int, end_ns: int) -> tuple[list[bytes], int]:
    """Return the annotation sets of [start, end) as lines, in capture order, and the time (ns) up to which they are
    complete.

    `paths`: a camera's files of that span and LATE_NS after it, in order. Missing or damaged files are gaps. Blocks.
    """
    found: dict[tuple[int, str], bytes] = {}
    size_bytes, stop_ns = 0, end_ns + LATE_NS
    for begins_ns, lines in chain.from_iterable(_iter_lines(path, start_ns) for path in paths):
        if begins_ns > stop_ns or size_bytes > 2 * MAX_BYTES:
            break
        for line in lines:
            key = captured_us, _ = _place(line)
            if start_ns // 1000 <= captured_us < end_ns // 1000 and key not in found:
                found[key] = line
                size_bytes += len(line)
        if len(found) > MAX_FRAMES or size_bytes > MAX_BYTES:
            stop_ns = min(stop_ns, begins_ns + LATE_NS)
    return _cut(found, end_ns)


def _cut(found: dict[tuple[int, str], bytes], end_ns: int) -> tuple[list[bytes], int]:
    kept: list[bytes] = []
    size_bytes = last_us = 0
    for captured_us, view in sorted(found):
        if captured_us != last_us and (len(kept) >= MAX_FRAMES or size_bytes > MAX_BYTES):
            return kept, captured_us * 1000
        line = found[captured_us, view]
        kept.append(line)
        size_bytes += len(line)
        last_us = captured_us
    return kept, end_ns


def _place(line: bytes) -> tuple[int, str]:
    """Return the capture time and view of a line; (0, "") if it is damaged."""
    try:
        annotation_set = json.loads(line, parse_constant=_refuse)
        captured_us, view = annotation_set["captured_us"], annotation_set["view"]
        if (
            isinstance(captured_us, int)
            and isinstance(view, str)
            and isinstance(annotation_set["annotations"], list)
        ):
            return captured_us, view
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    return 0, ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not valid JSON")


def _iter_lines(path: Path, start_ns: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the start and lines of each fragment that may contain lines from `start_ns`."""
    try:
        fragments = [
            each
            for each in read_known(path).fragments
            if each.annotations_bytes and each.end_ns > start_ns - _CLOCK_STEP_NS
        ]
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (DecodeError, OSError):
        return
    try:
        for each in fragments:
            at = each.offset + each.size_bytes - each.annotations_bytes
            if each.annotations_bytes <= MAX_HEAD_BYTES:
                yield each.start_ns, _parse_emsg(os.pread(descriptor, each.annotations_bytes, at))
    except OSError:
        return
    finally:
        os.close(descriptor)


def _parse_emsg(box: bytes) -> list[bytes]:
    scheme, _, rest = box[_HEAD_BYTES:].partition(b"\0")
    return rest.partition(b"\0")[2].splitlines() if scheme == ANNOTATIONS_SCHEME else []
