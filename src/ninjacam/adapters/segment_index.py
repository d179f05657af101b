"""The index of recordings in the database: updated by the engine and from the files, and limited by retention.

Deletes files and rows together. Not here: the choice of files to delete (`engine.retention`), and reading files
(`recordings`).
"""

import logging
import os
import shutil
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from django.db import transaction
from django.db.models import Q, QuerySet

from ninjacam.adapters.database import database
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import DecodeError
from ninjacam.engine.bitrates import DAYS, BitrateChange, RecordedHour, compare_bitrates
from ninjacam.engine.retention import (
    DAY_NS,
    Disk,
    Growth,
    RetentionRules,
    is_filled_by_others,
    plan_retention,
)
from ninjacam.models import AuditEntry, Camera, Event, EventCall, Segment, Snapshot, ValueSeries
from ninjacam.models.snapshot import remove_snapshots
from ninjacam.models.value import THIN_AFTER_S
from ninjacam.recordings import segments
from ninjacam.recordings.layout import iter_paths, slug_of
from ninjacam.recordings.reader import read_segment
from ninjacam.supervision.control import Json

T = TypeVar("T")
logger = logging.getLogger("ninjacam.adapters")

HOUR_NS = 3600 * 10**9
BATCH = 250
"""Rows per transaction: below 999 parameters per query, and fast enough not to delay web workers."""
HEAD = 64
MAX_ROUNDS = 50
MAX_STUCK = 500
STILL_WRITTEN_NS = 5 * 10**9
"""Nanoseconds after its last modification for which a file counts as being written."""
ABANDONED_NS = 600 * 10**9
"""Nanoseconds after its end at which a row marked as being written is considered abandoned."""
COUNT_AGAIN_NS = 600 * 10**9
EVENT_DAYS = 30
"""Minimum time for which events and values are kept, if the rules contain no days."""


