"""Events: what people, programs and the engine tell of cameras."""

from datetime import datetime

from django.http import HttpRequest
from ninja import Query, Router, Status

from ninjacam.actions import events as actions
from ninjacam.actions.recordings import may_deleted, replayable_slugs
from ninjacam.api.auth import principal
from ninjacam.api.schemas.events import EventIn, EventOut, EventPage, EventPatch, EventsQuery
from ninjacam.api.times import span_ns, to_ns, to_time
from ninjacam.models import Event, Role

router = Router()

_STILL_GOES_ON = {
    "description": "It still goes on",
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


@router.get("", response=EventPage, operation_id="list_events", summary="List events")
def list_events(request: HttpRequest, query: Query[EventsQuery]) -> EventPage:
    """The events of [start, end), of the cameras that you may replay, newest first. Whoever may replay all cameras also
    sees those of deleted ones and of the host."""
    who = principal(request)
    everything = not query.camera and may_deleted(who, Role.REPLAY)
    slugs = None if everything else replayable_slugs(who, query.camera)
    found = Event.objects.overlapping(slugs, *span_ns(query.start, query.end))
    if query.kind:
        found = found.filter(kind__in=query.kind)
    if query.after:
        last_ns, last_id = map(int, query.after.split("-"))
        found = found.filter(start_ns__lte=last_ns).exclude(start_ns=last_ns, pk__gte=last_id)
    rows = list(found.order_by("-start_ns", "-pk")[: query.limit + 1])
    page = rows[: query.limit]
    return EventPage(
        items=[_event_out(row) for row in page],
        next=f"{page[-1].start_ns}-{page[-1].pk}" if len(rows) > query.limit else None,
    )


@router.post("", response={201: EventOut}, operation_id="create_event", summary="Tell an event")
def create_event(request: HttpRequest, event: EventIn) -> Status[EventOut]:
    """Needs the role `control`. A camera that records events records it, from some seconds before its start on.

    429 where you create events of one camera too fast (EVENTS_PER_MINUTE); try again after `Retry-After` seconds."""
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
    return Status(201, _event_out(actions.create_event(principal(request), event.camera, event_input)))


@router.get("/{int:event_id}", response=EventOut, operation_id="get_event", summary="Read an event")
def get_event(request: HttpRequest, event_id: int) -> EventOut:
    """One event."""
    return _event_out(actions.find_event(principal(request), event_id))


@router.patch("/{int:event_id}", response=EventOut, operation_id="update_event", summary="Change an event")
def update_event(request: HttpRequest, event_id: int, change: EventPatch) -> EventOut:
    """Needs the role `control`; to protect it, or no longer, `export` as well. What the engine tells, it also ends."""
    who = principal(request)
    given = change.dict(exclude_unset=True)
    return _event_out(
        actions.update_event(
            who,
            actions.find_event(who, event_id, Role.CONTROL),
            label=given.get("label"),
            end_ns=_ns(given.get("end")),
            protected=given.get("protected"),
        )
    )


@router.delete(
    "/{int:event_id}",
    response={204: None},
    operation_id="delete_event",
    summary="Forget an event",
    openapi_extra={"responses": {409: _STILL_GOES_ON}},
)
def delete_event(request: HttpRequest, event_id: int) -> Status[None]:
    """Needs the role `control`; of a protected one, `export` as well. Its recordings stay, if retention lets them."""
    who = principal(request)
    actions.delete_event(who, actions.find_event(who, event_id, Role.CONTROL))
    return Status(204, None)


def _ns(time: datetime | None) -> int | None:
    return None if time is None else to_ns(time)


def _event_out(event: Event) -> EventOut:
    return EventOut(
        id=event.pk,
        camera=event.slug or None,
        kind=event.kind,
        label=event.label,
        start=to_time(event.start_ns),
        end=None if event.end_ns is None else to_time(event.end_ns),
        data=event.data,
        source=event.source,
        record=event.triggers_recording,
        protected=event.protected,
    )
