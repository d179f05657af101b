"""Recordings and the timeline: what there is, and when. The bytes are the media application's (`/rec/`)."""

from operator import attrgetter
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from ninja import Query, Router, Status
from pydantic_core import to_json

from ninjacam.actions import cameras
from ninjacam.actions.recordings import find_segment, protect_segment, replayable_slugs
from ninjacam.api.auth import principal
from ninjacam.api.schemas.recordings import (
    RecordingOut,
    RecordingPage,
    RecordingPatch,
    RecordingsQuery,
    TimelineOut,
    TimelineQuery,
)
from ninjacam.api.times import span_ns, to_text, to_time
from ninjacam.auth import Principal
from ninjacam.models import Event, Segment
from ninjacam.models.event import Mark
from ninjacam.models.segment import Timeline, timeline

router = Router()

MAX_EVENTS = 500
"""Of one camera on a timeline."""


@router.get(
    "/recordings", response=RecordingPage, operation_id="list_recordings", summary="List recorded files"
)
def list_recordings(request: HttpRequest, query: Query[RecordingsQuery]) -> RecordingPage:
    """The files of the cameras that you may replay which hold something of [start, end), newest first."""
    slugs = replayable_slugs(principal(request), query.camera)
    start_ns, end_ns = span_ns(query.start, query.end)
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


@router.delete(
    "/recordings",
    response={204: None},
    operation_id="delete_recordings",
    summary="Delete the recordings of a deleted camera",
)
def delete_recordings(request: HttpRequest, camera: str) -> Status[None]:
    """With its events and exports, protected ones included. Needs the roles `configure` and `export` for all cameras.
    Those of a camera that is there are deleted together with it."""
    cameras.delete_recordings(principal(request), camera)
    return Status(204, None)


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
def get_timeline(request: HttpRequest, query: Query[TimelineQuery]) -> HttpResponse:
    """The spans of [start, end) of which there are recordings, for each camera; between them is nothing. Files follow
    each other in a span as long as no more than 2 s are missing. With them the events, and with `buckets` the activity:
    what moves takes more bits."""
    slugs = replayable_slugs(principal(request), query.camera)
    answer = make_timeline(slugs, *span_ns(query.start, query.end), query.buckets)
    return HttpResponse(to_json(answer), content_type="application/json")


def make_timeline(slugs: list[str], start_ns: int, end_ns: int, buckets: int) -> dict[str, Any]:
    """A `TimelineOut`, which as such would take five times as long. One query of segments, one of events."""
    recorded = timeline(slugs, start_ns, end_ns, buckets=buckets)
    marks = Event.objects.marks(slugs, start_ns, end_ns, MAX_EVENTS + 1)
    step_s = (end_ns - start_ns) / 1e9 / buckets if buckets else 0
    return {
        "start": to_text(start_ns),
        "end": to_text(end_ns),
        "cameras": [_timeline_camera(slug, recorded, marks.get(slug, []), step_s) for slug in slugs],
    }


def _timeline_camera(slug: str, recorded: Timeline, marks: list[Mark], step_s: float) -> dict[str, Any]:
    """`marks`: one more than are shown, where there are more. `step_s`: 0: no activity."""
    return {
        "camera": slug,
        "spans": [{"start": to_text(a), "end": to_text(b)} for a, b in recorded.spans.get(slug, ())],
        "events": [
            {
                "id": pk,
                "kind": kind,
                "label": label,
                "start": to_text(start_ns),
                "end": None if end_ns is None else to_text(end_ns),
                "protected": protected,
            }
            for _, pk, kind, label, start_ns, end_ns, protected in sorted(
                marks[:MAX_EVENTS], key=attrgetter("start_ns", "pk")
            )
        ],
        "more_events": len(marks) > MAX_EVENTS,
        "activity": {"step_s": step_s, "bitrate_bps": recorded.bitrates_bps[slug]} if step_s else None,
    }


def _recording_out(segment: Segment) -> RecordingOut:
    return RecordingOut(
        id=segment.pk,
        camera=segment.slug,
        start=to_time(segment.start_ns),
        end=to_time(segment.end_ns),
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