class DatabaseIndex:
    """The index in the database. Tracks the bytes of each camera, and recounts them periodically. Thread: any one at
    a time."""

    def __init__(
        self,
        root: Path,
        rules: RetentionRules,
        *,
        exports_dir: Path | None = None,
        max_events: int = 100_000,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create the index. `exports_dir`: its contents never cause recordings to be deleted, because exports have
        separate limits. `max_events`: per camera."""
        self._max_events = max_events
        self._root = root
        self._exports_dir = exports_dir
        self._rules = rules
        self._growth = Growth()
        self._clock = clock
        self._used_bytes: dict[str, int] | None = None
        self._rows = 0  # As of the last count.
        self._counted_ns = 0
        self._deleted = 0
        self._deleted_bytes = 0
        self._failed = ""
        self._stuck: set[int] = set()  # Rows whose files cannot be deleted: retried at the next count.
        self._closing = threading.Event()

    def close(self) -> None:
        """Thread: any. A running scan ends at its next file."""
        self._closing.set()

    def add(self, found: Sequence[segments.SegmentInfo]) -> None:
        """Raises: NinjacamError: the database is unavailable."""
        with database():
            for batch in _batches(found):
                self._put(batch)

    def _put(self, batch: Sequence[segments.SegmentInfo]) -> None:
        # Files of a renamed or deleted camera have been moved or removed; the scan finds what exists.
        batch = [each for each in batch if (self._root / each.path).exists()]
        with transaction.atomic():
            rows = Segment.objects.filter(path__in=[each.path for each in batch])
            before = dict(rows.values_list("path", "size_bytes"))
            Segment.objects.put(batch)
        for each in batch:
            self._rows += each.path not in before
            more_bytes = each.size_bytes - before.get(each.path, 0)
            self._growth.add(each.slug, more_bytes)
            self._count(each.slug, more_bytes)

    def _count(self, slug: str, more_bytes: int) -> None:
        if self._used_bytes is not None:
            self._used_bytes[slug] = self._used_bytes.get(slug, 0) + more_bytes

    def catch_up(self, since_ns: int) -> int:
        """Index the files since then that are missing or have grown. Raises: NinjacamError."""
        changed = 0
        with database():
            listed = dict(
                Segment.objects.filter(start_ns__gte=since_ns, open=False).values_list("path", "size_bytes")
            )
            waiting: list[segments.SegmentInfo] = []
            for path in paths_since(self._root, since_ns):
                if self._closing.is_set():
                    break
                if listed.get(path) == _size_bytes(self._root / path):
                    continue
                segment = read_file(self._root, path, now_ns=self._clock.wall_ns())
                if segment is not None and listed.get(path) != segment.size_bytes:
                    waiting.append(segment)
                if len(waiting) >= BATCH:
                    self._put(waiting)
                    changed += len(waiting)
                    waiting = []
            if waiting:
                self._put(waiting)
        return changed + len(waiting)

    def retain(self) -> Json:
        """Delete recordings over the limits. Return {"used_bytes", "free_bytes", "cameras": {slug: bytes},
        "deleted", "deleted_bytes", "failed", "disk_full", "disk_low"}: "deleted": since the start; "failed": why a
        file could not be deleted; "disk_full": recordings were deleted for new ones, because too little space was
        free; "disk_low": too little space is free because of other files. Raises: NinjacamError."""
        with database():
            now_ns = self._clock.monotonic_ns()
            if self._used_bytes is None or now_ns - self._counted_ns > COUNT_AGAIN_NS:
                self._used_bytes = self._count_all()
                self._counted_ns = now_ns
                self._stuck.clear()
                self._failed = ""
                self._prune_events()
                Snapshot.objects.sweep()
                EventCall.objects.sweep()
                AuditEntry.objects.sweep()
                self._prune_values()
            disk = self._disk()
            full = low = False
            if disk is not None:
                watermark_bytes = self._rules.watermark_bytes(disk.size_bytes)
                full = disk.free_bytes < watermark_bytes and self._growth.owed_bytes > 0
                if self._plan(self._used_bytes, disk) and self._has_changed(self._used_bytes):
                    # A rebuild or a user changed rows: the tracked sizes are outdated.
                    self._used_bytes = self._count_all()
                for _ in range(MAX_ROUNDS):
                    if self._closing.is_set() or not self._delete(self._plan(self._used_bytes, disk)):
                        break
                    disk = self._disk() or disk
                low = is_filled_by_others(self._rules, disk, self._growth)
                self._growth.settle(self._rules, sum(self._used_bytes.values()), disk)
            return {
                "used_bytes": sum(self._used_bytes.values()),
                "free_bytes": disk.free_bytes if disk else 0,
                "cameras": dict(self._used_bytes),
                "deleted": self._deleted,
                "deleted_bytes": self._deleted_bytes,
                "failed": self._failed,
                "disk_full": full,
                "disk_low": low,
            }

    def compare_bitrates(self) -> dict[str, BitrateChange]:
        """Return the change of the bitrate of each camera with enough recordings. Raises: NinjacamError."""
        with database():
            slugs = list(Camera.objects.values_list("slug", flat=True))
            now_ns = self._clock.wall_ns()
            hours = [
                RecordedHour(slug, days_ago, file_format, size_bytes, length_ns)
                for days_ago in range(DAYS + 1)
                for slug, file_format, size_bytes, length_ns in Segment.objects.format_sums(
                    slugs, now_ns - days_ago * DAY_NS - HOUR_NS, now_ns - days_ago * DAY_NS
                )
            ]
        return compare_bitrates(hours)

    def _disk(self) -> Disk | None:
        """Return the disk usage without exports. None: the directory does not exist."""
        disk = disk_of(self._root)
        exports_bytes = bytes_on_disk_of(self._root, self._exports_dir) if self._exports_dir else 0
        return disk and Disk(disk.size_bytes, disk.free_bytes + exports_bytes)

    def _has_changed(self, used_bytes: dict[str, int]) -> bool:
        """Return whether another process has added, removed or renamed rows."""
        return Segment.objects.count() != self._rows or not used_bytes.keys() >= set(
            Segment.objects.recorded_slugs()
        )

    def _count_all(self) -> dict[str, int]:
        # No transaction, because on SQLite it would block all writers; only a rebuild also adds rows.
        self._rows = Segment.objects.count()
        return Segment.objects.size_bytes_by_slug()

    def _plan(self, used_bytes: dict[str, int], disk: Disk) -> list[Segment]:
        if self._rules.are_kept(used_bytes, disk, self._growth):
            return []
        now_ns = self._clock.wall_ns()
        may_go = (
            Segment.objects.filter(protected=False)
            .exclude(pk__in=self._stuck)
            .filter(Q(open=False) | Q(end_ns__lt=now_ns - ABANDONED_NS))
        )
        cameras = {camera.slug: camera for camera in Camera.objects.all()}
        oldest = {}
        for slug in used_bytes:
            needed = Event.objects.protecting(slug, *cameras.get(slug, Camera()).pre_post_roll_ns)
            oldest[slug] = list(may_go.filter(~needed, slug=slug).order_by("start_ns")[:HEAD])
        return plan_retention(self._rules, used_bytes, oldest, disk, now_ns, self._growth)

    def _prune_events(self) -> None:
        """Delete events that are older than the rules' days and than the oldest recording of their camera, if any.
        Delete none if there are no recordings at all: the index may be lost, or a disk unmounted.
        """
        slugs = Event.objects.order_by().values_list("slug", flat=True).distinct()
        for slug in slugs:
            self._prune_many(slug)
        oldest = Segment.objects.oldest_ns_by_slug()
        if not oldest:
            return
        old_ns = self._old_ns()
        for slug in slugs:
            gone = Event.objects.filter(
                slug=slug, protected=False, end_ns__lt=min(old_ns, oldest.get(slug, old_ns))
            )
            self._delete_events(gone)

    def _old_ns(self) -> int:
        """Return the time before which events and values may be deleted."""
        return self._clock.wall_ns() - int((self._rules.days or EVENT_DAYS) * DAY_NS)

    def _prune_values(self) -> None:
        """Delete values that are older than the rules' days, and merge slots that are older than two days."""
        old_s = self._old_ns() // 10**9
        thin_s = self._clock.wall_ns() // 10**9 - THIN_AFTER_S
        for series in ValueSeries.objects.all():
            series.slots.filter(start_s__lt=old_s).delete()
            has_more = True
            while has_more and not self._closing.is_set():
                with transaction.atomic():
                    has_more = series.thin(thin_s)
        ValueSeries.objects.filter(slots=None).delete()

    def _prune_many(self, slug: str) -> None:
        """Delete the oldest events of a camera beyond `max_events`, except protected ones."""
        newest = Event.objects.filter(slug=slug, protected=False).order_by("-start_ns")
        first = newest.values_list("start_ns", flat=True)[self._max_events : self._max_events + 1].first()
        if first is not None:
            self._delete_events(Event.objects.filter(slug=slug, protected=False, start_ns__lte=first))

    def _delete_events(self, gone: QuerySet[Event]) -> None:
        while not self._closing.is_set():
            keys = list(gone.order_by().values_list("pk", flat=True)[:BATCH])
            Event.objects.filter(pk__in=keys).delete()
            remove_snapshots(keys)
            if len(keys) < BATCH:
                break

    def _delete(self, going: Sequence[Segment]) -> bool:
        """Delete files, then their rows. Return whether any was deleted, so that there may be more."""
        gone = [segment for segment in going if self._delete_file(segment)]
        self._stuck.update({segment.pk for segment in going}.difference(segment.pk for segment in gone))
        for batch in _batches(gone):
            Segment.objects.filter(pk__in=[segment.pk for segment in batch]).delete()
        for segment in gone:
            self._growth.add(segment.slug, -segment.size_bytes)
            self._count(segment.slug, -segment.size_bytes)
        self._rows -= len(gone)
        self._deleted += len(gone)
        self._deleted_bytes += sum(segment.size_bytes for segment in gone)
        return bool(going) and len(self._stuck) < MAX_STUCK

    def _delete_file(self, segment: Segment) -> bool:
        """Delete a file. Return whether it no longer exists, so that its row may be deleted."""
        if slug_of(segment.path) != segment.slug or segment.slug in {".", ".."}:
            self._failed = f"{segment.path} is not in the directory of {segment.slug}."
            return False
        path = self._root / segment.path
        try:
            path.unlink()
        except FileNotFoundError:
            # The file was deleted by other means, unless the camera's directory is missing too: then a disk may be
            # unmounted.
            return (self._root / segment.slug).is_dir()
        except OSError as exc:
            if not self._failed:
                logger.warning("retention: %s cannot be deleted: %s", segment.path, exc.strerror)
            self._failed = f"{segment.path} cannot be deleted: {exc.strerror}."
            return False
        # Writers no longer create files there.
        if segment.end_ns < self._clock.wall_ns() - 2 * 3600 * 10**9:
            _remove_empty(path.parent, path.parent.parent)
        return True


def disk_of(root: Path) -> Disk | None:
    """Return the disk usage; None: the directory does not exist (no recordings yet, or a disk that is not mounted)."""
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return None
    return Disk(usage.total, usage.free)


def bytes_on_disk_of(root: Path, directory: Path) -> int:
    """Return the bytes that the files in `directory` occupy on the disk of `root`."""
    try:
        if root.stat().st_dev != directory.stat().st_dev:
            return 0
        with os.scandir(directory) as entries:
            return sum(entry.stat(follow_symlinks=False).st_blocks * 512 for entry in entries)
    except OSError:
        return 0


def paths_since(root: Path, since_ns: int) -> Iterator[str]:
    """Return the relative paths of files that began in the hour of `since_ns` or later, judged by their names."""
    hour = f"{datetime.fromtimestamp(since_ns // 10**9, UTC):%Y-%m-%d/%H}"
    for path in iter_paths(root):
        if path.partition("/")[2] >= hour:
            yield path


def read_file(root: Path, path: str, *, now_ns: int) -> segments.SegmentInfo | None:
    """Return the row of a file; None if it is not a recording, or cannot be read. A damaged file is a gap."""
    full = root / path
    try:
        segment = read_segment(full, root=root)
        changed_ns = full.stat().st_mtime_ns
    except (DecodeError, OSError) as exc:
        logger.info("index: %s is skipped: %s", path, exc)
        return None
    return replace(segment, open=0 <= now_ns - changed_ns < STILL_WRITTEN_NS)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _size_bytes(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _remove_empty(*directories: Path) -> None:
    for directory in directories:
        try:
            os.rmdir(directory)
        except OSError:
            return
