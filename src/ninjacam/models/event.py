"""Events, created by people, programs and the engine. Some make a camera record, some are protected."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.apps import apps
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _

from ninjacam.core.colors import Color, to_color_bits, to_colors
from ninjacam.core.times import to_datetime

MAX_LENGTH_NS = 24 * 3600 * 10**9
"""Maximum length of events that people and programs create, and of the recording caused by an ongoing event."""
REPORTED_FOR_NS = 60 * 10**9
"""A window is reported this long after its end, because frames captured in it may still arrive."""
MERGE_NS = 10**9
"""Windows with a smaller gap are merged: the gap is recorded too, and the list stays short."""
MAX_TRIGGERS = 500
"""Maximum number of events of one camera that are considered for windows."""
MAX_UNRANKED = 5000
"""Maximum number of events of a timeline that are ranked in Python, which is slower than in the database."""
FAR_NS = 1 << 62
ENGINE = "engine"
"""Source of events that only the engine creates and ends."""
PROCESSOR = "processor"
"""Source of events that processors create."""
Windows = tuple[tuple[int, int], ...]


class TimelineEvent(NamedTuple):
    """An event as shown on a timeline."""

    slug: str
    pk: int
    kind: str
    label: str
    start_ns: int
    end_ns: int | None
    protected: bool


_FIELDS = TimelineEvent._fields
_to_timeline_event: Callable[[tuple[Any, ...]], TimelineEvent] = partial(tuple.__new__, TimelineEvent)
"""Like TimelineEvent._make, but in a fifth of its time."""


def _first(events: list[TimelineEvent], max_per_camera: int) -> list[TimelineEvent]:
    if len(events) > max_per_camera:
        events.sort(
            key=lambda event: (event.protected, (event.end_ns or FAR_NS) - event.start_ns, event.pk),
            reverse=True,
        )
    return events[:max_per_camera]


class EventQuerySet(models.QuerySet["Event"]):
    def overlapping(self, slugs: Collection[str] | None, start_ns: int, end_ns: int) -> "EventQuerySet":
        """Filter events that overlap [start, end), of these cameras; None: of all cameras and the host."""
        lasts = Q(end_ns__gt=start_ns) | Q(end_ns=None) | Q(start_ns__gte=start_ns)  # The latter are moments.
        found = self.filter(lasts, start_ns__lt=end_ns)
        return found if slugs is None else found.filter(slug__in=slugs)

    def of_colors(self, colors: Collection[str]) -> "EventQuerySet":
        """Filter events whose object has at least one of these colors."""
        shared = F("color_bits").bitand(to_color_bits(colors))
        return self.alias(shared_color_bits=shared).filter(shared_color_bits__gt=0)

    def timeline_events(
        self, slugs: Collection[str], start_ns: int, end_ns: int, max_per_camera: int
    ) -> dict[str, list[TimelineEvent]]:
        """Return up to this many overlapping events per camera that has any: protected events first, then the
        longest.

        One query, or three if there are many: events since the day before, by their start, because none lasts longer
        than a day; and older events of the engine.
        """
        oldest_ns = start_ns - MAX_LENGTH_NS
        recent = self.overlapping(slugs, start_ns, end_ns).filter(start_ns__gt=oldest_ns).order_by()
        older = self.filter(source=ENGINE, triggers_recording=False, start_ns__lte=oldest_ns)
        rows = list(older.ending_after(start_ns, recent).values_list(*_FIELDS)[: MAX_UNRANKED + 1])
        if len(rows) > MAX_UNRANKED:
            lasted = Coalesce(F("end_ns"), Value(FAR_NS)) - F("start_ns")
            order = [F("protected").desc(), lasted.desc(), F("pk").desc()]
            rank = Window(RowNumber(), partition_by=[F("slug")], order_by=order)
            rows = list(recent.annotate(rank=rank).filter(rank__lte=max_per_camera).values_list(*_FIELDS))
            rows += older.ending_after(start_ns).values_list(*_FIELDS)[:MAX_UNRANKED]
        found: dict[str, list[TimelineEvent]] = {slug: [] for slug in slugs}
        for event in map(_to_timeline_event, rows):
            if event.slug in found:
                found[event.slug].append(event)
        return {slug: _first(events, max_per_camera) for slug, events in found.items() if events}

    def ending_after(self, time_ns: int, *others: "EventQuerySet") -> "EventQuerySet":
        """Return events that trigger recording, or those that do not, in a form for which SQLite uses their index:
        in two halves, and without naming cameras, because it would search the events of each camera one by one.
        `others` are included.
        """
        some = self.order_by()
        # Since Django 6.1, a union applies the model's ordering again, and selects a column for it.
        return some.filter(end_ns__gt=time_ns).union(some.filter(end_ns=None), *others, all=True).order_by()

    def windows(self, pre_post_roll_ns: Mapping[str, tuple[int, int]], now_ns: int) -> dict[str, Windows]:
        """Return the windows in which events make these cameras record, as (from, until), merged and in order.

        `pre_post_roll_ns`: for each camera, the time before an event's start and after its end. Windows further in
        the past are omitted. For a camera with very many events, those that end last count, so that no camera
        affects another.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for slug, start_ns, end_ns in self._triggers(pre_post_roll_ns, now_ns):
            before_ns, after_ns = pre_post_roll_ns[slug]
            longest_ns = start_ns + MAX_LENGTH_NS
            from_ns = start_ns - before_ns
            until_ns = (longest_ns if end_ns is None else min(end_ns, longest_ns)) + after_ns
            held = found.setdefault(slug, [])
            if held and from_ns < held[-1][1] + MERGE_NS:
                held[-1] = (held[-1][0], max(held[-1][1], until_ns))
            elif until_ns > now_ns - REPORTED_FOR_NS:
                held.append((from_ns, until_ns))
        return {slug: tuple(held) for slug, held in found.items() if held}

    def _triggers(
        self, pre_post_roll_ns: Mapping[str, tuple[int, int]], now_ns: int
    ) -> list[tuple[str, int, int | None]]:
        """Return (slug, start, end) of the events that may make these cameras record now, ordered by camera and
        start.

        Called each second: one query, and two more for each camera with very many events.
        """
        if not pre_post_roll_ns:
            return []
        since_ns = now_ns - REPORTED_FOR_NS - max(after_ns for _, after_ns in pre_post_roll_ns.values())
        triggers = self.filter(triggers_recording=True)
        row = ("slug", "start_ns", "end_ns")
        some = triggers.filter(slug__in=pre_post_roll_ns).ending_after(since_ns)
        rows = list(some.values_list(*row)[: MAX_TRIGGERS + 1])
        if len(rows) > MAX_TRIGGERS:
            rows = []
            for slug in pre_post_roll_ns:
                of_camera = triggers.filter(slug=slug).values_list(*row)
                rows += of_camera.filter(end_ns__gt=since_ns).order_by("-end_ns")[:MAX_TRIGGERS]
                rows += of_camera.filter(end_ns=None).order_by("-start_ns")[:MAX_TRIGGERS]
        return sorted(
            (each for each in rows if each[1] > since_ns - MAX_LENGTH_NS), key=lambda each: each[:2]
        )

    def protecting(self, slug: str, before_ns: int, after_ns: int) -> Exists:
        """Return a filter for segments of this camera that a protected event, with its margins, needs."""
        begun_ns = OuterRef("start_ns") - MAX_LENGTH_NS - after_ns
        return Exists(
            self.filter(
                Q(end_ns=None, start_ns__gt=begun_ns) | Q(end_ns__gt=OuterRef("start_ns") - after_ns),
                slug=slug,
                protected=True,
                start_ns__lt=OuterRef("end_ns") + before_ns,
            )
        )


