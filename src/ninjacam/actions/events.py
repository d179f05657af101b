"""Create, change and delete events. Cameras are identified by slug, because events outlive them.

The role `replay` for a camera allows reading its events, `control` creating and changing them. Protecting an event,
and deleting a protected one, also requires `export`.
"""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from ninjacam.actions.audit import record
from ninjacam.actions.protection import check_protection
from ninjacam.auth import Actor, Principal
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.errors import ConflictError, InvalidError, LimitError
from ninjacam.core.json_values import MAX_DEPTH, is_plain
from ninjacam.core.rates import RateLimit
from ninjacam.core.sightings import Sighting
from ninjacam.engine.events import RULES
from ninjacam.models import ApiToken, Camera, Event, EventCall, Role, SeenEvent
from ninjacam.models.event import ENGINE, MAX_LENGTH_NS
from ninjacam.models.outbox import note_begun, note_changed
from ninjacam.models.snapshot import remove_snapshots
from ninjacam.queries.cameras import get_camera, get_recorded, list_recorded_or_all

MAX_DATA_BYTES = 4096
AHEAD_NS = 60 * 10**9
"""Maximum nanoseconds by which a start may be in the future, because clients' clocks differ."""
MAX_ONGOING = 100
"""Maximum number of ongoing events of one camera that make it record."""
MAX_ZONES_CHARS = 500
_ZONE = re.compile(r"\S{1,50}\Z")
OWN_KINDS = frozenset(rule.kind for rule in RULES)


@dataclass(frozen=True, slots=True)
class EventInput:
    """An event to create. `start_ns` defaults to now. Without an end or a duration, the event is an instant, unless
    `ongoing`."""

    kind: str
    label: str = ""
    start_ns: int | None = None
    end_ns: int | None = None
    duration_ns: int | None = None
    ongoing: bool = False
    data: dict[str, Any] = field(default_factory=dict)
    triggers_recording: bool = True
    protected: bool = False
    key: str = ""
    sighting: Sighting | None = None


@dataclass(frozen=True, slots=True)
class EventChange:
    """A change of the event with this key. None: unchanged. `data`: merged into the event's data."""

    key: str
    label: str | None = None
    end_ns: int | None = None
    data: dict[str, Any] | None = None
    sighting: Sighting | None = None


def create_event(actor: Actor, slug: str, event_input: EventInput) -> Event:
    """Create an event. Raises: NotFoundError, ForbiddenError, InvalidError; LimitError: too many in a short time, or
    too many ongoing; QuotaError: too much of this camera is protected.
    """
    camera = get_camera(actor, slug, Role.CONTROL)
    _check_rate(actor, camera)
    if event_input.protected:
        get_camera(actor, slug, Role.EXPORT)
    if event_input.kind in OWN_KINDS:
        raise InvalidError.of("kind", _("This kind is reserved for events of the engine. Use another word."))
    now_ns = SYSTEM_CLOCK.wall_ns()
    start_ns = now_ns if event_input.start_ns is None else event_input.start_ns
    if start_ns > now_ns + AHEAD_NS:
        raise InvalidError.of("start", _("The start is in the future."))
    if sum((event_input.end_ns is not None, event_input.duration_ns is not None, event_input.ongoing)) > 1:
        raise InvalidError.of("end", _("Specify only one of `end`, `duration_s` and `ongoing`."))
    end_ns = (
        None
        if event_input.ongoing
        else start_ns + (event_input.duration_ns or 0)
        if event_input.end_ns is None
        else event_input.end_ns
    )
    _check_span(start_ns, end_ns)
    if end_ns is None:
        _check_ongoing(camera)
    with transaction.atomic():
        if event_input.key:
            present = Event.objects.filter(key=event_input.key).first()
            if present is not None:
                return present  # It was created before a restart.
        event = Event.objects.create(
            slug=camera.slug,
            kind=event_input.kind,
            label=event_input.label,
            start_ns=start_ns,
            end_ns=end_ns,
            data=_checked(event_input.data),
            source=_source(actor),
            triggers_recording=event_input.triggers_recording,
            protected=event_input.protected,
            key=event_input.key,
            **_sighting_fields(event_input.sighting),
        )
        if event_input.protected:
            check_protection(actor, camera.slug)
        note_begun(event)
    record(actor, "event.create", camera.slug, event=event.pk, kind=event.kind)
    return event


