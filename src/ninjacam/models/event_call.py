"""The calls of processors with `when="events"`: one for each event and processor. Not here: making them
(`ninjacam.actions.event_calls`).
"""

from collections.abc import Collection, Iterable

from django.db import models
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext_lazy as _

from ninjacam.models.event import Event

MAX_AHEAD_NS = 900 * 10**9
"""No call is due later than this from now, unless the clock was set back."""
MAX_WAITING = 1000
"""Maximum number of calls of one processor for one camera that wait. Further events are not examined."""
LEASE_NS = 30 * 10**9
"""If the process that makes a call is killed, the call is repeated after this time."""
UNKNOWN = ""
"""Name in place of the processors, until these are known."""
EMBEDDING = "*"
"""First character of the name in place of a processor, if the snapshot is to be mapped to a vector (`EventEmbedding`):
the version of the search model follows. No processor has such a name."""
BATCH = 500


class CallState(models.TextChoices):
    WAITING = "waiting", _("waiting")
    DONE = "done", _("done")
    FAILED = "failed", _("failed")


class EventCallQuerySet(models.QuerySet["EventCall"]):
    def due(self, now_ns: int) -> "EventCallQuerySet":
        """Return the calls to make now, the longest waiting first."""
        is_due = Q(due_ns__lte=now_ns) | Q(due_ns__gt=now_ns + MAX_AHEAD_NS)
        return self.filter(is_due).order_by("due_ns", "pk")

    def of(self, slug: str, processor: str) -> "EventCallQuerySet":
        return self.filter(slug=slug, processor=processor)

    def request(self, event_id: int, slug: str, processors: Iterable[str], due_ns: int) -> None:
        """Have processors called for an event, again if they were called before. Call it in a transaction."""
        rows = [EventCall(event_id=event_id, slug=slug, processor=name, due_ns=due_ns) for name in processors]
        self.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["event_id", "processor"],
            update_fields=["state", "due_ns", "attempts", "error", "ended_ns"],
        )

    def result_names(self, event_id: int) -> set[str]:
        """Return the names below which results of processors are stored in the event's data."""
        done = self.filter(event_id=event_id, has_result=True)
        return set(done.values_list("processor", flat=True))

    def sweep(self) -> None:
        """Delete the calls for events that no longer exist."""
        events = Event.objects.filter(pk=OuterRef("event_id"))
        while gone := list(self.filter(~Exists(events)).values_list("pk", flat=True)[:BATCH]):
            self.filter(pk__in=gone).delete()

    def forget(self, event_ids: Collection[int]) -> None:
        self.filter(event_id__in=event_ids).delete()


class EventCall(models.Model):
    """`due_ns`: when it is made; while it is being made, when it is repeated if that process dies; None: not any more.
    `attempts`: that have begun for the present snapshot. `error`: of the last attempt, as `NinjacamError.as_dict`
    returns it. `ended_ns`: when the last attempt ended. `has_result`: the event's data has a result of the processor.
    """

    event_id = models.BigIntegerField(_("event"))
    slug = models.CharField(_("camera"), max_length=50)
    processor = models.CharField(_("processor"), max_length=50)
    state = models.CharField(_("state"), max_length=7, choices=CallState.choices, default=CallState.WAITING)
    due_ns = models.BigIntegerField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.JSONField(_("error"), null=True)
    ended_ns = models.BigIntegerField(null=True)
    has_result = models.BooleanField(default=False)

    objects = EventCallQuerySet.as_manager()

    class Meta:
        verbose_name = _("call of a processor for an event")
        verbose_name_plural = _("calls of processors for events")
        constraints = [
            models.UniqueConstraint(fields=["event_id", "processor"], name="ninjacam_event_call"),
        ]
        indexes = [
            models.Index(fields=["due_ns"], condition=~Q(due_ns=None), name="ninjacam_event_call_due"),
            models.Index(fields=["slug", "processor", "state", "ended_ns"], name="ninjacam_event_call_state"),
        ]

    def __str__(self) -> str:
        return f"{self.slug}: {self.event_id}, {self.processor}"
