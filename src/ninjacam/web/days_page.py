"""The page that summarizes the events of each day: their number by camera and kind, linked to the cards."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from ninjacam.auth import Principal
from ninjacam.core.times import to_ns
from ninjacam.models import Camera, Role
from ninjacam.queries.cameras import list_recorded, may_deleted
from ninjacam.queries.events import count_by_camera, list_events
from ninjacam.web.events_page import SPANS
from ninjacam.web.views import page, render_page

LENGTHS = {7: SPANS["week"][1], 30: SPANS["month"][1]}
"""Numbers of days that a user can choose."""


@dataclass(frozen=True, slots=True)
class Count:
    """`name`: the kind in words."""

    name: str
    count: int
    url: str


@dataclass(frozen=True, slots=True)
class CameraDay:
    """Events of one camera on one day. `url`: "" for the host, whose events have no filter."""

    name: str
    url: str
    kinds: list[Count]


@dataclass(frozen=True, slots=True)
class Day:
    day: date
    url: str
    total: int
    cameras: list[CameraDay]


@require_safe
@page
def show_days(request: HttpRequest, principal: Principal) -> HttpResponse:
    """Show the events of the last 7 or, with `?days=30`, 30 days, in the time zone of the project."""
    length = next((each for each in LENGTHS if str(each) == request.GET.get("days")), 7)
    names = {camera.slug: str(camera) for camera in Camera.objects.all()}
    today = timezone.localdate()
    days = [_summarize(principal, today - timedelta(days=ago), names) for ago in range(length)]
    context = {
        "days": [day for day in days if day.total],
        "lengths": list(LENGTHS.items()),
        "length": length,
        "has_cameras": bool(list_recorded(principal, [])) or may_deleted(principal, Role.REPLAY),
        "today": today,
        "yesterday": today - timedelta(days=1),
    }
    return render_page(request, principal, "ninjacam/days.html", context)


def _summarize(principal: Principal, day: date, names: dict[str, str]) -> Day:
    following = day + timedelta(days=1)
    start, end = (timezone.make_aware(datetime(each.year, each.month, each.day)) for each in (day, following))
    # The events that the linked page shows: those that overlap the day.
    counts = count_by_camera(list_events(principal, [], to_ns(start), to_ns(end)))
    cameras = [
        CameraDay(
            name=names.get(slug, slug) or _("This server"),
            url=_url(day, camera=slug) if slug else "",
            kinds=[
                Count(kind.replace("_", " "), count, _url(day, camera=slug, kind=kind))
                for kind, count in kinds.items()
            ],
        )
        for slug, kinds in counts.items()
    ]
    total = sum(count for kinds in counts.values() for count in kinds.values())
    return Day(day, _url(day), total, sorted(cameras, key=lambda each: each.name))


def _url(day: date, **query: str) -> str:
    given = {name: value for name, value in query.items() if value}
    return f"{reverse('ninjacam:events')}?{urlencode({**given, 'day': day.isoformat()})}"
