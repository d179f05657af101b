"""The values of processors over time."""

from django.http import HttpRequest
from ninja import Query, Router

from ninjacam.api.auth import principal
from ninjacam.api.schemas.pages import PageQuery
from ninjacam.api.schemas.values import ValueNameOut, ValueNamePage, ValuePointOut, ValuesOut, ValuesQuery
from ninjacam.api.times import span_ns
from ninjacam.core.times import to_datetime
from ninjacam.queries.pages import paginate
from ninjacam.queries.values import get_series, list_series, read_values

router = Router()


@router.get(
    "/{slug:slug}/value-names",
    response=ValueNamePage,
    operation_id="list_value_names",
    summary="List names of values",
)
def list_value_names(request: HttpRequest, slug: str, query: Query[PageQuery]) -> ValueNamePage:
    """The values that processors of the camera have returned, by processor and name. Requires the role `replay`."""
    page = paginate(list_series(principal(request), slug), ("processor", "name"), query.after, query.limit)
    items = [ValueNameOut(processor=each.processor, name=each.name) for each in page.items]
    return ValueNamePage(items=items, next=page.next)


@router.get("/{slug:slug}/values", response=ValuesOut, operation_id="get_values", summary="Get values")
def get_values(request: HttpRequest, slug: str, query: Query[ValuesQuery]) -> ValuesOut:
    """One value of a processor over time: minimum, mean and maximum of each step. Steps last at least 10 seconds; of
    values older than two days, at least 5 minutes. Requires the role `replay`."""
    start_ns, end_ns = span_ns(query.start, query.end)
    series = get_series(principal(request), slug, query.processor, query.name)
    history = read_values(series, start_ns, end_ns, query.points)
    return ValuesOut(
        camera=slug,
        processor=series.processor,
        name=series.name,
        start=to_datetime(start_ns),
        end=to_datetime(end_ns),
        step_s=history.step_s,
        points=[
            ValuePointOut(
                time=to_datetime(each.start_s * 10**9),
                min=each.minimum,
                mean=each.mean,
                max=each.maximum,
                count=each.count,
            )
            for each in history.points
        ],
    )
