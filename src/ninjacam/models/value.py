"""The values of processors over time: numbers by name, as minimum, maximum, sum and count of each slot."""

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from django.db import models
from django.db.models import F, Max, Min, Sum
from django.utils.translation import gettext_lazy as _

from ninjacam.core.processor_values import MAX_NAMES, Summary
from ninjacam.models.camera import Camera

K = TypeVar("K", bound=Hashable)
THIN_SLOT_S = 300
"""Seconds of a slot after thinning. A multiple of SLOT_S."""
THIN_AFTER_S = 2 * 86_400
"""Age at which slots are merged."""
THIN_BATCH = 4000
"""Maximum number of slots that are merged in one transaction."""
INSERT_BATCH = 100
"""Rows per statement. SQLite before 3.32 has at most 999 parameters."""


class ValueSeriesQuerySet(models.QuerySet["ValueSeries"]):
    def of_names(self, camera: Camera, processor: str, names: Iterable[str]) -> "dict[str, ValueSeries]":
        """Return the series with these names, which are created if they are missing.

        A processor has at most MAX_NAMES: the ones that were not written for longest are deleted.
        """
        wanted = sorted(names)[:MAX_NAMES]
        present = self.filter(camera=camera, processor=processor)
        found = {each.name: each for each in present.filter(name__in=wanted)}
        missing = [name for name in wanted if name not in found]
        if missing:
            old = present.exclude(name__in=wanted).annotate(last_s=Max("slots__start_s"))
            ordered = old.order_by(F("last_s").desc(nulls_last=True), "pk").values_list("pk", flat=True)
            self.filter(pk__in=list(ordered[MAX_NAMES - len(wanted) :])).delete()
            for name in missing:
                found[name] = self.get_or_create(camera=camera, processor=processor, name=name)[0]
        return found


class ValueSeries(models.Model):
    """One value of a processor for a camera. `thinned_s`: the slots before this time (seconds since 1970) are
    merged."""

    camera = models.ForeignKey(Camera, models.CASCADE, verbose_name=_("camera"))
    processor = models.CharField(_("processor"), max_length=50)
    name = models.CharField(_("name"), max_length=32)
    thinned_s = models.BigIntegerField(default=0, db_default=0, editable=False)

    objects = ValueSeriesQuerySet.as_manager()

    class Meta:
        verbose_name = _("value of a processor")
        verbose_name_plural = _("values of processors")
        constraints = [
            models.UniqueConstraint(fields=["camera", "processor", "name"], name="ninjacam_value_series"),
        ]

    def __str__(self) -> str:
        return f"{self.camera}: {self.processor}: {self.name}"

    def thin(self, before_s: int) -> bool:
        """Merge slots that start before this time. Return whether there may be more. Call it in a transaction."""
        until_s = before_s // THIN_SLOT_S * THIN_SLOT_S
        waiting = self.slots.filter(start_s__gte=self.thinned_s, start_s__lt=until_s).order_by("start_s")
        rows = list(waiting[:THIN_BATCH])
        if not rows:
            return False
        has_more = len(rows) == THIN_BATCH
        if has_more:  # The last slot may be incomplete.
            until_s = rows[-1].start_s // THIN_SLOT_S * THIN_SLOT_S
        merged: dict[int, Summary] = {}
        for row in rows:
            if row.start_s < until_s:
                _merge(merged, row.start_s // THIN_SLOT_S * THIN_SLOT_S, row.summary)
        self.slots.filter(start_s__gte=self.thinned_s, start_s__lt=until_s).delete()
        ValueSlot.objects.bulk_create(
            (ValueSlot.of(self.pk, start_s, each) for start_s, each in merged.items()),
            batch_size=INSERT_BATCH,
        )
        ValueSeries.objects.filter(pk=self.pk).update(thinned_s=until_s)
        self.thinned_s = until_s
        return has_more


class ValueSlotQuerySet(models.QuerySet["ValueSlot"]):
    def put(self, series: Mapping[str, ValueSeries], slots: Mapping[int, Mapping[str, Summary]]) -> None:
        """Write slots, by start and name; those that exist are merged with them. Call it in a transaction."""
        rows = self.filter(series__in=series.values(), start_s__in=slots)
        present = {(row.series_id, row.start_s): row.summary for row in rows}
        made = []
        for start_s, summaries in slots.items():
            for name, summary in summaries.items():
                if name in series:
                    key = (series[name].pk, start_s)
                    _merge(present, key, summary)
                    made.append(ValueSlot.of(*key, present[key]))
        self.bulk_create(
            made,
            batch_size=INSERT_BATCH,
            update_conflicts=True,
            unique_fields=["series", "start_s"],
            update_fields=["minimum", "maximum", "total", "count"],
        )

    def summarize(self, start_s: int, end_s: int, step_s: int) -> list[tuple[int, Summary]]:
        """Return the start and the summary of each step of [start, end) that has values, in order. Steps start at
        multiples of `step_s`."""
        found = (
            self.filter(start_s__gte=start_s, start_s__lt=end_s)
            .values(at_s=F("start_s") - F("start_s") % step_s)
            .annotate(low=Min("minimum"), high=Max("maximum"), sum=Sum("total"), number=Sum("count"))
            .order_by("at_s")
        )
        return [(row["at_s"], Summary(row["low"], row["high"], row["sum"], row["number"])) for row in found]


def _merge(merged: dict[K, Summary], key: K, summary: Summary) -> None:
    if key in merged:
        merged[key].merge(summary)
    else:
        merged[key] = summary


class ValueSlot(models.Model):
    """The numbers of one series in [`start_s`, + SLOT_S), or THIN_SLOT_S for old ones. Seconds since 1970."""

    series = models.ForeignKey(
        ValueSeries, models.CASCADE, related_name="slots", verbose_name=_("value"), db_index=False
    )
    start_s = models.BigIntegerField(_("start"))
    minimum = models.FloatField(_("minimum"))
    maximum = models.FloatField(_("maximum"))
    total = models.FloatField(_("sum"))
    count = models.PositiveIntegerField(_("count"))

    objects = ValueSlotQuerySet.as_manager()

    class Meta:
        verbose_name = _("slot of a value")
        verbose_name_plural = _("slots of values")
        constraints = [
            models.UniqueConstraint(fields=["series", "start_s"], name="ninjacam_value_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.series_id}: {self.start_s}"

    @property
    def summary(self) -> Summary:
        return Summary(self.minimum, self.maximum, self.total, self.count)

    @classmethod
    def of(cls, series_id: int, start_s: int, summary: Summary) -> "ValueSlot":
        return cls(
            series_id=series_id,
            start_s=start_s,
            minimum=summary.minimum,
            maximum=summary.maximum,
            total=summary.total,
            count=summary.count,
        )
