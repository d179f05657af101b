"""Ends the ongoing events of what no longer runs, and so cannot end them itself. An event lasts for a day at most, in
which its camera may be recorded.
"""

from collections.abc import Collection

from django.db import transaction
from django.db.models import Q

from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.models.event import ENGINE, PROCESSOR, Event
from ninjacam.models.outbox import note_changed


def end_ongoing(slug: str, source: str, processors: Collection[str] | None = None) -> None:
    """End the ongoing events of a camera now. `processors`: only those of these ready-made processors."""
    found = Event.objects.filter(slug=slug, source=source, end_ns=None)
    if processors is not None:
        found = found.filter(Q(*(("key__startswith", f"{name}-") for name in processors), _connector=Q.OR))
    with transaction.atomic():
        for event in found.select_for_update():
            event.end_ns = max(event.start_ns, SYSTEM_CLOCK.wall_ns())
            event.save(update_fields=["end_ns"])
            note_changed(event, (), has_ended=True)


def end_of_camera(slug: str) -> None:
    """End the ongoing events that the engine and processors have created for a camera."""
    for source in (ENGINE, PROCESSOR):
        end_ongoing(slug, source)
