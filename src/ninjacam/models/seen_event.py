"""Which users have seen which events."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Window
from django.db.models.functions import RowNumber
from django.utils.translation import gettext_lazy as _

from ninjacam.models.event import Event

MAX_NAMES = 20
"""Maximum number of users that are listed for one event."""


class SeenEventQuerySet(models.QuerySet["SeenEvent"]):
    def names(self, events: Iterable[Event]) -> dict[int, list[str]]:
        """Return the names of the first MAX_NAMES users who have seen each event, by its id. Events that no user has
        seen are left out."""
        found: dict[int, list[str]] = {}
        rows = self.filter(event__in=[event.pk for event in events]).select_related("user")
        place = Window(RowNumber(), partition_by=[F("event_id")], order_by="pk")
        for row in rows.annotate(place=place).filter(place__lte=MAX_NAMES).order_by("pk"):
            found.setdefault(row.event_id, []).append(row.user.get_username())
        return found


class SeenEvent(models.Model):
    """`user` has seen `event`. Deleted with either.

    The event has no foreign key in the database: processes delete events at any time, and a row without an event does
    no harm.
    """

    event = models.ForeignKey(
        Event, on_delete=models.CASCADE, related_name="seen", db_constraint=False, verbose_name=_("event")
    )
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    seen_at = models.DateTimeField(_("seen at"), auto_now_add=True)

    objects = SeenEventQuerySet.as_manager()
    event_id: int
    user_id: Any

    class Meta:
        verbose_name = _("seen event")
        verbose_name_plural = _("seen events")
        constraints = [models.UniqueConstraint(fields=["event", "user"], name="ninjacam_seen_event")]

    def __str__(self) -> str:
        return f"{self.event_id}: {self.user_id}"