def change_event(slug: str, change: EventChange) -> bool:
    """Apply a change by the event's creator. Return False if the camera has no such event, because it was deleted or
    never written. Raises: InvalidError."""
    with transaction.atomic():
        event = Event.objects.select_for_update().filter(key=change.key, slug=slug).first()
        if event is None:
            return False
        changes: dict[str, Any] = _sighting_fields(change.sighting)
        if change.label is not None:
            changes["label"] = change.label
        if change.data:
            results = EventCall.objects.result_names(event.pk) - change.data.keys()
            own = {name: value for name, value in event.data.items() if name not in results}
            checked = _checked({**own, **change.data})
            changes["data"] = {**checked, **{name: event.data[name] for name in results & event.data.keys()}}
        if change.end_ns is not None:
            latest_ns = event.start_ns + MAX_LENGTH_NS
            changes["end_ns"] = min(max(change.end_ns, event.start_ns), latest_ns)
        _write_changes(event, changes)
    return True


def store_result(event: Event, processor: str, result: dict[str, Any] | None, *, replaces: bool) -> None:
    """Store the result of a processor (`to_event_data`) in the data of an event, under its name. Call it in the
    transaction that has locked the event.

    `replaces`: whether the data has an earlier result of it, which None removes.
    """
    if result is None and not replaces:
        return
    data = {name: value for name, value in event.data.items() if name != processor}
    if result is not None:
        data[processor] = result
    _write_changes(event, {"data": data})


def _write_changes(event: Event, changes: dict[str, Any]) -> None:
    """Save only the changes: the engine may write other fields at the same time. Call it in a transaction."""
    if not changes:
        return
    was_ongoing = event.end_ns is None
    Event.objects.filter(pk=event.pk).update(**changes)
    for name, value in changes.items():
        setattr(event, name, value)
    note_changed(event, changes, has_ended=was_ongoing and event.end_ns is not None)


def _sighting_fields(sighting: Sighting | None) -> dict[str, Any]:
    """Raises: InvalidError."""
    if sighting is None:
        return {}
    names = [name for name in dict.fromkeys(sighting.zones) if _ZONE.match(name)]
    zones = "".join(f" {name}" for name in names)[: MAX_ZONES_CHARS - 1]
    box = None if sighting.box is None else [round(min(1.0, max(0.0, each)), 5) for each in sighting.box]
    return {
        "best_ns": sighting.at_ns,
        "score": sighting.score,
        "track": sighting.track,
        "box": box,
        "zones": f"{zones} " if zones else "",
    }


