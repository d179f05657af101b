"""Annotations of recorded frames."""

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic_core import to_json

from ninjacam.api.auth import principal
from ninjacam.api.schemas.annotations import AnnotationsOut, AnnotationsQuery
from ninjacam.api.times import to_text
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_ns
from ninjacam.queries import recordings
from ninjacam.queries.cameras import get_recorded

router = Router()

MAX_SPAN_NS = 3600 * 10**9


@router.get(
    "/annotations", response=AnnotationsOut, operation_id="list_annotations", summary="List annotations"
)
def list_annotations(request: HttpRequest, query: Query[AnnotationsQuery]) -> HttpResponse:
    """The annotations in [start, end), at most one hour, of processors with `record=True`, by capture time.

    The response is complete up to its `end`: it has a size limit, and annotations of the last seconds may not be
    written yet. For the rest, send another request that starts there.
    """
    slug = get_recorded(principal(request), query.camera).slug
    start_ns, end_ns = to_ns(query.start), to_ns(query.end)
    if not 0 < end_ns - start_ns <= MAX_SPAN_NS:
        raise InvalidError.of("end", "The end must be after the start, by at most one hour.")
    lines, until_ns = recordings.list_annotations(slug, start_ns, end_ns)
    head = to_json({"camera": slug, "start": to_text(start_ns), "end": to_text(until_ns)})
    body = b'%b,"frames":[%b]}' % (head[:-1], b",".join(lines))
    return HttpResponse(body, content_type="application/json")
