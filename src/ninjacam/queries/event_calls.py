"""The processors of events of a camera, with the state of their calls."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Q

from ninjacam.auth import Principal, is_guest
from ninjacam.core.times import to_datetime
from ninjacam.core.viewer_errors import without_traceback
from ninjacam.models import CallState, Camera, EventCall, Role
from ninjacam.models.event_call import EMBEDDING, UNKNOWN
from ninjacam.queries.status import Status


@dataclass(frozen=True, slots=True)
class EventProcessorReport:
    """One processor with `when="events"` of a camera. `state`: "idle", "waiting": events wait for it, "failed": its
    last call has failed. `waiting`, `done`, `failures`: numbers of events. `last_error`: of the last call that failed,
    as `NinjacamError.as_dict` returns it, with the traceback for users who may configure the camera.
    """

    camera: str
    name: str
    description: str
    state: str
    waiting: int
    done: int
    failures: int
    last_error: Mapping[str, Any] | None
    failed_at: datetime | None


def list_event_processors(who: Principal, camera: Camera, status: Status) -> list[EventProcessorReport]:
    """Return the processors of events of a camera, which `who` may view, by name. Also those that are not loaded at
    present, if events wait for them. None for a guest: their names and errors show what is read in the camera's own
    video.
    """
    if is_guest(who, camera):
        return []
    entries = {
        str(each["name"]): each
        for each in status.processors_of(camera.slug)
        if each.get("when") == "events" and each["name"] not in camera.processors_off
    }
    of_camera = EventCall.objects.filter(slug=camera.slug).exclude(processor=UNKNOWN)
    of_camera = of_camera.exclude(processor__startswith=EMBEDDING)
    rows: dict[str, dict[str, Any]] = {
        row["processor"]: dict(row)
        for row in of_camera.order_by()
        .values("processor")
        .annotate(**{state.value: Count("pk", filter=Q(state=state)) for state in CallState})
    }
    names = entries.keys() | {name for name, row in rows.items() if row[CallState.WAITING]}
    traceback = who.may(Role.CONFIGURE, camera)
    return [
        _report(camera.slug, name, entries.get(name, {}), rows.get(name, {}), with_traceback=traceback)
        for name in sorted(names)
    ]


def _report(
    slug: str, name: str, entry: Mapping[str, Any], row: Mapping[str, Any], *, with_traceback: bool
) -> EventProcessorReport:
    calls = EventCall.objects.of(slug, name).exclude(ended_ns=None).order_by("-ended_ns", "-pk")
    failed = calls.exclude(error=None).first()
    last = calls.first() if failed is not None else None
    error = None if failed is None else failed.error
    waiting = row.get(CallState.WAITING, 0)
    has_failed = failed is not None and last is not None and failed.pk == last.pk
    return EventProcessorReport(
        camera=slug,
        name=name,
        description=str(entry.get("description", "")),
        state="failed" if has_failed else "waiting" if waiting else "idle",
        waiting=waiting,
        done=row.get(CallState.DONE, 0),
        failures=row.get(CallState.FAILED, 0),
        last_error=error if with_traceback else without_traceback(error),
        failed_at=None if failed is None or failed.ended_ns is None else to_datetime(failed.ended_ns),
    )
