"""Decides which recordings retention deletes. Pure planning: `ninjacam.adapters` deletes files together with rows.

Limits in bytes come first, then age. Only recordings that have a row are considered, never protected ones or those
being written.

Which camera must delete: a camera that exceeds its own budget. If all recordings together take too much, the camera
that has grown most; cameras that hold less than half of an equal share are skipped while others hold more, so that a
new camera on a full disk can build up a history.

Free space: recordings are deleted only for recordings. The watermark deletes at most as many bytes as were recorded
since there was last enough space. It never compensates for other files, because otherwise a growing log, database or
upload would delete recordings; the engine raises an alarm instead.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

DAY_NS = 86_400 * 10**9
MAX_WATERMARK_BYTES = 5 << 30
WATERMARK_SHARE = 0.05
ALARM_SHARE = 0.9
"""Fraction of the watermark below which low free space raises an alarm. Retention deletes whole files, so it may
miss the watermark by a few.
"""
ROOMY_SHARE = 1.25
"""Multiple of the watermark above which the disk counts as far from full, and the growth of the cameras is reset.
"""


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """Limits; 0 means none. `bytes`: of all recordings together, including protected ones. `days`: age of a file's
    end. `free_bytes`: space that recordings leave free on the disk; None: 5 % of it, at most 5 GiB.
    """

    bytes: int = 0
    bytes_per_camera: int = 0
    days: float = 0
    free_bytes: int | None = None

    def watermark_bytes(self, disk_bytes: int) -> int:
        if self.free_bytes is not None:
            return self.free_bytes
        return min(MAX_WATERMARK_BYTES, int(disk_bytes * WATERMARK_SHARE))

    def are_kept(self, used_bytes: Mapping[str, int], disk: "Disk", growth: "Growth") -> bool:
        """Return whether no recording must be deleted, judged by sizes alone, so that the oldest need not be
        queried."""
        return not (
            self.days
            or (growth.owed_bytes > 0 and disk.free_bytes < self.watermark_bytes(disk.size_bytes))
            or 0 < self.bytes < sum(used_bytes.values())
            or 0 < self.bytes_per_camera < max(used_bytes.values(), default=0)
        )


class Held(Protocol):
    """A recording that may be deleted."""

    @property
    def slug(self) -> str: ...
    @property
    def start_ns(self) -> int: ...
    @property
    def end_ns(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Disk:
    size_bytes: int
    free_bytes: int


@dataclass(slots=True)
class Growth:
    """Bytes recorded minus bytes deleted by retention.

    `owed_bytes`: of all cameras, since there was last enough space; the watermark deletes at most this, rounded up
    to a whole file, which leaves it negative. `by_camera`: since the disk and the budget were last far from full.
    """

    owed_bytes: int = 0
    by_camera: dict[str, int] = field(default_factory=dict)

    def add(self, slug: str, more_bytes: int) -> None:
        """Add the size of a new file. `more_bytes`: negative for deleted files."""
        self.owed_bytes += more_bytes
        self.by_camera[slug] = self.by_camera.get(slug, 0) + more_bytes

    def settle(self, rules: RetentionRules, used_bytes: int, disk: Disk) -> None:
        """Update the state after retention has run."""
        watermark_bytes = rules.watermark_bytes(disk.size_bytes)
        if disk.free_bytes >= watermark_bytes:
            self.owed_bytes = min(0, self.owed_bytes)
        over_budget = 0 < rules.bytes < used_bytes * ROOMY_SHARE
        if disk.free_bytes >= watermark_bytes * ROOMY_SHARE and not over_budget:
            self.by_camera.clear()


def is_filled_by_others(rules: RetentionRules, disk: Disk, growth: Growth) -> bool:
    """Return whether free space is low although retention has deleted as much as was recorded."""
    min_bytes = rules.watermark_bytes(disk.size_bytes) * ALARM_SHARE
    return growth.owed_bytes <= 0 and disk.free_bytes < min_bytes


T = TypeVar("T", bound=Held)


def plan_retention(
    rules: RetentionRules,
    used_bytes: Mapping[str, int],
    oldest: Mapping[str, Sequence[T]],
    disk: Disk,
    now_ns: int,
    growth: Growth,
) -> list[T]:
    """Return the recordings to delete, in this order.

    `used_bytes`: size of all recordings of each camera. `oldest`: the first few deletable recordings of each camera,
    oldest first; if they do not suffice, call again after deleting them. `growth` is not changed.
    """
    used = dict(used_bytes)
    grown = dict(growth.by_camera)
    owed_bytes, free_bytes = growth.owed_bytes, disk.free_bytes
    waiting = {slug: deque(few) for slug, few in oldest.items() if few}
    gone: list[T] = []

    def take(slug: str) -> None:
        nonlocal free_bytes, owed_bytes
        held = waiting[slug].popleft()
        gone.append(held)
        used[slug] = used.get(slug, 0) - held.size_bytes
        grown[slug] = grown.get(slug, 0) - held.size_bytes
        free_bytes += held.size_bytes
        owed_bytes -= held.size_bytes
        if not waiting[slug]:
            del waiting[slug]

    def take_while(must_go: Callable[[str], bool]) -> None:
        for slug in list(waiting):
            while slug in waiting and must_go(slug):
                take(slug)

    if rules.bytes_per_camera:
        take_while(lambda slug: used.get(slug, 0) > rules.bytes_per_camera)
    while waiting and 0 < rules.bytes < sum(used.values()):
        take(_choose_payer(waiting, used, grown))
    watermark_bytes = rules.watermark_bytes(disk.size_bytes)
    while waiting and owed_bytes > 0 and free_bytes < watermark_bytes:
        take(_choose_payer(waiting, used, grown))
    if rules.days:
        oldest_ns = now_ns - int(rules.days * DAY_NS)
        take_while(lambda slug: waiting[slug][0].end_ns < oldest_ns)
    return gone


def _choose_payer(
    waiting: Mapping[str, Sequence[Held]], used_bytes: Mapping[str, int], grown_bytes: Mapping[str, int]
) -> str:
    """Return the camera that must delete next: not a small one, and the one that has grown most, or else the
    largest."""
    small_bytes = sum(used_bytes.values()) / (2 * max(1, len(used_bytes)))
    return max(
        waiting,
        key=lambda slug: (
            used_bytes.get(slug, 0) >= small_bytes,
            max(0, grown_bytes.get(slug, 0)),
            used_bytes.get(slug, 0),
            -waiting[slug][0].start_ns,
        ),
    )
