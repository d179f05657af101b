"""The journal of events, for live streams: changes of events since a position."""

import json
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from django.db.models import Max, Min

from ninjacam.auth import Principal, refresh
from ninjacam.core.errors import ForbiddenError, NotFoundError
from ninjacam.models import Event, EventUpdate
from ninjacam.models.outbox import event_json
from ninjacam.queries.cameras import list_recorded_or_all


@dataclass(frozen=True)
class Update:
    """A row of the journal. `event`: its current form in the API; None: it was deleted."""

    pk: int
    kind: str
    slug: str
    event: dict[str, Any] | None

    @cached_property
    def data(self) -> bytes:
        """The event as JSON, encoded once for all clients."""
        return json.dumps(self.event, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Span:
    """The positions of the journal. Those before `oldest` are no longer available. 0: it is empty."""

    oldest: int
    newest: int

    def has_all_since(self, position: int) -> bool:
        return self.oldest - 1 <= position <= self.newest


def journal_span() -> Span:
    found = EventUpdate.objects.aggregate(oldest=Min("pk"), newest=Max("pk"))
    return Span(found["oldest"] or 0, found["newest"] or 0)


def read_updates(since: int, max_rows: int) -> list[Update]:
    """Return the rows after `since`, in order. One query, and another one if there are rows."""
    rows = list(EventUpdate.objects.filter(pk__gt=since).order_by("pk")[:max_rows])
    events = Event.objects.in_bulk({row.event_id for row in rows}) if rows else {}
    return [_update(row, events.get(row.event_id)) for row in rows]


def _update(row: EventUpdate, event: Event | None) -> Update:
    if event is None:
        return Update(row.pk, row.kind, "", None)
    return Update(row.pk, row.kind, event.slug, event_json(event))


def replayable(who: Principal, wanted: list[str]) -> frozenset[str] | None:
    """Return the cameras whose events `who` may read; None: all, and the host. `wanted`: only these, if any.

    Raises: NotFoundError, ForbiddenError.
    """
    slugs = list_recorded_or_all(who, wanted)
    return None if slugs is None else frozenset(slugs)


def replayable_again(
    asked: list[tuple[Principal, list[str]]],
) -> list[frozenset[str] | None]:
    """Return the same as `replayable`, with all objects read again. Users who have lost their permission may read no
    camera."""
    fresh = refresh(principal for principal, _ in asked)
    answers: list[frozenset[str] | None] = []
    for principal, wanted in asked:
        now = fresh[principal]
        try:
            answers.append(frozenset() if now is None else replayable(now, wanted))
        except (ForbiddenError, NotFoundError):
            answers.append(frozenset())
    return answers
