"""Limits on exports: per user, and of the disk.

Retention never deletes recordings for exports (`engine.retention`), so exports without sufficient space are refused.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Sum
from django.template.defaultfilters import filesizeformat
from django.utils.translation import gettext as _

from ninjacam.conf import Settings
from ninjacam.core.errors import LimitError, QuotaError
from ninjacam.engine.retention import Disk
from ninjacam.models import Export, Segment

FREE_SHARE = 0.25
"""Fraction of the recordings' watermark (free_bytes of RETENTION) that exports leave free."""
USER_SHARE = 2 / 3
"""Fraction of the space for exports that one user may use."""


def check_limits(user: Any, settings: Settings) -> None:
    """Check the exports of `user`, including those just created in this transaction.

    Locks the user's row, so that of two concurrent requests the second one sees the first one's exports. Raises:
    LimitError: too many exports are waiting or running; QuotaError: too many files or bytes, or no space on the
    disk.
    """
    # NO KEY UPDATE: rows that reference the user already hold a key-share lock, so a full lock could deadlock.
    get_user_model()._base_manager.select_for_update(no_key=True).filter(pk=user.pk).first()
    own = Export.objects.downloads().filter(created_by=user)
    active = list(own.active())
    if len(active) > settings.active_exports_per_user:
        raise LimitError(
            _("You have %(count)d exports waiting or running. Wait until one has finished, or cancel one.")
            % {"count": settings.active_exports_per_user},
            retry_after_s=30,
        )
    if own.with_files().count() + len(active) > settings.exports_per_user:
        raise QuotaError(
            _("You have %(count)d exports, which is the limit. Delete some that you no longer need.")
            % {"count": settings.exports_per_user}
        )
    used_bytes = own.with_files().size_bytes() + expected_bytes(active)
    if used_bytes > settings.export_bytes_per_user:
        raise QuotaError(
            _(
                "Your exports would take %(used)s, but the limit per user is %(limit)s. Delete some, or export less."
            )
            % {
                "used": filesizeformat(used_bytes),
                "limit": filesizeformat(settings.export_bytes_per_user),
            }
        )
    room_bytes = room_for_exports(settings)
    if used_bytes > room_bytes * USER_SHARE:
        raise QuotaError(
            _(
                "Your exports would take %(used)s, but the disk has only %(room)s for one user. "
                "Delete some, export less, or free space on the server."
            )
            % {"used": filesizeformat(used_bytes), "room": filesizeformat(room_bytes * USER_SHARE)}
        )


def expected_bytes(exports: Iterable[Export]) -> int:
    """Estimate the size of these exports as that of the corresponding recordings."""
    total = 0.0
    for export in exports:
        spans = Segment.objects.overlapping([export.slug], export.start_ns, export.end_ns)
        source_bytes = spans.order_by().aggregate(total=Sum("size_bytes"))["total"] or 0
        total += source_bytes / _reduction(export)
    return int(total)


def _reduction(export: Export) -> float:
    """Return by how much its file is probably smaller than the recordings."""
    speed = export.options.get("speed") or 2
    if export.kind == Export.Kind.KEY_FRAMES:
        # Key frames are about half of a recording with one each second, and there is at most one for each step.
        return float(max(2, speed / export.options["fps"]))
    return float(speed) if export.kind == Export.Kind.TIMELAPSE else 1.0


def room_for_exports(settings: Settings) -> int:
    """Return the maximum number of bytes of all exports together, including existing ones."""
    disk = disk_of(settings.exports_dir)
    return Export.objects.with_files().size_bytes() + max(
        0, disk.free_bytes - kept_free_bytes(settings, disk)
    )


def lacks_room(settings: Settings) -> bool:
    """Return whether a running export must stop, because too little space is left."""
    disk = disk_of(settings.exports_dir)
    return disk.free_bytes < kept_free_bytes(settings, disk)


def kept_free_bytes(settings: Settings, disk: Disk) -> int:
    return int(settings.retention.watermark_bytes(disk.size_bytes) * FREE_SHARE)


def disk_of(directory: Path) -> Disk:
    """Return the disk usage of the file system that contains, or will contain, the directory."""
    while not directory.exists():
        directory = directory.parent
    usage = shutil.disk_usage(directory)
    return Disk(usage.total, usage.free)
