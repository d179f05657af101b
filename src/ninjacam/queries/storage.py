"""What recordings take, how long there is room, and what retention deletes next: for administrators."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

from django.db.models import BigIntegerField, ExpressionWrapper, F, Q, Sum
from django.utils import timezone

from ninjacam.auth import Principal
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.engine.retention import DAY_NS, Disk, Growth, RetentionRules, plan_retention
from ninjacam.models import Camera, Event, Segment
from ninjacam.queries.status import read_status
from ninjacam.queries.users import require_administrator

MAX_NEXT = 10
"""Maximum number of recordings in the list of what is deleted next."""
HOUR_NS = 3600 * 10**9


@dataclass(frozen=True, slots=True)
class CameraStorage:
    """`oldest_ns`: start of the oldest recording; None: there is none. `bytes_per_day`: at the rate of the last day.
    `days_left`: until retention deletes a recording of this camera or of another one in its place, at this rate; None:
    no limit is reached."""

    slug: str
    name: str
    size_bytes: int
    oldest_ns: int | None
    bytes_per_day: int
    days_left: float | None


@dataclass(frozen=True, slots=True)
class StorageReport:
    """`days_left`: until the first limit is reached; None: there is no limit, or nothing is recorded. `limit`: its
    name: "bytes", "free_bytes", "bytes_per_camera", "days" or "". `next`: the recordings that are deleted first then.
    """

    disk: Disk | None
    watermark_bytes: int
    rules: RetentionRules
    used_bytes: int
    bytes_per_day: int
    cameras: list[CameraStorage]
    days_left: float | None
    limit: str
    next: list[Segment]


def read_storage(who: Principal) -> StorageReport:
    """Raises: ForbiddenError."""
    require_administrator(who)
    config, now_ns = get_settings(), SYSTEM_CLOCK.wall_ns()
    rules, disk = config.retention, _disk_of(config.recordings_dir)
    cameras = {camera.slug: camera for camera in Camera.objects.all()}
    used, oldest_ns = _used_bytes(), Segment.objects.oldest_ns_by_slug()
    rates = _bytes_per_day(oldest_ns, now_ns)
    shared = _days_of_all(rules, disk, sum(used.values()), sum(rates.values()))
    rows, limits = [], dict(shared)
    for slug in sorted(cameras.keys() | used.keys() | oldest_ns.keys()):
        rate = rates.get(slug, 0)
        own = dict(shared) if rate else {}
        if rate and rules.bytes_per_camera:
            own["bytes_per_camera"] = (rules.bytes_per_camera - used.get(slug, 0)) / rate
        if slug in oldest_ns and rules.days:
            own["days"] = rules.days - (now_ns - oldest_ns[slug]) / DAY_NS
        limits |= {name: min(days, limits.get(name, days)) for name, days in own.items()}
        days_left = max(0.0, min(own.values())) if own else None
        name = str(cameras.get(slug, slug))
        rows.append(CameraStorage(slug, name, used.get(slug, 0), oldest_ns.get(slug), rate, days_left))
    limit = min(limits, key=lambda name: limits[name], default="")
    return StorageReport(
        disk=disk,
        watermark_bytes=rules.watermark_bytes(disk.size_bytes) if disk else 0,
        rules=rules,
        used_bytes=sum(used.values()),
        bytes_per_day=sum(rates.values()),
        cameras=rows,
        days_left=max(0.0, limits[limit]) if limit else None,
        limit=limit,
        next=_next(limit, used, rates, cameras, now_ns),
    )


def _used_bytes() -> dict[str, int]:
    """Return the bytes of each camera, as the engine has counted them; without one, as the index contains them."""
    status = read_status()
    counted = status.recordings.get("cameras") if status.engine_running else None
    return dict(counted) if isinstance(counted, dict) else Segment.objects.size_bytes_by_slug()


def _days_of_all(
    rules: RetentionRules, disk: Disk | None, used_bytes: int, bytes_per_day: int
) -> dict[str, float]:
    """Return the days until the limits are reached that all cameras share, by their names."""
    days: dict[str, float] = {}
    if bytes_per_day and rules.bytes:
        days["bytes"] = (rules.bytes - used_bytes) / bytes_per_day
    if bytes_per_day and disk:
        days["free_bytes"] = (disk.free_bytes - rules.watermark_bytes(disk.size_bytes)) / bytes_per_day
    return days


def _bytes_per_day(oldest_ns: dict[str, int], now_ns: int) -> dict[str, int]:
    """Return the rate of each camera that has recorded in the last day. A shorter history is extrapolated."""
    recent = Segment.objects.filter(start_ns__gte=now_ns - DAY_NS).order_by()
    sums = recent.values_list("slug").annotate(size=Sum("size_bytes"))
    return {
        slug: int(size * DAY_NS / min(DAY_NS, max(HOUR_NS, now_ns - oldest_ns.get(slug, 0))))
        for slug, size in sums
        if size
    }


def _next(
    limit: str, used: dict[str, int], rates: dict[str, int], cameras: dict[str, Camera], now_ns: int
) -> list[Segment]:
    """Return the recordings that are deleted first when `limit` is reached, as retention chooses them."""
    if not limit:
        return []
    heads: dict[str, list[Segment]] = {}
    for slug in used.keys() | rates.keys():
        needed = Event.objects.protecting(slug, *cameras.get(slug, Camera()).pre_post_roll_ns)
        may_go = Segment.objects.filter(~needed, Q(slug=slug), protected=False, open=False)
        heads[slug] = list(may_go.order_by("start_ns")[:MAX_NEXT])
    if limit == "bytes_per_camera":
        room = get_settings().retention.bytes_per_camera
        return heads[min(rates, key=lambda slug: (room - used.get(slug, 0)) / rates[slug])]
    if limit == "days":
        every = (segment for few in heads.values() for segment in few)
        return sorted(every, key=lambda segment: segment.end_ns)[:MAX_NEXT]
    sizes = [each.size_bytes for few in heads.values() for each in few]
    wanted_bytes = max(1, sum(used.values()) - (max(sizes, default=0) * MAX_NEXT))
    rules = RetentionRules(bytes=wanted_bytes, free_bytes=0)
    growth = Growth(by_camera=dict(rates))
    return plan_retention(rules, used, heads, Disk(0, 0), now_ns, growth)[:MAX_NEXT]


def _disk_of(root: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(root)
    except OSError:  # There are no recordings yet.
        return None
    return Disk(usage.total, usage.free)


@dataclass(frozen=True, slots=True)
class RecordedMonth:
    """`hours`: by camera and day, the hours that were recorded."""

    days: list[date]
    hours: dict[str, list[float]]


def read_month(who: Principal, first: date, slugs: Collection[str]) -> RecordedMonth:
    """Return the recorded hours of the month that begins with the day `first`, in the time zone of the project.

    A file counts for the day in which its hour begins. Raises: ForbiddenError.
    """
    require_administrator(who)
    after = (first + timedelta(days=31)).replace(day=1)
    days = [first + timedelta(days=number) for number in range((after - first).days)]
    found = Segment.objects.filter(
        slug__in=slugs, start_ns__gte=_midnight_ns(first), start_ns__lt=_midnight_ns(after)
    )
    hour = ExpressionWrapper(F("start_ns") / HOUR_NS, output_field=BigIntegerField())
    sums = (
        found.order_by()
        .annotate(hour=hour)
        .values_list("slug", "hour")
        .annotate(ns=Sum(F("end_ns") - F("start_ns")))
    )
    hours = {slug: [0.0] * len(days) for slug in slugs}
    for slug, number, length_ns in sums:
        day = timezone.localtime(to_datetime(number * HOUR_NS)).date()
        place = min(len(days) - 1, max(0, (day - first).days))
        hours[slug][place] += length_ns / HOUR_NS
    return RecordedMonth(days, hours)


def _midnight_ns(day: date) -> int:
    return to_ns(timezone.make_aware(datetime.combine(day, time())))