class Event(models.Model):
    """An event. `slug`: of the camera, which the event outlives; empty for the host. `end_ns`: None while it is
    ongoing; equal to the start for a moment. `source`: "engine", "user:<name>", "token:<name>".
    `triggers_recording`: makes its camera record, if the camera records events. `protected`: retention keeps it and
    its recordings. `key`: of an event that its creator changes later. `score`: 0 to 1. `track`: of the object. `box`:
    [left, top, right, bottom] in fractions of the image at `best_ns`, when the object is seen best. `zones`: names,
    each with a space before and after it. `snapshot_ns`: capture time of the stored snapshot (`models.snapshot`).
    `color_bits`: colors of the object in the last snapshot (`core.colors`), also after that was deleted.
    """

    slug = models.CharField(_("camera"), max_length=50, blank=True)
    kind = models.CharField(_("kind"), max_length=32, validators=[RegexValidator(r"^[a-z0-9_]+\Z")])
    label = models.CharField(_("label"), max_length=200, blank=True)
    start_ns = models.BigIntegerField(_("start"))
    end_ns = models.BigIntegerField(_("end"), null=True, blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True)
    source = models.CharField(_("source"), max_length=200)
    triggers_recording = models.BooleanField(_("makes the camera record"), default=False)
    protected = models.BooleanField(
        _("protected"), default=False, help_text=_("Retention keeps it and its recordings.")
    )

    key = models.CharField(_("key"), max_length=100, default="", db_default="", blank=True, editable=False)
    score = models.FloatField(_("score"), null=True, blank=True)
    track = models.BigIntegerField(_("track"), null=True, blank=True)
    box = models.JSONField(_("box"), null=True, blank=True)
    best_ns = models.BigIntegerField(_("best moment"), null=True, blank=True)
    zones = models.CharField(_("zones"), max_length=500, default="", db_default="", blank=True)
    snapshot_ns = models.BigIntegerField(_("snapshot"), null=True, blank=True, editable=False)
    color_bits = models.SmallIntegerField(_("colors"), null=True, blank=True, editable=False)

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-start_ns", "-pk"]
        indexes = [
            models.Index(fields=["slug", "start_ns", "end_ns"], name="ninjacam_event_time"),
            # Covers all fields that `windows` reads.
            models.Index(
                fields=["slug", "end_ns", "start_ns"],
                condition=Q(triggers_recording=True),
                name="ninjacam_event_windows",
            ),
            models.Index(
                fields=["end_ns"], condition=Q(triggers_recording=False), name="ninjacam_event_others"
            ),
            models.Index(
                fields=["slug", "start_ns"], condition=Q(protected=True), name="ninjacam_event_protected"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["key"], condition=~Q(key=""), name="ninjacam_event_key"),
        ]

    def __str__(self) -> str:
        return f"{self.slug}: {self.label or self.kind}"

    @property
    def start(self) -> datetime:
        """The start, aware, in UTC."""
        return to_datetime(self.start_ns)

    @property
    def end(self) -> datetime | None:
        """The end, aware, in UTC; None: the event is ongoing."""
        return None if self.end_ns is None else to_datetime(self.end_ns)

    @cached_property
    def profile_at_start(self) -> str:
        """The name of the profile that was active when it began; "" for none. Takes at most two queries."""
        profiles: Any = apps.get_model("ninjacam", "Profile")  # It imports cameras, and these import events.
        return str(profiles.name_at(to_datetime(self.start_ns)))

    @property
    def zone_names(self) -> list[str]:
        return self.zones.split()

    @property
    def colors(self) -> list[Color]:
        return to_colors(self.color_bits)
