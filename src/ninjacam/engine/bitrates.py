"""Compares the bitrate of the last hour's recordings with that of the same hour on previous days.

The same hour, because a camera sends less data at night. Pure functions. Not here: the sums
(`adapters.segment_index`).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

DAYS = 7
MIN_DAYS = 3
"""Minimum number of days to compare with."""
MIN_RECORDED_NS = 900 * 10**9
"""Minimum length of an hour's recordings. A camera that records events records only a part of each hour."""


@dataclass(frozen=True, slots=True)
class RecordedHour:
    """Sums of an hour's recordings in one format. `days_ago`: 0 for the last hour. `format`: codec and size."""

    slug: str
    days_ago: int
    format: tuple[str, int, int]
    size_bytes: int
    length_ns: int

    @property
    def bitrate_bps(self) -> float:
        return self.size_bytes * 8e9 / self.length_ns


@dataclass(frozen=True, slots=True)
class BitrateChange:
    """A change of the bitrate. `recent_bps`: that of the last hour. `usual_bps`: median of the same hour on previous
    days."""

    recent_bps: int
    usual_bps: int

    @property
    def share(self) -> float:
        return self.recent_bps / self.usual_bps


def compare_bitrates(hours: Iterable[RecordedHour]) -> dict[str, BitrateChange]:
    """Return the change of each camera with enough recordings. Recordings in another format than the last hour's are
    ignored, because a change of the format changes the bitrate intentionally."""
    by_camera: dict[str, list[RecordedHour]] = {}
    for hour in hours:
        if hour.length_ns >= MIN_RECORDED_NS:
            by_camera.setdefault(hour.slug, []).append(hour)
    return {slug: change for slug, each in by_camera.items() if (change := _change_of(each)) is not None}


def _change_of(hours: list[RecordedHour]) -> BitrateChange | None:
    recent = max((hour for hour in hours if not hour.days_ago), key=lambda hour: hour.length_ns, default=None)
    if recent is None:
        return None
    before = [hour.bitrate_bps for hour in hours if hour.days_ago and hour.format == recent.format]
    usual_bps = round(median(before)) if len(before) >= MIN_DAYS else 0
    return BitrateChange(round(recent.bitrate_bps), usual_bps) if usual_bps else None
