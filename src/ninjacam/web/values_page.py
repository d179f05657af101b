"""The page with the values of a camera's processors over time, as graphs."""

from dataclasses import dataclass
from datetime import timedelta

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_safe

from ninjacam.auth import Principal
from ninjacam.core.times import to_ns
from ninjacam.models import Role, ValueSeries
from ninjacam.models.value import THIN_SLOT_S
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.values import ValueHistory, ValuePoint, list_series, read_values
from ninjacam.web.views import page, render_page

WIDTH, HEIGHT = 600, 120
"""Units of a graph."""
MAX_POINTS = 300
MAX_GRAPHS = 32
SPANS = {
    "hour": (timedelta(hours=1), _("Hour")),
    "day": (timedelta(days=1), _("Day")),
    "week": (timedelta(days=7), _("Week")),
    "month": (timedelta(days=30), _("Month")),
}
DEFAULT_SPAN = "day"


@dataclass(frozen=True, slots=True)
class Graph:
    """One value. `lines`, `bands`: points of polylines (mean) and polygons (minimum to maximum), one for each part
    without a gap. `last`, `minimum`, `maximum`: None without points."""

    series: ValueSeries
    lines: list[str]
    bands: list[str]
    last: float | None
    minimum: float | None
    maximum: float | None


@require_safe
@page
def show_values(request: HttpRequest, principal: Principal, slug: str) -> HttpResponse:
    """Show a graph of each value: `?processor=people&span=week`. Default: the first processor, the last day."""
    camera = get_camera(principal, slug, Role.REPLAY)
    series = list_series(principal, slug)
    processors = list(series.order_by("processor").values_list("processor", flat=True).distinct())
    asked = request.GET.get("processor", "")
    processor = asked if asked in processors else next(iter(processors), "")
    span = request.GET.get("span", "")
    span = span if span in SPANS else DEFAULT_SPAN
    end = timezone.now()
    start_ns, end_ns = to_ns(end - SPANS[span][0]), to_ns(end)
    context = {
        "camera": camera,
        "processors": processors,
        "processor": processor,
        "span": span,
        "spans": {name: label for name, (_length, label) in SPANS.items()},
        "graphs": [
            draw_graph(each, read_values(each, start_ns, end_ns, MAX_POINTS), start_ns, end_ns)
            for each in series.filter(processor=processor)[:MAX_GRAPHS]
        ],
        "width": WIDTH,
        "height": HEIGHT,
    }
    return render_page(request, principal, "ninjacam/values.html", context)


def draw_graph(series: ValueSeries, history: ValueHistory, start_ns: int, end_ns: int) -> Graph:
    """Return the graph of [start, end)."""
    points = history.points
    if not points:
        return Graph(series, [], [], None, None, None)
    low, high = min(each.minimum for each in points), max(each.maximum for each in points)

    def place(point: ValuePoint, value: float) -> str:
        x = WIDTH * (point.start_s * 10**9 - start_ns) / (end_ns - start_ns)
        y = HEIGHT * (1 - (value - low) / (high - low)) if high > low else HEIGHT / 2
        return f"{min(WIDTH, max(0, x)):.1f},{y:.1f}"

    parts = _split_at_gaps(history)
    return Graph(
        series,
        [" ".join(place(each, each.mean) for each in part) for part in parts],
        [
            " ".join(
                [
                    *(place(each, each.maximum) for each in part),
                    *(place(each, each.minimum) for each in reversed(part)),
                ]
            )
            for part in parts
        ],
        points[-1].mean,
        low,
        high,
    )


def _split_at_gaps(history: ValueHistory) -> list[list[ValuePoint]]:
    max_gap_s = max(2 * history.step_s, THIN_SLOT_S)
    parts: list[list[ValuePoint]] = []
    for point in history.points:
        if parts and point.start_s - parts[-1][-1].start_s <= max_gap_s:
            parts[-1].append(point)
        else:
            parts.append([point])
    return parts
