"""`ninjacam index --rebuild` and `ninjacam fsck`: compare the index with the files, and update it."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from django.db import transaction

from ninjacam.adapters.segment_index import BATCH, read_file
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConfigError, DecodeError
from ninjacam.models import Segment
from ninjacam.recordings import segments
from ninjacam.recordings.layout import iter_paths, slug_of
from ninjacam.recordings.reader import read_segment

GROWING_NS = 10 * 10**9


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild. `left_out`: number of unreadable files."""

    listed: int
    removed: int
    left_out: int


@dataclass(frozen=True, slots=True)
class Difference:
    kind: Literal["no_row", "no_file", "differs", "unreadable", "stranger"]
    path: str
    text: str


def rebuild(root: Path, *, force: bool = False) -> Rebuilt:
    """Read every file, create its row, and delete the rows of missing files. Protection is kept.

    Raises: ConfigError: there are no files although the index has some (a disk that is not mounted?), unless
    `force`. DatabaseError.
    """
    paths = set(iter_paths(root))
    if not paths and not force and Segment.objects.exists():
        raise ConfigError(
            f"There are no recordings in {root}, but the index lists some. Is the disk mounted? "
            "If they are really gone, use --force."
        )
    listed = left_out = 0
    waiting: list[segments.SegmentInfo] = []
    for number, path in enumerate(sorted(paths), 1):
        segment = read_file(root, path, now_ns=SYSTEM_CLOCK.wall_ns())
        if segment is None:
            left_out += 1
        else:
            waiting.append(segment)
        if len(waiting) >= BATCH or number == len(paths):
            with transaction.atomic():
                Segment.objects.put(waiting)
            listed += len(waiting)
            waiting = []
    removed = _remove_rows([pk for pk, path in _rows() if path not in paths and not (root / path).exists()])
    return Rebuilt(listed, removed, left_out)


def _rows() -> Iterator[tuple[int, str]]:
    yield from Segment.objects.order_by("pk").values_list("pk", "path").iterator(chunk_size=5000)


def _remove_rows(keys: list[int]) -> int:
    for start in range(0, len(keys), BATCH):
        Segment.objects.filter(pk__in=keys[start : start + BATCH]).delete()
    return len(keys)


def compare(root: Path) -> Iterator[Difference]:
    """Yield differences. Changes nothing. Files that are being written may differ and are skipped. Raises:
    DatabaseError.
    """
    listed = Segment.objects.order_by("slug").values_list("slug", flat=True).distinct()
    there = set(os.listdir(root)) if root.is_dir() else set()
    for slug in sorted(there.union(listed)):
        yield from _compare_camera(root, slug)
    for file in sorted(root.rglob("*")) if root.is_dir() else ():
        relative = file.relative_to(root).as_posix()
        if slug_of(relative) is None and not file.is_dir():
            yield Difference(
                "stranger", relative, "Its name is not that of a recording; it is never read or deleted."
            )


def _compare_camera(root: Path, slug: str) -> Iterator[Difference]:
    rows = {row.path: row for row in Segment.objects.filter(slug=slug)}
    for path in iter_paths(root, slug):
        row = rows.pop(path, None)
        try:
            segment = read_segment(root / path, root=root)
            found = (root / path).stat()
        except (DecodeError, OSError) as exc:
            yield Difference("unreadable", path, str(exc))
            continue
        if abs(SYSTEM_CLOCK.wall_ns() - found.st_mtime_ns) < GROWING_NS:
            continue
        if row is None:
            yield Difference("no_row", path, "Not in the index, so retention ignores it. Rebuild the index.")
            continue
        wrong = [
            name for name, value in asdict(segment).items() if name != "open" and getattr(row, name) != value
        ]
        if wrong:
            yield Difference("differs", path, f"The index has different values for {', '.join(wrong)}.")
        torn_bytes = found.st_size - segment.size_bytes
        if torn_bytes:
            yield Difference("differs", path, f"The last {torn_bytes} bytes are not a complete fragment.")
    for path in sorted(rows):
        yield Difference("no_file", path, "It is in the index, but missing on the disk.")
