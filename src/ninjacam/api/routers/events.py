"""Events of cameras and of the host."""

from datetime import datetime

from django.http import HttpRequest, HttpResponse
from django.utils.cache import get_conditional_response
from django.utils.translation import gettext as _
from ninja import Query, Router, Status

from ninjacam.actions import events as actions
from ninjacam.actions.audit import record_taken
from ninjacam.actions.snapshots import read_snapshot
from ninjacam.actions.word_search import search_events
from ninjacam.api.auth import principal
from ninjacam.api.schemas.events import (
    EventIn,
    EventOut,
    EventPage,
    EventPatch,
    EventsQuery,
    SeenIn,
    SnapshotQuery,
)
from ninjacam.api.times import span_ns
from ninjacam.auth import Principal
from ninjacam.core.errors import InvalidError
from ninjacam.core.times import to_datetime, to_ns
from ninjacam.models import Event, Role, SeenEvent
from ninjacam.models.event import EventQuerySet
from ninjacam.queries import events
from ninjacam.queries.pages import paginate

router = Router()

_ONGOING = {
    "description": "The event is ongoing",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


_NO_MODEL = {
    "description": "`search` is used, and no model for it is installed, or it does not work",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@router.get(
    "",
    response=EventPage,
    operation_id="list_events",
    summary="List events",
    openapi_extra={"responses": {409: _NO_MODEL}},
)
def list_events(request: HttpRequest, query: Query[EventsQuery]) -> EventPage:
    """The events that overlap [start, end), of cameras that you may replay, newest first. If you may replay all
    cameras, also the events of deleted cameras and of the host.

    With `search`, the answer is one page with the `limit` best events of the span, the best one first, each with its
    `similarity`. Events whose snapshots have not been analysed are left out. It needs a model: see “Models” in the
    documentation. New words take some seconds; 429 if too many users search at the same time."""
    who = principal(request)
    span = span_ns(query.start, query.end)
    wanted = events.EventFilter(
        tuple(query.kind),
        query.label,
        query.zone,
        query.min_score,
        tuple(query.color),
        who.user if query.unseen else None,
    )
    found = events.list_events(who, query.camera, *span, wanted)
    if query.search:
        return _search(who, found, query)
    page = paginate(found, ("-start_ns", "-pk"), query.after, query.limit)
    seen_by = SeenEvent.objects.names(page.items)
    return EventPage(
        items=[_event_out(event, seen_by.get(event.pk, [])) for event in page.items], next=page.next
    )


def _search(who: Principal, found: EventQuerySet, query: EventsQuery) -> EventPage:
    """Raises: InvalidError, SearchUnavailableError, LimitError."""
    if query.after:
        raise InvalidError.of("after", _("A search has only one page. Omit `after`, or use another span."))
    matches = search_events(who, found, query.search, query.limit)
    seen_by = SeenEvent.objects.names([event for event, _score in matches])
    items = [_event_out(event, seen_by.get(event.pk, []), round(score, 4)) for event, score in matches]
    return EventPage(items=items, next=None)


@router.post("/seen", response={204: None}, operation_id="mark_events_seen", summary="Mark events as seen")
def mark_events_seen(request: HttpRequest, marked: SeenIn) -> Status[None]:
    """For your user. Needs the role `replay`; events that you may not read are left out."""
    actions.mark_seen(principal(request), marked.ids, seen=marked.seen)
    return Status(204, None)


@router.post("", response={201: EventOut}, operation_id="create_event", summary="Create event")
def create_event(request: HttpRequest, event: EventIn) -> Status[EventOut]:
    """Needs the role `control`. A camera that records events records this one, from some seconds before its start.

    429 if you create events of one camera faster than EVENTS_PER_MINUTE. Try again after `Retry-After` seconds."""
    event_input = actions.EventInput(
        kind=event.kind,
        label=event.label,
        start_ns=_ns(event.start),
        end_ns=_ns(event.end),
        duration_ns=None if event.duration_s is None else int(event.duration_s * 1e9),
        ongoing=event.ongoing,
        data=event.data,
        triggers_recording=event.record,
        protected=event.protected,
    )
    return Status(201, _event_out(actions.create_event(principal(request), event.camera, event_input), []))


@router.get("/{int:event_id}", response=EventOut, operation_id="get_event", summary="Get event")
def get_event(request: HttpRequest, event_id: int) -> EventOut:
    """One event."""
    event = events.get_event(principal(request), event_id)
    return _event_out(event, SeenEvent.objects.names([event]).get(event.pk, []))


@router.get(
    "/{int:event_id}/snapshot.jpg",
    operation_id="get_event_snapshot",
    summary="Get snapshot of event",
    openapi_extra={
        "responses": {
            200: {
                "description": "The image",
                "content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}},
            }
        }
    },
)
def get_event_snapshot(request: HttpRequest, event_id: int, query: Query[SnapshotQuery]) -> HttpResponse:
    """The best image of the event, at most 1280 pixels wide, or only its object. It outlives the recording, and is
    deleted with the event. 404 while there is none: it is taken from the recording, some seconds after the event has
    begun, and again after it has ended. Needs the role `replay`."""
    who = principal(request)
    event = events.get_event(who, event_id)
    at_ns, jpeg = read_snapshot(event, crop=query.crop)
    record_taken(who, "event.snapshot", event.slug, at_ns, at_ns + 1)
    response = HttpResponse(jpeg, content_type="image/jpeg")
    response["Cache-Control"] = "private, no-cache"
    response["ETag"] = f'"{event.pk}-{at_ns}{"-crop" if query.crop else ""}"'
    return get_conditional_response(request, response["ETag"], None, response) or response


@router.patch("/{int:event_id}", response=EventOut, operation_id="update_event", summary="Update event")
def update_event(request: HttpRequest, event_id: int, change: EventPatch) -> EventOut:
    """Needs the role `control`; to protect the event or to end its protection, also `export`. You cannot set the end of
    an event of the engine. Without the role `replay`, the answer has nothing that was detected, and only a label that
    you have sent."""
    who = principal(request)
    given = change.dict(exclude_unset=True)
    event = actions.update_event(
        who,
        events.get_event(who, event_id, Role.CONTROL),
        label=given.get("label"),
        end_ns=_ns(given.get("end")),
        protected=given.get("protected"),
    )
    if not events.may_read(who, event):
        return _event_out(events.without_findings(event, label=given.get("label") or ""), [])
    return _event_out(event, SeenEvent.objects.names([event]).get(event.pk, []))


@router.delete(
    "/{int:event_id}",
    response={204: None},
    operation_id="delete_event",
    summary="Delete event",
    openapi_extra={"responses": {409: _ONGOING}},
)
def delete_event(request: HttpRequest, event_id: int) -> Status[None]:
    """Needs the role `control`; for a protected event, also `export`. Retention deletes its recordings later."""
    who = principal(request)
    actions.delete_event(who, events.get_event(who, event_id, Role.CONTROL))
    return Status(204, None)


def _ns(time: datetime | None) -> int | None:
    return None if time is None else to_ns(time)


def _event_out(event: Event, seen_by: list[str], similarity: float | None = None) -> EventOut:
    return EventOut(
        id=event.pk,
        camera=event.slug or None,
        kind=event.kind,
        label=event.label,
        start=to_datetime(event.start_ns),
        end=None if event.end_ns is None else to_datetime(event.end_ns),
        data=event.data,
        source=event.source,
        record=event.triggers_recording,
        protected=event.protected,
        score=event.score,
        track=event.track,
        box=event.box,
        best_at=None if event.best_ns is None else to_datetime(event.best_ns),
        zones=event.zone_names,
        snapshot_at=None if event.snapshot_ns is None else to_datetime(event.snapshot_ns),
        colors=event.colors,
        seen_by=seen_by,
        similarity=similarity,
    )
