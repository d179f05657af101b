"""The index of the recordings: a row for each file. Made anew from the files by `ninjacam index --rebuild`."""

from collections.abc import Collection, Iterable
from dataclasses import asdict

from django.db import models
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from ninjacam.recordings import segments

LONGEST_NS = 600 * 10**9
"""No file spans more (the writer ends them after 2 min), so that a span's files are found by their starts alone."""

GAP_NS = 2 * 10**9
"""What is missing between two files of one span, at most."""
Spans = dict[str, list[tuple[int, int]]]

_FROM_FILE = (
    "slug", "start_ns", "end_ns", "size_bytes", "codec", "width_px", "height_px",
    "audio_codec", "audio_source", "open",
)  # fmt: skip


class SegmentQuerySet(models.QuerySet["Segment"]):
    def overlapping(self, slugs: Collection[str], start_ns: int, end_ns: int) -> "SegmentQuerySet":
        """The files that hold something of [start, end), by camera and start."""
        return self.filter(
            slug__in=slugs,
            start_ns__gt=start_ns - LONGEST_NS,
            start_ns__lt=end_ns,
            end_ns__gt=start_ns,
        ).order_by("slug", "start_ns")

    def put(self, found: Iterable[segments.Segment]) -> None:
        """Make or change the rows of these files, by path, in one transaction. Never changes `protected`."""
        self.bulk_create(
            [Segment(**asdict(each)) for each in found],
            update_conflicts=True,
            unique_fields=["path"],
            update_fields=_FROM_FILE,
        )

    def recorded_slugs(self) -> list[str]:
        """Of which cameras there are recordings. One look into the index for each, however many rows it has."""
        slugs: list[str] = []
        while (
            found := self.filter(slug__gt=slugs[-1] if slugs else "")
            .order_by("slug", "start_ns")
            .values_list("slug", flat=True)[:1]
        ):
            slugs.append(found[0])
        return slugs

    def size_bytes_by_slug(self) -> dict[str, int]:
        """Reads the whole table: not each second."""
        sums = self.order_by().values("slug").annotate(total_bytes=Sum("size_bytes"))
        return {row["slug"]: row["total_bytes"] for row in sums}


class Segment(models.Model):
    """One file, with the fields of `recordings.segments.Segment`. `slug` stays when the camera is deleted, so there is
    no foreign key: who may see a recording whose camera is gone is said in `actions.recordings`.

    `protected`: retention passes it by.
    """

    slug = models.CharField(_("camera"), max_length=50)
    path = models.CharField(_("path"), max_length=120)
    start_ns = models.BigIntegerField(_("start"))
    end_ns = models.BigIntegerField(_("end"))
    size_bytes = models.BigIntegerField(_("size"))
    codec = models.CharField(_("codec"), max_length=16)
    width_px = models.IntegerField(_("width"))
    height_px = models.IntegerField(_("height"))
    audio_codec = models.CharField(_("audio codec"), max_length=16, blank=True)
    audio_source = models.CharField(_("audio as the camera sent it"), max_length=16, blank=True)
    open = models.BooleanField(_("being written"), default=False)
    protected = models.BooleanField(_("protected"), default=False, help_text=_("Kept by retention."))

    objects = SegmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")
        ordering = ["slug", "start_ns"]
        # Not unique=True, which on PostgreSQL makes a second index for LIKE.
        constraints = [models.UniqueConstraint(fields=["path"], name="ninjacam_segment_path")]
        indexes = [
            # Holds all that the timeline asks for: the table itself is not read.
            models.Index(fields=["slug", "start_ns", "end_ns"], name="ninjacam_segment_time"),
        ]

    def __str__(self) -> str:
        return self.path


def timeline(slugs: Collection[str], start_ns: int, end_ns: int) -> Spans:
    """Of each camera that has any: the spans within [start, end) of which there are files, in order. One query."""
    rows = Segment.objects.overlapping(slugs, start_ns, end_ns).values_list("slug", "start_ns", "end_ns")
    spans: Spans = {}
    current = ""
    last_start_ns = last_end_ns = 0
    for slug, first_ns, until_ns in rows:
        if slug != current:
            if current:
                spans[current].append((max(last_start_ns, start_ns), min(last_end_ns, end_ns)))
            current, last_start_ns, last_end_ns = slug, first_ns, until_ns
            spans[slug] = []
        elif first_ns - last_end_ns > GAP_NS:
            spans[slug].append((max(last_start_ns, start_ns), min(last_end_ns, end_ns)))
            last_start_ns, last_end_ns = first_ns, until_ns
        elif until_ns > last_end_ns:
            last_end_ns = until_ns
    if current:
        spans[current].append((max(last_start_ns, start_ns), min(last_end_ns, end_ns)))
    return spans
