"""Snapshots of events: the best image of each, as a JPEG file that outlives the recording it was taken from.

`<data>/snapshots/<event id // 1000>/<event id>.jpg`, and `<event id>.crop.jpg` with the object only, if it
has one. Files are deleted with their event. Not here: taking them
(`ninjacam.actions.snapshots`).
"""

import logging
from collections.abc import Collection, Iterator
from pathlib import Path

from django.apps import apps
from django.db import models
from django.db.models import Exists, OuterRef, Q, Sum
from django.utils.translation import gettext_lazy as _

from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.models.event import ENGINE, Event
from ninjacam.recordings.segments import INDEX_LATE_NS

logger = logging.getLogger("ninjacam.events")

DELAY_NS = INDEX_LATE_NS + 3 * 10**9
"""Nanoseconds after which a frame is in the index of the recordings: a fragment, its write, and the index itself."""
MAX_AHEAD_NS = 300 * 10**9
"""No snapshot is due later than this from now, unless the clock was set back after it was requested."""
PER_DIRECTORY = 1000
BATCH = 500
UNFINISHED = ".part"
"""Suffix of a file that is being written."""


def snapshot_path(event_id: int) -> Path:
    return get_settings().snapshots_dir / str(event_id // PER_DIRECTORY) / f"{event_id}.jpg"


def crop_path(event_id: int) -> Path:
    """Return the file with the object only."""
    return snapshot_path(event_id).with_suffix(".crop.jpg")


class SnapshotQuerySet(models.QuerySet["Snapshot"]):
    def due(self, now_ns: int) -> "SnapshotQuerySet":
        """Return the snapshots to take now, the longest waiting first."""
        is_due = Q(due_ns__lte=now_ns) | Q(due_ns__gt=now_ns + MAX_AHEAD_NS)
        return self.filter(is_due).order_by("due_ns")

    def size_bytes_by_slug(self) -> dict[str, int]:
        """Reads the whole table."""
        sums = self.order_by().values("slug").annotate(total_bytes=Sum("size_bytes"))
        return {row["slug"]: row["total_bytes"] for row in sums}

    def sweep(self) -> None:
        """Delete the snapshots of events that no longer exist, and files that no row knows."""
        self.sweep_events()
        for found in _iter_files():
            known = set(self.filter(event_id__in=found).values_list("event_id", flat=True))
            _unlink(set(found) - known)

    def sweep_events(self) -> None:
        """Delete the snapshots of events that no longer exist."""
        events = Event.objects.filter(pk=OuterRef("event_id"))
        while gone := list(self.filter(~Exists(events)).values_list("event_id", flat=True)[:BATCH]):
            remove_snapshots(gone)

    def make_room(self, max_bytes: int) -> bool:
        """Delete the oldest snapshots of the camera that has most of them, until all take at most `max_bytes`. Those of
        protected events stay. Return whether there is room.
        """
        while True:
            sizes = self.size_bytes_by_slug()
            excess_bytes = sum(sizes.values()) - max_bytes
            if excess_bytes <= 0:
                return True
            protected = Event.objects.filter(pk=OuterRef("event_id"), protected=True)
            free = self.filter(~Exists(protected), size_bytes__gt=0)
            largest = max(sizes, key=lambda slug: sizes[slug])
            rows = free.filter(slug=largest).order_by("taken_ns")[:BATCH] or free.order_by("taken_ns")[:BATCH]
            going = []
            for row in rows:
                if excess_bytes <= 0:
                    break
                going.append(row.event_id)
                excess_bytes -= row.size_bytes
            if not going:
                return False
            remove_snapshots(going)


class Snapshot(models.Model):
    """`due_ns`: when it is taken, again if there is one already; None: not any more. `taken_ns`: capture time of the
    stored image; None: there is none. `box`: of the object in that image, in fractions; None: no object. That of
    the event may be of a later moment. `size_bytes`: of both files.
    """

    event_id = models.BigIntegerField(_("event"), primary_key=True)
    slug = models.CharField(_("camera"), max_length=50)
    due_ns = models.BigIntegerField(null=True)
    taken_ns = models.BigIntegerField(null=True)
    size_bytes = models.BigIntegerField(default=0)
    box = models.JSONField(null=True)

    objects = SnapshotQuerySet.as_manager()

    class Meta:
        verbose_name = _("snapshot")
        verbose_name_plural = _("snapshots")
        indexes = [
            models.Index(fields=["due_ns"], condition=~Q(due_ns=None), name="ninjacam_snapshot_due"),
            models.Index(fields=["slug", "taken_ns"], name="ninjacam_snapshot_age"),
        ]

    def __str__(self) -> str:
        return f"{self.slug}: {self.event_id}"


def request_snapshot(event: Event) -> None:
    """Have a snapshot taken of an event that has begun or ended, if its camera records. Call it in its transaction."""
    if not get_settings().snapshot_bytes or not event.slug:
        return
    if event.source == ENGINE and not event.triggers_recording:
        return
    cameras = apps.get_model("ninjacam", "Camera")._default_manager  # Its module imports this one.
    if not cameras.filter(slug=event.slug).exclude(record="off").exists():
        return
    row = Snapshot(event_id=event.pk, slug=event.slug, due_ns=SYSTEM_CLOCK.wall_ns() + DELAY_NS)
    Snapshot.objects.bulk_create(
        [row], update_conflicts=True, unique_fields=["event_id"], update_fields=["due_ns"]
    )


def remove_snapshots(event_ids: Collection[int]) -> None:
    """Delete the snapshots of these events, if they have any."""
    _unlink(event_ids)
    Snapshot.objects.filter(event_id__in=event_ids).delete()
    Event.objects.filter(pk__in=event_ids).update(snapshot_ns=None)


def _unlink(event_ids: Collection[int]) -> None:
    for event_id in event_ids:
        path, crop = snapshot_path(event_id), crop_path(event_id)
        try:
            for each in (path, path.with_suffix(UNFINISHED), crop, crop.with_suffix(UNFINISHED)):
                each.unlink(missing_ok=True)
        except OSError as exc:  # `sweep` tries again, because no row knows the file.
            logger.warning("the snapshot of event %d cannot be deleted: %s", event_id, exc.strerror)


def _iter_files() -> Iterator[list[int]]:
    """Yield the ids of the events in each directory. Files with other names are not ours."""
    root = get_settings().snapshots_dir
    for directory in root.iterdir() if root.is_dir() else ():
        if directory.name.isdecimal() and directory.is_dir():
            names = {
                path.stem.removesuffix(".crop")
                for path in directory.iterdir()
                if path.suffix in (".jpg", UNFINISHED)
            }
            yield [
                int(name) for name in sorted(names) if name.isdecimal() and name == str(int(name))
                and int(name) // PER_DIRECTORY == int(directory.name)
            ]  # fmt: skip
