"""The annotations in recorded files: what was seen on which picture, in the words of `core.annotations`."""

import json
import os
import struct
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from ninjacam.core.mp4 import ANNOTATIONS_SCHEME
from ninjacam.recordings.reader import MOST_HEAD_BYTES, iter_file

LATE_NS = 3_000_000_000
"""So much later than the picture they may have been written, even into the next file."""
MOST_PICTURES, MOST_BYTES = 2_000, 4 << 20
"""Of one answer."""
_HEAD = struct.Struct(">IIQII")  # version and flags, time base, pts, duration, number


def read_annotations(paths: Iterable[Path], start_ns: int, end_ns: int) -> tuple[list[bytes], int]:
    """What was seen in [start, end) as lines of `encode_seen`, in the order of capture; and up to where (ns) it is all.

    `paths`: a camera's files with that span and LATE_NS after, in order. What is gone or damaged is a gap. Blocks.
    """
    found: dict[tuple[int, str], bytes] = {}
    size_bytes, stop_us = 0, 0
    for lines in chain.from_iterable(map(_iter_lines, paths)):
        newest_us = 0
        for line in lines:
            captured_us, view = _place(line)
            newest_us = max(newest_us, captured_us)
            if start_ns // 1000 <= captured_us < end_ns // 1000:
                found[captured_us, view] = line
                size_bytes += len(line)
        if stop_us and newest_us > stop_us:
            break
        if not stop_us and (len(found) > MOST_PICTURES or size_bytes > MOST_BYTES):
            stop_us = newest_us + LATE_NS // 1000
    return _cut(found, end_ns)


def _cut(found: dict[tuple[int, str], bytes], end_ns: int) -> tuple[list[bytes], int]:
    kept: list[bytes] = []
    size_bytes = last_us = 0
    for captured_us, view in sorted(found):
        if captured_us != last_us and (len(kept) >= MOST_PICTURES or size_bytes > MOST_BYTES):
            return kept, captured_us * 1000
        line = found[captured_us, view]
        kept.append(line)
        size_bytes += len(line)
        last_us = captured_us
    return kept, end_ns


def _place(line: bytes) -> tuple[int, str]:
    """When and by which view it was seen; (0, ""): it is damaged."""
    try:
        seen = json.loads(line)
        captured_us, view = seen["captured_us"], seen["view"]
        if isinstance(captured_us, int) and isinstance(view, str) and isinstance(seen["annotations"], list):
            return captured_us, view
    except (ValueError, TypeError, LookupError, RecursionError):
        pass
    return 0, ""


def _iter_lines(path: Path) -> Iterator[list[bytes]]:
    """Of each fragment that has some."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return
    try:
        for kind, offset, size_bytes in iter_file(descriptor, os.fstat(descriptor).st_size):
            if kind == b"emsg" and size_bytes <= MOST_HEAD_BYTES:
                yield _parse_emsg(os.pread(descriptor, size_bytes - 8, offset + 8))
    except OSError:
        return
    finally:
        os.close(descriptor)


def _parse_emsg(body: bytes) -> list[bytes]:
    scheme, _, rest = body[_HEAD.size :].partition(b"\0")
    return rest.partition(b"\0")[2].splitlines() if scheme == ANNOTATIONS_SCHEME else []