@lru_cache(maxsize=1)
def event_rates(per_minute: int) -> RateLimit:
    """Return the limits of this process. A burst may contain the events of half a minute."""
    return RateLimit(per_minute, max(1, per_minute // 2))


def _check_rate(actor: Actor, camera: Camera) -> None:
    """Raises: LimitError."""
    if not isinstance(actor, Principal):
        return
    per_minute = get_settings().events_per_minute
    retry_after_s = event_rates(per_minute).take((actor.user.pk, actor.token_id, camera.pk))
    if retry_after_s:
        raise LimitError(
            _("Too many events of “%(slug)s”: the limit is %(count)d per minute. Wait a moment.")
            % {"slug": camera.slug, "count": per_minute},
            retry_after_s=retry_after_s,
        )


def _check_ongoing(camera: Camera) -> None:
    """Raises: LimitError."""
    ongoing = Event.objects.filter(slug=camera.slug, end_ns=None, triggers_recording=True)
    if len(ongoing.order_by().values_list("pk")[:MAX_ONGOING]) == MAX_ONGOING:
        raise LimitError(
            _("“%(slug)s” already has %(count)d ongoing events. End some of them first.")
            % {"slug": camera.slug, "count": MAX_ONGOING},
            retry_after_s=60,
        )


def update_event(
    actor: Actor,
    event: Event,
    *,
    label: str | None = None,
    end_ns: int | None = None,
    protected: bool | None = None,
) -> Event:
    """Change the fields that are not None. Raises: ForbiddenError, ConflictError: only the engine ends it;
    InvalidError; QuotaError.
    """
    get_recorded(actor, event.slug, Role.CONTROL)
    changes: dict[str, Any] = {}
    if label is not None:
        changes["label"] = label
    if end_ns is not None:
        if event.source == ENGINE:
            raise ConflictError(_("Only the engine can end this event."))
        _check_span(event.start_ns, end_ns)
        changes["end_ns"] = end_ns
    if protected is not None and protected != event.protected:
        get_recorded(actor, event.slug, Role.EXPORT)
        changes["protected"] = protected
    if changes:
        was_protected = event.protected
        with transaction.atomic():
            event = Event.objects.select_for_update().get(pk=event.pk)
            _write_changes(event, changes)
            if changes.get("protected") or (was_protected and "end_ns" in changes):
                check_protection(actor, event.slug)
        record(actor, "event.update", event.slug, event=event.pk, fields=sorted(changes))
    event.refresh_from_db()
    return event


def mark_seen(who: Principal, event_ids: Collection[int], *, seen: bool = True) -> None:
    """Record that the user has seen the events, or has not. Events that do not exist or that the user may not replay
    are left out.
    """
    slugs = list_recorded_or_all(who, [])
    events = Event.objects.filter(pk__in=event_ids)
    if slugs is not None:
        events = events.filter(slug__in=slugs)
    found = list(events.values_list("pk", flat=True))
    if seen:
        rows = [SeenEvent(event_id=pk, user_id=who.user.pk) for pk in found]
        SeenEvent.objects.bulk_create(rows, ignore_conflicts=True)
    else:
        SeenEvent.objects.filter(event__in=found, user_id=who.user.pk).delete()


def delete_event(actor: Actor, event: Event) -> None:
    """Delete an event. Its recordings stay until retention deletes them. Raises: ForbiddenError, ConflictError: it
    is ongoing.
    """
    get_recorded(actor, event.slug, Role.CONTROL)
    if event.protected:
        get_recorded(actor, event.slug, Role.EXPORT)
    if event.source == ENGINE and event.end_ns is None:
        raise ConflictError(_("The event is still ongoing. Delete it after it has ended."))
    pk = event.pk
    event.delete()
    EventCall.objects.forget([pk])
    transaction.on_commit(partial(remove_snapshots, [pk]))
    record(actor, "event.delete", event.slug, event=pk, kind=event.kind)


def _check_span(start_ns: int, end_ns: int | None) -> None:
    if end_ns is not None and end_ns < start_ns:
        raise InvalidError.of("end", _("The end is before the start."))
    if end_ns is not None and end_ns > start_ns + MAX_LENGTH_NS:
        raise InvalidError.of("end", _("An event lasts at most one day."))


def _checked(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data. Raises: InvalidError: too large, or not storable in every database."""
    if not is_plain(data):
        raise InvalidError.of(
            "data", _("Use plain values, nested at most %(depth)s levels deep.") % {"depth": MAX_DEPTH}
        )
    if len(json.dumps(data).encode()) > MAX_DATA_BYTES:
        raise InvalidError.of("data", _("The maximum is %(most)s bytes.") % {"most": MAX_DATA_BYTES})
    return data


def _source(actor: Actor) -> str:
    if not isinstance(actor, Principal):
        return actor.name
    token = ApiToken.objects.filter(pk=actor.token_id).first() if actor.token_id else None
    return f"token:{token.name}" if token else f"user:{actor.user.get_username()}"
