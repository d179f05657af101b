"""The index of the recordings: a row per file. `ninjacam index --rebuild` rebuilds it from the files."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from django.db import models
from django.db.models import Aggregate, F, Sum, TextField
from django.utils.translation import gettext_lazy as _

from ninjacam.recordings import segments

MAX_LENGTH_NS = 600 * 10**9
"""Maximum length of a file (the writer ends files after 2 min), so the files of a span are found by their start
alone.
"""

GAP_NS = 2 * 10**9
"""Maximum gap between two files of one span."""
Spans = dict[str, list[tuple[int, int]]]

_FROM_FILE = (
    "slug", "start_ns", "end_ns", "size_bytes", "codec", "width_px", "height_px",
    "audio_codec", "audio_source", "open",
)  # fmt: skip


class NumberList(Aggregate):
    """Aggregates the numbers of a group, in any order that is the same for all of a query, in a third of the time
    that fetching the rows takes. As JSON text, "[1, 2]"; from PostgreSQL, where that is slow, as bytes: big-endian
    int64.
    """

    function = "JSON_ARRAYAGG"
    output_field = TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return self.as_sql(compiler, connection, function="JSON_GROUP_ARRAY", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "STRING_AGG(INT8SEND(%(expressions)s), ''::bytea)"
        return self.as_sql(compiler, connection, template=template, **context)


class SegmentQuerySet(models.QuerySet["Segment"]):
    def overlapping(self, slugs: Collection[str], start_ns: int, end_ns: int) -> "SegmentQuerySet":
        """Filter files that overlap [start, end), ordered by camera and start."""
        return self.filter(
            slug__in=slugs,
            start_ns__gt=start_ns - MAX_LENGTH_NS,
            start_ns__lt=end_ns,
            end_ns__gt=start_ns,
        ).order_by("slug", "start_ns")

    def as_lists(self, start_ns: int) -> "models.QuerySet[Segment, tuple[str, Any, Any, Any]]":
        """Return a row per camera: its slug and, of its files, the starts (ns after `start_ns`, because short
        numbers are faster to read), lengths (ns) and sizes (bytes), each a `NumberList`.
        """
        columns = {
            "offsets": NumberList(F("start_ns") - start_ns),
            "lengths": NumberList(F("end_ns") - F("start_ns")),
            "sizes": NumberList("size_bytes"),
        }
        return self.order_by().values("slug").annotate(**columns).values_list("slug", *columns)

    def format_sums(
        self, slugs: Collection[str], start_ns: int, end_ns: int
    ) -> Iterator[tuple[str, tuple[str, int, int], int, int]]:
        """Yield (slug, (codec, width, height), size in bytes, length in ns) of the files that start in [start, end)."""
        found = self.filter(slug__in=slugs, start_ns__gte=start_ns, start_ns__lt=end_ns)
        sums = (Sum("size_bytes"), Sum(F("end_ns") - F("start_ns")))
        groups = (
            found.order_by()
            .values("slug", "codec", "width_px", "height_px")
            .annotate(sizes=sums[0], lengths=sums[1])
        )
        rows = groups.values_list("slug", "codec", "width_px", "height_px", "sizes", "lengths")
        for slug, codec, width_px, height_px, size_bytes, length_ns in rows:
            yield slug, (codec, width_px, height_px), size_bytes, length_ns

    def put(self, found: Iterable[segments.SegmentInfo]) -> None:
        """Create or update the rows of these files, by path, in one transaction. Never changes `protected`."""
        self.bulk_create(
            [Segment(**asdict(each)) for each in found],
            update_conflicts=True,
            unique_fields=["path"],
            update_fields=_FROM_FILE,
        )

    def oldest_ns_by_slug(self) -> dict[str, int]:
        """Return the first start of each camera that has recordings. One index lookup per camera."""
        oldest: dict[str, int] = {}
        rows = self.order_by("slug", "start_ns").values_list("slug", "start_ns")
        while found := rows.filter(slug__gt=next(reversed(oldest), "")).first():
            oldest[found[0]] = found[1]
        return oldest

    def recorded_slugs(self) -> list[str]:
        return list(self.oldest_ns_by_slug())

    def size_bytes_by_slug(self) -> dict[str, int]:
        """Reads the whole table, so do not call it every second."""
        sums = self.order_by().values("slug").annotate(total_bytes=Sum("size_bytes"))
        return {row["slug"]: row["total_bytes"] for row in sums}


class Segment(models.Model):
    """One file, with the fields of `recordings.segments.SegmentInfo`. `slug` stays when the camera is deleted, so there
    is no foreign key: who may see a recording whose camera is deleted is decided in `queries.cameras`.

    `protected`: retention keeps it.
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
    audio_source = models.CharField(_("audio codec of the camera"), max_length=16, blank=True)
    open = models.BooleanField(_("being written"), default=False)
    protected = models.BooleanField(_("protected"), default=False, help_text=_("Retention keeps it."))

    objects = SegmentQuerySet.as_manager()

    class Meta:
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")
        ordering = ["slug", "start_ns"]
        # Not unique=True, which would create a second index for LIKE on PostgreSQL.
        constraints = [models.UniqueConstraint(fields=["path"], name="ninjacam_segment_path")]
        indexes = [
            # Covers the timeline query: the table itself is not read.
            models.Index(fields=["slug", "start_ns", "end_ns", "size_bytes"], name="ninjacam_segment_time"),
        ]

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Timeline:
    """For each camera with recordings, the recorded spans in order; and for each requested camera, the mean bit rate
    per bucket of the files that overlap it, 0 without files.
    """

    spans: Spans
    bitrates_bps: dict[str, list[int]]


def timeline(slugs: Collection[str], start_ns: int, end_ns: int, *, buckets: int = 0) -> Timeline:
    """Return the timeline of [start, end), which `buckets` must divide evenly. One query."""
    from ninjacam.recordings import coverage  # Imports NumPy at the first call.

    rows = list(Segment.objects.overlapping(slugs, start_ns, end_ns).as_lists(start_ns))
    recorded = [slug for slug, *_ in rows]
    lanes = coverage.Lanes(len(rows), start_ns, end_ns - start_ns, MAX_LENGTH_NS)
    files = coverage.read_files(lanes, (row[1:] for row in rows))
    spans = dict(zip(recorded, coverage.spans(lanes, files, max_gap_ns=GAP_NS), strict=True))
    bitrates_bps = {slug: [0] * buckets for slug in slugs}
    if buckets:
        bitrates_bps |= zip(recorded, coverage.bitrates_bps(lanes, files, buckets), strict=True)
    return Timeline(spans, bitrates_bps)
