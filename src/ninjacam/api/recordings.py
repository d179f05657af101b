"""Recordings and the timeline: what there is, and when. The bytes are the media application's (`/rec/`)."""

from datetime import UTC, datetime, timedelta

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from ninja import Query, Router

from ninjacam.actions.errors import InvalidError
from ninjacam.actions.recordings import find_segment, protect_segment, replayable_slugs
from ninjacam.api.auth import principal
from ninjacam.api.recording_schemas import (
    RecordingOut,
    RecordingPage,
    RecordingPatch,
    RecordingsQuery,
    SpanOut,
    TimelineCamera,
    TimelineOut,
    TimelineQuery,
)
from ninjacam.auth import Principal
from ninjacam.models import Segment
from ninjacam.models.segment import timeline

router = Router()

LONGEST = timedelta(days=32)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@router.get(
    "/recordings", response=RecordingPage, operation_id="list_recordings", summary="List recorded files"
)
def list_recordings(request: HttpRequest, query: Query[RecordingsQuery]) -> RecordingPage:
    """The files of the cameras that you may replay which hold something of [start, end), newest first."""
    slugs = replayable_slugs(principal(request), query.camera)
    start_ns, end_ns = _span(query.start, query.end)
    found = Segment.objects.overlapping(slugs, start_ns, end_ns).order_by("-start_ns", "-pk")
    if query.after:
        last_ns, last_id = map(int, query.after.split("-"))
        found = found.filter(start_ns__lte=last_ns).exclude(start_ns=last_ns, pk__gte=last_id)
    rows = list(found[: query.limit + 1])
    page = rows[: query.limit]
    return RecordingPage(
        items=[_recording_out(row) for row in page],
        next=f"{page[-1].start_ns}-{page[-1].pk}" if len(rows) > query.limit else None,
    )


@router.get(
    "/recordings/{int:recording_id}",
    response=RecordingOut,
    operation_id="get_recording",
    summary="Read a recorded file",
)
def get_recording(request: HttpRequest, recording_id: int) -> RecordingOut:
    """What the index knows of one file."""
    return _recording_out(find_segment(principal(request), recording_id))


@router.patch(
    "/recordings/{int:recording_id}",
    response=RecordingOut,
    operation_id="update_recording",
    summary="Keep a recorded file",
)
def update_recording(request: HttpRequest, recording_id: int, change: RecordingPatch) -> RecordingOut:
    """Retention never deletes what is protected. Needs the role `export`."""
    who: Principal = principal(request)
    return _recording_out(protect_segment(who, find_segment(who, recording_id), protected=change.protected))


@router.get("/timeline", response=TimelineOut, operation_id="get_timeline", summary="When was recorded")
def get_timeline(request: HttpRequest, query: Query[TimelineQuery]) -> TimelineOut:
    """The spans of [start, end) of which there are recordings, for each camera; between them is nothing. Files follow
    each other in a span as long as no more than 2 s are missing."""
    slugs = replayable_slugs(principal(request), query.camera)
    start_ns, end_ns = _span(query.start, query.end)
    spans = timeline(slugs, start_ns, end_ns)
    return TimelineOut(
        start=time_of(start_ns),
        end=time_of(end_ns),
        cameras=[
            TimelineCamera(
                camera=slug, spans=[SpanOut(start=time_of(a), end=time_of(b)) for a, b in spans.get(slug, ())]
            )
            for slug in slugs
        ],
    )


def _span(start: datetime | None, end: datetime | None) -> tuple[int, int]:
    """In ns; the last 24 hours, where nothing else is said. Raises: InvalidError."""
    end = end or (start + timedelta(days=1) if start else timezone.now())
    start = start or end - timedelta(days=1)
    if not start < end:
        raise InvalidError.of("end", "The end must be after the start.")
    if end - start > LONGEST:
        raise InvalidError.of("end", f"Ask for at most {LONGEST.days} days at once.")
    return ns_of(start), ns_of(end)


def ns_of(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1) * 1000


def time_of(wall_ns: int) -> datetime:
    return EPOCH + timedelta(microseconds=wall_ns // 1000)


def _recording_out(segment: Segment) -> RecordingOut:
    return RecordingOut(
        id=segment.pk,
        camera=segment.slug,
        start=time_of(segment.start_ns),
        end=time_of(segment.end_ns),
        size_bytes=segment.size_bytes,
        codec=segment.codec,
        width_px=segment.width_px,
        height_px=segment.height_px,
        audio_codec=segment.audio_codec,
        audio_source=segment.audio_source,
        open=segment.open,
        protected=segment.protected,
        url=reverse("ninjacam:rec-segment", args=[segment.slug, segment.pk]),
    )
