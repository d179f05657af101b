"""Which recordings go: pure planning. Not here: deleting them (the Django edge), because rows and files go together.

Bytes first, then age. Only what has a row is ever named, never what is protected or being written.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

DAY_NS = 86_400 * 10**9
MOST_WATERMARK_BYTES = 5 << 30
WATERMARK_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class RetentionRules:
    """0 is no limit. `bytes`: of all recordings together. `days`: age of a file's end. `free_bytes`: what must stay
    free on the disk; None: 5 % of it, and at most 5 GiB.
    """

    bytes: int = 0
    bytes_per_camera: int = 0
    days: float = 0
    free_bytes: int | None = None

    def watermark_bytes(self, disk_bytes: int) -> int:
        if self.free_bytes is not None:
            return self.free_bytes
        return min(MOST_WATERMARK_BYTES, int(disk_bytes * WATERMARK_SHARE))

    def are_kept(self, used_bytes: Mapping[str, int], disk: "Disk") -> bool:
        """Whether nothing has to go, as far as sizes alone can tell: then nobody need look for the oldest."""
        return not (
            self.days
            or disk.free_bytes < self.watermark_bytes(disk.size_bytes)
            or 0 < self.bytes < sum(used_bytes.values())
            or 0 < self.bytes_per_camera < max(used_bytes.values(), default=0)
        )


class Held(Protocol):
    """A recording that may go."""

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


T = TypeVar("T", bound=Held)


def plan_retention(
    rules: RetentionRules,
    used_bytes: Mapping[str, int],
    oldest: Mapping[str, Sequence[T]],
    disk: Disk,
    now_ns: int,
) -> list[T]:
    """What has to go, in this order. `used_bytes`: of each camera, what all its recordings take. `oldest`: of each
    camera the first few that may go, oldest first; where they do not suffice, ask again when they are gone.
    """
    used = dict(used_bytes)
    free_bytes = disk.free_bytes
    waiting = {slug: deque(few) for slug, few in oldest.items() if few}
    gone: list[T] = []

    def take(slug: str) -> None:
        nonlocal free_bytes
        held = waiting[slug].popleft()
        gone.append(held)
        used[slug] = used.get(slug, 0) - held.size_bytes
        free_bytes += held.size_bytes
        if not waiting[slug]:
            del waiting[slug]

    if rules.bytes_per_camera:
        for slug in list(waiting):
            while slug in waiting and used.get(slug, 0) > rules.bytes_per_camera:
                take(slug)
    watermark_bytes = rules.watermark_bytes(disk.size_bytes)
    while waiting and (free_bytes < watermark_bytes or 0 < rules.bytes < sum(used.values())):
        take(min(waiting, key=lambda slug: waiting[slug][0].start_ns))
    if rules.days:
        oldest_ns = now_ns - int(rules.days * DAY_NS)
        for slug in list(waiting):
            while slug in waiting and waiting[slug][0].end_ns < oldest_ns:
                take(slug)
    return gone
