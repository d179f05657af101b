"""Stores the engine's events in the database."""

from collections.abc import Sequence

from django.db import transaction

from ninjacam.adapters.database import database
from ninjacam.engine.events import EngineEvent
from ninjacam.models import Camera, Event
from ninjacam.models.event import ENGINE
from ninjacam.models.outbox import note_begun, note_changed


class DatabaseEventLog:
    """Thread: any one at a time."""

    def ongoing(self) -> list[EngineEvent]:
        """Raises: NinjacamError: the database is unavailable."""
        with database():
            rows = Event.objects.filter(source=ENGINE, end_ns=None).order_by("start_ns")
            return [EngineEvent(row.slug, row.kind, row.start_ns, None, row.label, row.data) for row in rows]

    def put(self, events: Sequence[EngineEvent]) -> None:
        """Create or update events. Users' changes of the label and of `protected` are kept. Raises: NinjacamError."""
        with database(), transaction.atomic():
            for event in events:
                if event.end_ns is not None and event.slug and _is_gone(event):
                    continue
                row, is_new = Event.objects.update_or_create(
                    slug=event.slug,
                    kind=event.kind,
                    start_ns=event.start_ns,
                    source=ENGINE,
                    defaults={"end_ns": event.end_ns},
                    create_defaults={
                        "end_ns": event.end_ns,
                        "label": event.label,
                        "data": event.data,
                        "triggers_recording": event.triggers_recording,
                    },
                )
                if is_new:
                    note_begun(row)
                elif row.end_ns is not None:  # The engine changes only the end, once.
                    note_changed(row, (), has_ended=True)


def _is_gone(event: EngineEvent) -> bool:
    """Return whether the event was deleted, or renamed with its camera."""
    row = Event.objects.filter(slug=event.slug, kind=event.kind, start_ns=event.start_ns, source=ENGINE)
    return not row.exists() and not Camera.objects.filter(slug=event.slug).exists()
