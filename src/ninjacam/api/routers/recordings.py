"""Recorded files and the timeline. The media application (`ninjacam.playback`) serves the files themselves."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Status
from pydantic_core import to_json

from ninjacam.actions import cameras
from ninjacam.actions.motion_search import search_motion
from ninjacam.actions.recordings import protect_segment
from ninjacam.api.auth import principal
from ninjacam.api.schemas.motion_search import MotionSearchOut, MotionSearchQuery, MovementOut
from ninjacam.api.schemas.recordings import (
    RecordingOut,
    RecordingPage,
    RecordingPatch,
    RecordingsQuery,
    TimelineOut,
    TimelineQuery,
)
from ninjacam.api.times import span_ns, to_text
from ninjacam.backtest.movements import Region
from ninjacam.core.times import to_datetime
from ninjacam.models import Segment
from ninjacam.queries.cameras import list_recorded
from ninjacam.queries.pages import paginate
from ninjacam.queries.recordings import CameraTimeline, get_segment, list_segments, read_timeline
from ninjacam.routes import ROUTES_BY_NAME

router = Router()


@router.get("/recordings", response=RecordingPage, operation_id="list_recordings", summary="List recordings")
def list_recordings(request: HttpRequest, query: Query[RecordingsQuery]) -> RecordingPage:
    """The recorded files that overlap [start, end), of cameras that you may replay, newest first."""
    found = list_segments(principal(request), query.camera, *span_ns(query.start, query.end))
    page = paginate(found, ("-start_ns", "-pk"), query.after, query.limit)
    return RecordingPage(items=[_recording_out(row) for row in page.items], next=page.next)


@router.delete(
    "/recordings",
    response={204: None},
    operation_id="delete_recordings",
    summary="Delete recordings of deleted camera",
    openapi_extra={"responses": {409: {}}},
)
def delete_recordings(request: HttpRequest, camera: str) -> Status[None]:
    """Delete the recordings, events and exports of a deleted camera, protected ones included. Needs the roles
    `configure` and `export` for all cameras. For a camera that exists, use `DELETE /cameras/{slug}`."""
    cameras.delete_recordings(principal(request), camera)
    return Status(204, None)


@router.get(
    "/recordings/{int:recording_id}",
    response=RecordingOut,
    operation_id="get_recording",
    summary="Get recording",
)
def get_recording(request: HttpRequest, recording_id: int) -> RecordingOut:
    """One recorded file, as listed in the index."""
    return _recording_out(get_segment(principal(request), recording_id))


@router.patch(
    "/recordings/{int:recording_id}",
    response=RecordingOut,
    operation_id="update_recording",
    summary="Protect recording",
)
def update_recording(request: HttpRequest, recording_id: int, change: RecordingPatch) -> RecordingOut:
    """Protect a recorded file from retention, or end its protection. Needs the role `export`."""
    who = principal(request)
    return _recording_out(protect_segment(who, get_segment(who, recording_id), protected=change.protected))


@router.get(
    "/cameras/{slug:slug}/motion-search",
    response=MotionSearchOut,
    operation_id="search_motion",
    summary="Search recordings for motion",
    openapi_extra={"responses": {429: {}}},
)
def search_camera_motion(request: HttpRequest, slug: str, query: Query[MotionSearchQuery]) -> MotionSearchOut:
    """When something moved in a region of the image, from key frames only. Requires the role `replay`. A search takes
    up to 15 seconds; if `next` is not null, continue with it as `start`."""
    start_ns, end_ns = span_ns(query.start, query.end)
    found = search_motion(principal(request), slug, start_ns, end_ns, Region.parse(query.region))
    has_more = found.searched_until_ns < end_ns
    return MotionSearchOut(
        start=to_datetime(start_ns),
        end=to_datetime(found.searched_until_ns),
        next=to_datetime(found.searched_until_ns) if has_more else None,
        key_frames=found.key_frames,
        movements=[
            MovementOut(start=to_datetime(each.start_ns), end=to_datetime(each.end_ns))
            for each in found.movements
        ],
    )


@router.get("/timeline", response=TimelineOut, operation_id="get_timeline", summary="Get timeline")
def get_timeline(request: HttpRequest, query: Query[TimelineQuery]) -> HttpResponse:
    """The spans within [start, end) that are recorded, and the events, of each camera. A span has no gap of more than 2
    seconds. With `buckets`, also the activity: the bit rate rises with motion."""
    slugs = list_recorded(principal(request), query.camera)
    answer = make_timeline(slugs, *span_ns(query.start, query.end), query.buckets)
    return HttpResponse(to_json(answer), content_type="application/json")


def make_timeline(slugs: list[str], start_ns: int, end_ns: int, buckets: int) -> dict[str, Any]:
    """Return a `TimelineOut` as a dict, in a fifth of the time."""
    step_s = (end_ns - start_ns) / 1e9 / buckets if buckets else 0
    cameras = read_timeline(slugs, start_ns, end_ns, buckets)
    return {
        "start": to_text(start_ns),
        "end": to_text(end_ns),
        "cameras": [_timeline_camera(camera, step_s) for camera in cameras],
    }


def _timeline_camera(camera: CameraTimeline, step_s: float) -> dict[str, Any]:
    """`step_s`: length of a bucket; 0: no activity."""
    return {
        "camera": camera.slug,
        "spans": [{"start": to_text(a), "end": to_text(b)} for a, b in camera.spans],
        "events": [
            {
                "id": pk,
                "kind": kind,
                "label": label,
                "start": to_text(start_ns),
                "end": None if end_ns is None else to_text(end_ns),
                "protected": protected,
            }
            for _, pk, kind, label, start_ns, end_ns, protected in camera.events
        ],
        "more_events": camera.has_more_events,
        "activity": {"step_s": step_s, "bitrate_bps": camera.bitrates_bps} if step_s else None,
    }


def _recording_out(segment: Segment) -> RecordingOut:
    return RecordingOut(
        id=segment.pk,
        camera=segment.slug,
        start=to_datetime(segment.start_ns),
        end=to_datetime(segment.end_ns),
        size_bytes=segment.size_bytes,
        codec=segment.codec,
        width_px=segment.width_px,
        height_px=segment.height_px,
        audio_codec=segment.audio_codec,
        audio_source=segment.audio_source,
        open=segment.open,
        protected=segment.protected,
        url=ROUTES_BY_NAME["rec-segment"].path(segment.slug, segment_id=segment.pk),
    )
