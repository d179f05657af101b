"""The page of the storage, for administrators: sizes, days left, what is deleted next, and a month's heat map."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from django.core.paginator import Page, Paginator
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from ninjacam.auth import Principal
from ninjacam.core.times import to_datetime
from ninjacam.models import Segment
from ninjacam.queries.storage import CameraStorage, read_month, read_storage
from ninjacam.web.views import page, render_page

PAGE = 50
LEVELS = 4
LIMITS = {
    "bytes": _("the limit for all recordings"),
    "bytes_per_camera": _("the limit of a camera"),
    "free_bytes": _("the space to keep free on the disk"),
    "days": _("the maximum age"),
}


@dataclass(frozen=True, slots=True)
class StorageRow:
    camera: CameraStorage
    oldest: datetime | None
    days_left: int | None


@dataclass(frozen=True, slots=True)
class NextRow:
    name: str
    start: datetime
    size_bytes: int


@dataclass(frozen=True, slots=True)
class HeatCell:
    """`hours`: recorded. `level`: 0 to LEVELS, for the color."""

    hours: int
    level: int


@require_safe
@page
def show_storage(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the storage: `?month=2026-11` chooses the month of the heat map."""
    report = read_storage(principal)
    shown: Page[CameraStorage] = Paginator(report.cameras, PAGE).get_page(request.GET.get("page"))
    names = {camera.slug: camera.name for camera in report.cameras}
    first, last = _month(request.GET.get("month", "")), timezone.localdate().replace(day=1)
    month = read_month(principal, first, [camera.slug for camera in shown])
    previous, following = (
        (first - timedelta(days=1)).replace(day=1),
        (first + timedelta(days=31)).replace(day=1),
    )
    disk = report.disk
    context: dict[str, Any] = {
        "report": report,
        "shown": shown,
        "rows": [_row(camera) for camera in shown],
        "next": [_next_row(segment, names) for segment in report.next],
        "limit": LIMITS.get(report.limit, ""),
        "days_left": None if report.days_left is None else int(report.days_left),
        "used_percent": round(100 * (1 - disk.free_bytes / disk.size_bytes))
        if disk and disk.size_bytes
        else None,
        "month": first,
        "days": month.days,
        "heat": [(names[slug], [_cell(hours) for hours in found]) for slug, found in month.hours.items()],
        "previous": previous if previous.year >= 1971 else None,
        "following": following if following <= last else None,
    }
    return render_page(request, principal, "ninjacam/storage.html", context)


def _month(text: str) -> date:
    """Return the first day of a month such as "2026-11"; of this month, if the text is not one."""
    this = timezone.localdate().replace(day=1)
    if not re.fullmatch(r"[12][0-9]{3}-(0[1-9]|1[0-2])", text):
        return this
    return min(this, max(date(1971, 1, 1), date.fromisoformat(f"{text}-01")))


def _row(camera: CameraStorage) -> StorageRow:
    oldest = timezone.localtime(to_datetime(camera.oldest_ns)) if camera.oldest_ns is not None else None
    return StorageRow(camera, oldest, None if camera.days_left is None else int(camera.days_left))


def _next_row(segment: Segment, names: dict[str, str]) -> NextRow:
    start = timezone.localtime(to_datetime(segment.start_ns))
    return NextRow(names.get(segment.slug, segment.slug), start, segment.size_bytes)


def _cell(hours: float) -> HeatCell:
    level = 0 if hours <= 0 else min(LEVELS, 1 + int(hours * LEVELS / 24.01))
    return HeatCell(round(hours) or int(hours > 0), level)
