"""Vectors of the snapshots of events, for the search by words.

Not here: making them (`ninjacam.actions.event_calls`).
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from ninjacam.models.event import Event


class EventEmbedding(models.Model):
    """The vector of an event's snapshot. Deleted with the event; outlives the image.

    `model`: version of the search model that has made it (`SearchSpec.version`). `vector`: of length 1, as float16,
    little-endian.

    As `SeenEvent`, it has no foreign key in the database.
    """

    event = models.OneToOneField(
        Event,
        primary_key=True,
        on_delete=models.CASCADE,
        related_name="embedding",
        db_constraint=False,
        verbose_name=_("event"),
    )
    model = models.CharField(_("model"), max_length=16)
    vector = models.BinaryField(_("vector"))

    event_id: int

    class Meta:
        verbose_name = _("vector of an event")
        verbose_name_plural = _("vectors of events")

    def __str__(self) -> str:
        return f"{self.event_id}: {self.model}"
