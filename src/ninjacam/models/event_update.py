"""The journal of events: which event has begun, changed or ended, in the order of the writes.

Live streams of events read it. It keeps the latest rows only.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

KEPT = 10_000
"""Number of rows that stay: how far behind a reader may be."""
TRIM_EVERY = 200


class EventUpdate(models.Model):
    """`event_id`: of an event that may have been deleted since."""

    class Kind(models.TextChoices):
        BEGUN = "begun", _("begun")
        CHANGED = "changed", _("changed")
        ENDED = "ended", _("ended")

    event_id = models.BigIntegerField(_("event"))
    kind = models.CharField(_("kind"), max_length=7, choices=Kind.choices)

    class Meta:
        verbose_name = _("update of an event")
        verbose_name_plural = _("updates of events")
        ordering = ["pk"]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.kind}"

    @classmethod
    def write(cls, event_id: int, kind: str) -> None:
        """Append a row, and delete old ones now and then. Call it in the transaction that writes the event."""
        row = cls.objects.create(event_id=event_id, kind=kind)
        if row.pk % TRIM_EVERY == 0:
            cls.objects.filter(pk__lte=row.pk - KEPT).delete()
