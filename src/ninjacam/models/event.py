"""What has happened, told by people, programs and the engine. Some of it makes a camera record, some is kept."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Exists, F, OuterRef, Q, Value, Window
from django.db.models.functions import Coalesce, RowNumber
from django.utils.translation import gettext_lazy as _

LONGEST_NS = 24 * 3600 * 10**9
"""Of what people and programs tell; and of what one event makes a camera record, should nobody end it."""
STILL_TOLD_NS = 60 * 10**9
"""A window is told for so long after its end: what was captured in it may still be on its way."""
MERGE_NS = 10**9
"""Windows with a smaller gap are one: what lies between is recorded, too, and the list stays short."""
MAX_TRIGGERS = 500
"""Events that are looked at for the windows, of one camera at most."""
MAX_UNRANKED = 5000
"""Events of a timeline that are looked at one by one here, rather than in the database: it takes longer."""
FAR_NS = 1 << 62
ENGINE = "engine"
"""The source of what nobody but the engine begins and ends."""
Windows = tuple[tuple[int, int], ...]


class Mark(NamedTuple):
    """An event as a timeline shows it."""

    slug: str
    pk: int
    kind: str
    label: str
    start_ns: int
    end_ns: int | None
    protected: bool


_MARK = Mark._fields
_to_mark: Callable[[tuple[Any, ...]], Mark] = partial(tuple.__new__, Mark)
"""Mark._make, in a fifth of its time."""


def _first(marks: list[Mark], most: int) -> list[Mark]:
    if len(marks) > most:
        marks.sort(
            key=lambda mark: (mark.protected, (mark.end_ns or FAR_NS) - mark.start_ns, mark.pk), reverse=True
        )
    return marks[:most]


class EventQuerySet(models.QuerySet["Event"]):
    def overlapping(self, slugs: Collection[str] | None, start_ns: int, end_ns: int) -> "EventQuerySet":
        """Those that have something of [start, end), of these cameras; None: of all, and of the host."""
        lasts = Q(end_ns__gt=start_ns) | Q(end_ns=None) | Q(start_ns__gte=start_ns)  # the last: moments
        found = self.filter(lasts, start_ns__lt=end_ns)
        return found if slugs is None else found.filter(slug__in=slugs)

    def marks(self, slugs: Collection[str], start_ns: int, end_ns: int, most: int) -> dict[str, list[Mark]]:
        """Of each camera that has any, at most so many that overlap: the protected first, then the longest.

        One query, or three where there are many: those of a day before and later by their start, which is as long as
        any lasts; and the engine's own that are older.
        """
        oldest_ns = start_ns - LONGEST_NS
        recent = self.overlapping(slugs, start_ns, end_ns).filter(start_ns__gt=oldest_ns).order_by()
        older = self.filter(source=ENGINE, triggers_recording=False, start_ns__lte=oldest_ns)
        rows = list(older.ending_after(start_ns, recent).values_list(*_MARK)[: MAX_UNRANKED + 1])
        if len(rows) > MAX_UNRANKED:
            lasted = Coalesce(F("end_ns"), Value(FAR_NS)) - F("start_ns")
            order = [F("protected").desc(), lasted.desc(), F("pk").desc()]
            rank = Window(RowNumber(), partition_by=[F("slug")], order_by=order)
            rows = list(recent.annotate(rank=rank).filter(rank__lte=most).values_list(*_MARK))
            rows += older.ending_after(start_ns).values_list(*_MARK)[:MAX_UNRANKED]
        found: dict[str, list[Mark]] = {slug: [] for slug in slugs}
        for mark in map(_to_mark, rows):
            if mark.slug in found:
                found[mark.slug].append(mark)
        return {slug: _first(marks, most) for slug, marks in found.items() if marks}

    def ending_after(self, time_ns: int, *others: "EventQuerySet") -> "EventQuerySet":
        """For all that trigger recording, or all that do not: put such that SQLite finds them by their index. In two
        halves; and no camera is named, whose events it would rather look through one by one. `others` come with
        them."""
        some = self.order_by()
        # Since Django 6.1, a union has the model's ordering again, and a column for it.
        return some.filter(end_ns__gt=time_ns).union(some.filter(end_ns=None), *others, all=True).order_by()

    def windows(self, rolls_ns: Mapping[str, tuple[int, int]], now_ns: int) -> dict[str, Windows]:
        """What events make these cameras record, as (from, until), merged and in order.

        `rolls_ns`: of each camera what belongs to an event before its start and after its end. Windows that lie further
        back are left out. Of a camera with very many events, those that end last count, so no camera affects another.
        """
        found: dict[str, list[tuple[int, int]]] = {}
        for slug, start_ns, end_ns in self._triggers(rolls_ns, now_ns):
            before_ns, after_ns = rolls_ns[slug]
            longest_ns = start_ns + LONGEST_NS
            from_ns = start_ns - before_ns
            until_ns = (longest_ns if end_ns is None else min(end_ns, longest_ns)) + after_ns
            held = found.setdefault(slug, [])
            if held and from_ns < held[-1][1] + MERGE_NS:
                held[-1] = (held[-1][0], max(held[-1][1], until_ns))
            elif until_ns > now_ns - STILL_TOLD_NS:
                held.append((from_ns, until_ns))
        return {slug: tuple(held) for slug, held in found.items() if held}

    def _triggers(
        self, rolls_ns: Mapping[str, tuple[int, int]], now_ns: int
    ) -> list[tuple[str, int, int | None]]:
        """(slug, start, end) of the events that may make these cameras record now, by camera and start.

        Asked each second: one query, and two for each camera only where there are very many events.
        """
        if not rolls_ns:
            return []
        since_ns = now_ns - STILL_TOLD_NS - max(after_ns for _, after_ns in rolls_ns.values())
        triggers = self.filter(triggers_recording=True)
        row = ("slug", "start_ns", "end_ns")
        some = triggers.filter(slug__in=rolls_ns).ending_after(since_ns)
        rows = list(some.values_list(*row)[: MAX_TRIGGERS + 1])
        if len(rows) > MAX_TRIGGERS:
            rows = []
            for slug in rolls_ns:
                of_camera = triggers.filter(slug=slug).values_list(*row)
                rows += of_camera.filter(end_ns__gt=since_ns).order_by("-end_ns")[:MAX_TRIGGERS]
                rows += of_camera.filter(end_ns=None).order_by("-start_ns")[:MAX_TRIGGERS]
        return sorted((each for each in rows if each[1] > since_ns - LONGEST_NS), key=lambda each: each[:2])

    def protecting(self, slug: str, before_ns: int, after_ns: int) -> Exists:
        """For a query of segments of that camera: whether a protected event with what belongs to it needs the file."""
        begun_ns = OuterRef("start_ns") - LONGEST_NS - after_ns
        return Exists(
            self.filter(
                Q(end_ns=None, start_ns__gt=begun_ns) | Q(end_ns__gt=OuterRef("start_ns") - after_ns),
                slug=slug,
                protected=True,
                start_ns__lt=OuterRef("end_ns") + before_ns,
            )
        )


class Event(models.Model):
    """`slug`: of the camera, which it outlives as recordings do; empty: of the host. `end_ns`: None while it goes on;
    the start's for a moment. `source`: "engine", "user:<name>", "token:<name>". `triggers_recording`: its camera
    records it, where it records events. `protected`: retention passes by it and its recordings.
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
        _("protected"), default=False, help_text=_("It and its recordings are kept by retention.")
    )

    objects = EventQuerySet.as_manager()

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        ordering = ["-start_ns", "-pk"]
        indexes = [
            models.Index(fields=["slug", "start_ns", "end_ns"], name="ninjacam_event_time"),
            # Holds all that `windows` asks for.
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

    def __str__(self) -> str:
        return f"{self.slug}: {self.label or self.kind}"
