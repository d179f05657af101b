"""Events of cameras and of the host. Users with the role `replay` for a camera read its events."""

from collections.abc import Collection
from copy import copy
from dataclasses import dataclass

from django.db.models import Count, Exists, OuterRef, Q
from django.utils.translation import gettext as _

from ninjacam.auth import Actor, Principal
from ninjacam.core.errors import ForbiddenError
from ninjacam.models import Event, Role, SeenEvent
from ninjacam.models.event import EventQuerySet
from ninjacam.permissions import AnyUser
from ninjacam.queries.cameras import get_recorded, list_recorded_or_all, require_recorded


def get_event(actor: Actor, event_id: int, role: str = Role.REPLAY) -> Event:
    """Raises: NotFoundError, also if its camera is invisible to the actor; ForbiddenError."""
    event = Event.objects.filter(pk=event_id).first()
    return require_recorded(actor, event, role, _("No event %(id)s.") % {"id": event_id})


def may_read(actor: Actor, event: Event) -> bool:
    """Return whether `actor`, who may change the event, may also read it."""
    try:
        get_recorded(actor, event.slug, Role.REPLAY)
    except ForbiddenError:
        return False
    return True


def without_findings(event: Event, *, label: str) -> Event:
    """Return an unsaved copy of an event for users who may change but not read it: without what was detected in the
    camera's video, also by processors of events. `label`: instead of its own."""
    shown = copy(event)
    shown.label, shown.data, shown.zones = label, {}, ""
    shown.score = shown.track = shown.box = shown.best_ns = shown.snapshot_ns = shown.color_bits = None
    return shown


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Conditions for events. `label`: a substring. `colors`: at least one of them. `unseen_by`: a user who has not seen
    them. Empty, None: any.
    """

    kinds: Collection[str] = ()
    label: str = ""
    zone: str = ""
    min_score: float | None = None
    colors: Collection[str] = ()
    unseen_by: AnyUser | None = None

    def apply(self, found: EventQuerySet) -> EventQuerySet:
        if self.kinds:
            found = found.filter(kind__in=self.kinds)
        if self.label:
            found = found.filter(label__icontains=self.label)
        if self.zone:
            found = found.filter(zones__contains=f" {self.zone} ")
        if self.min_score is not None:
            found = found.filter(score__gte=self.min_score)
        if self.colors:
            found = found.of_colors(self.colors)
        if self.unseen_by is not None:
            seen = SeenEvent.objects.filter(Q(user_id=self.unseen_by.pk), event=OuterRef("pk"))
            found = found.filter(~Exists(seen))
        return found


def list_events(
    who: Principal, wanted: list[str], start_ns: int, end_ns: int, conditions: EventFilter | None = None
) -> EventQuerySet:
    """Return the events that overlap [start, end): of the cameras in `wanted`, or of all that `who` may replay.

    Without `wanted`, users who may replay all cameras also get the events of deleted
    cameras and of the host. Raises: NotFoundError, ForbiddenError: for one of `wanted`.
    """
    found = Event.objects.overlapping(list_recorded_or_all(who, wanted), start_ns, end_ns)
    return found if conditions is None else conditions.apply(found)


def count_by_camera(found: EventQuerySet) -> dict[str, dict[str, int]]:
    """Return the number of events of each kind, the most frequent kind first, by the slug of the camera."""
    counts: dict[str, dict[str, int]] = {}
    rows = found.order_by().values_list("slug", "kind").annotate(count=Count("pk"))
    for slug, kind, count in rows.order_by("slug", "-count", "kind"):
        counts.setdefault(slug, {})[kind] = count
    return counts


def count_kinds(found: EventQuerySet) -> dict[str, int]:
    """Return the number of events of each kind, the most frequent kind first."""
    rows = found.order_by().values_list("kind").annotate(count=Count("pk")).order_by("-count", "kind")
    return dict(rows)
