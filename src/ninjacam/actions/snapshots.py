"""Takes the snapshots of events from recordings, in the jobs process.

An event has one soon after it has begun, and another one after it has ended if its object was seen better. A separate
process decodes the frame. The image outlives the recording, and is deleted with the event.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from django.db import transaction

from ninjacam.actions.child_processes import run_module
from ninjacam.actions.event_calls import request_event_calls
from ninjacam.actions.export_limits import disk_of
from ninjacam.conf import Settings
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.colors import to_color_bits
from ninjacam.core.errors import DecodeError, NotFoundError
from ninjacam.models import Event, Segment, Snapshot
from ninjacam.models.outbox import note_changed
from ninjacam.models.snapshot import UNFINISHED, crop_path, remove_snapshots, snapshot_path
from ninjacam.recordings.frame_lookup import TOLERANCE_NS, StillPlace, find_still
from ninjacam.recordings.segments import INDEX_LATE_NS

logger = logging.getLogger("ninjacam.events")

MAX_WIDTH_PX = 1280
MAX_BYTES = 2 << 20
"""Maximum size of a snapshot with its crop. A larger one is not stored."""
JPEG_START = b"\xff\xd8"
TIMEOUT_S = 10.0
LEASE_NS = 30 * 10**9
"""Longer than taking one. If the process is killed, the snapshot is taken again afterwards."""
RETRY_NS = 5 * 10**9
GIVE_UP_NS = 60 * 10**9
"""Nanoseconds after the best moment, after which a recording without it will not contain it either."""
FREE_SHARE = 0.9
"""Fraction of the recordings' watermark (free_bytes of RETENTION) that snapshots leave free, so that they never raise
the alarm of a full disk."""

Box = list[float]


class Taken(NamedTuple):
    """A decoded frame as a JPEG, empty if it cannot be decoded. `color_bits`, `crop`: of its object; `crop`: a JPEG,
    empty if there is no object.
    """

    jpeg: bytes
    color_bits: int = 0
    crop: bytes = b""


Decode = Callable[[StillPlace, int, Box | None], Taken]


def decode_in_process(place: StillPlace, width_px: int, box: Box | None) -> Taken:
    """Decode a frame in a separate process. Blocks."""
    question = json.dumps({**place.as_dict(), "width_px": width_px, "box": box}).encode() + b"\n"
    line, _, images = (
        run_module("ninjacam.recordings.still", question, TIMEOUT_S, bare=True) or b""
    ).partition(b"\n")
    try:
        head = json.loads(line)
        color_bits = to_color_bits(map(str, head["colors"]))
        end = len(images) - max(0, int(head.get("crop_bytes", 0)))
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):  # It has read data of a camera.
        return Taken(b"")
    jpeg, crop = images[: max(0, end)], images[max(0, end) :]
    if not jpeg.startswith(JPEG_START):
        return Taken(b"")
    return Taken(jpeg, color_bits, crop if crop.startswith(JPEG_START) else b"")


class SnapshotTaker:
    """Thread: one at a time. All methods query the database. Raises: DatabaseError."""

    def __init__(
        self, settings: Settings, *, clock: Clock = SYSTEM_CLOCK, decode: Decode = decode_in_process
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._decode = decode

    def tick(self) -> bool:
        """Take the snapshot that has been due longest. Return whether one was due."""
        now_ns = self._clock.wall_ns()
        row = Snapshot.objects.due(now_ns).first()
        if row is None:
            return False
        lease_ns = now_ns + LEASE_NS
        held = Snapshot.objects.filter(pk=row.pk, due_ns=row.due_ns)
        if held.update(due_ns=lease_ns):  # Otherwise another host has claimed it.
            self._take(row, lease_ns)
        return True

    def _take(self, row: Snapshot, lease_ns: int) -> None:
        event = Event.objects.filter(pk=row.event_id).first()
        if event is None:
            remove_snapshots([row.event_id])
            return
        at_ns = event.start_ns if event.best_ns is None else event.best_ns
        place = None if row.taken_ns == at_ns else self._find(event.slug, at_ns)
        taken = Taken(b"") if place is None else self._decode(place, MAX_WIDTH_PX, event.box)
        size_bytes = len(taken.jpeg) + len(taken.crop)
        is_usable = bool(taken.jpeg) and size_bytes <= MAX_BYTES
        if is_usable and Snapshot.objects.make_room(self._max_bytes() - size_bytes):
            self._store(event, at_ns, taken)
        is_early = place is None and self._clock.wall_ns() < at_ns + GIVE_UP_NS and row.taken_ns != at_ns
        # Otherwise the event has ended meanwhile, and has requested another one.
        held = Snapshot.objects.filter(pk=row.pk, due_ns=lease_ns)
        if is_early:
            held.update(due_ns=self._clock.wall_ns() + RETRY_NS)
        elif not held.filter(taken_ns=None).delete()[0]:  # Most events of a camera may have no image.
            held.update(due_ns=None)

    def _find(self, slug: str, at_ns: int) -> StillPlace | None:
        since_ns = at_ns - TOLERANCE_NS - INDEX_LATE_NS
        for segment in Segment.objects.overlapping([slug], since_ns, at_ns + 1).reverse():
            try:
                place = find_still(self._settings.recordings_dir / segment.path, at_ns)
            except (DecodeError, OSError):
                continue
            if place is not None:
                return place
        return None

    def _max_bytes(self) -> int:
        """Return the maximum size of all snapshots together, on a disk that others may fill."""
        disk = disk_of(self._settings.snapshots_dir)
        kept_bytes = int(self._settings.retention.watermark_bytes(disk.size_bytes) * FREE_SHARE)
        used_bytes = sum(Snapshot.objects.size_bytes_by_slug().values())
        return min(self._settings.snapshot_bytes, max(0, used_bytes + disk.free_bytes - kept_bytes))

    def _store(self, event: Event, at_ns: int, taken: Taken) -> None:
        try:
            # The crop first: if this process is killed before the row is written, both are taken again.
            _write(crop_path(event.pk), taken.crop)
            _write(snapshot_path(event.pk), taken.jpeg)
        except OSError as exc:
            logger.warning("the snapshot of event %d cannot be stored: %s", event.pk, exc.strerror)
            return
        color_bits = taken.color_bits or None
        with transaction.atomic():
            changed = Event.objects.filter(pk=event.pk).update(snapshot_ns=at_ns, color_bits=color_bits)
            changed = changed and Snapshot.objects.filter(pk=event.pk).update(
                taken_ns=at_ns, size_bytes=len(taken.jpeg) + len(taken.crop), box=event.box
            )
            if changed and (present := Event.objects.filter(pk=event.pk).first()) is not None:
                note_changed(present, ["snapshot_ns", "color_bits"])
                request_event_calls(present, self._clock.wall_ns())
        if not changed:  # It was deleted meanwhile.
            remove_snapshots([event.pk])


def _write(path: Path, data: bytes) -> None:
    """Replace a file; delete it if there is no data. Raises: OSError."""
    part = path.with_suffix(UNFINISHED)
    if not data:
        path.unlink(missing_ok=True)
        return
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.write_bytes(data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise


def read_snapshot(event: Event, *, crop: bool = False) -> tuple[int, bytes]:
    """Return (capture time in ns, JPEG). The caller checks the permission. Raises: NotFoundError: there is none.

    `crop`: only the object with a margin; the whole image if the event has no object.
    """
    if event.snapshot_ns is None:
        # A file may belong to an event of another camera, if the database was restored and gives its number again.
        raise NotFoundError("The event has no snapshot.")
    if crop:
        with contextlib.suppress(OSError):
            return event.snapshot_ns, crop_path(event.pk).read_bytes()
    try:
        return event.snapshot_ns, snapshot_path(event.pk).read_bytes()
    except OSError as exc:
        raise NotFoundError("The event has no snapshot.") from exc
