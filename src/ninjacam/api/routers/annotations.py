"""What processors have seen on recorded pictures."""

import time

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router
from pydantic_core import to_json

from ninjacam.actions.recordings import find_recorded
from ninjacam.api.auth import principal
from ninjacam.api.schemas.annotations import AnnotationsOut, AnnotationsQuery
from ninjacam.api.times import to_ns, to_text
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError
from ninjacam.models import Segment
from ninjacam.recordings.annotations import LATE_NS, read_annotations
from ninjacam.recordings.segments import INDEX_LATE_NS

router = Router()

LONGEST_NS = 3600 * 10**9


@router.get(
    "/annotations",
    response=AnnotationsOut,
    operation_id="list_annotations",
    summary="What was seen on recorded pictures",
)
def list_annotations(request: HttpRequest, query: Query[AnnotationsQuery]) -> HttpResponse:
    """The annotations of processors with `record=True` in [start, end), an hour at most, in the order of capture.

    It is complete up to its `end`: there may be more than one answer holds, and what was seen in the last seconds may
    not be written yet. Ask on from there.
    """
    slug = find_recorded(principal(request), query.camera)
    start_ns, end_ns = to_ns(query.start), to_ns(query.end)
    if not 0 < end_ns - start_ns <= LONGEST_NS:
        raise InvalidError.of("end", "The end must be after the start, by an hour at most.")
    written_ns = max(start_ns, time.time_ns() - LATE_NS)
    rows = Segment.objects.overlapping([slug], start_ns - INDEX_LATE_NS, end_ns + LATE_NS)
    root = get_settings().recordings_dir
    lines, end_ns = read_annotations([root / row.path for row in rows], start_ns, end_ns)
    head = to_json({"camera": slug, "start": to_text(start_ns), "end": to_text(min(end_ns, written_ns))})
    body = b'%b,"frames":[%b]}' % (head[:-1], b",".join(lines))
    return HttpResponse(body, content_type="application/json")
