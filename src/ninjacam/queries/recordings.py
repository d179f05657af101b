"""Recorded files, and the timeline and annotations of recordings. Not here: their content (`ninjacam.live`)."""

import time
from dataclasses import dataclass
from operator import attrgetter

from django.utils.translation import gettext as _

from ninjacam.auth import Actor, Principal
from ninjacam.conf import get_settings
from ninjacam.models import Event, Role, Segment
from ninjacam.models.event import TimelineEvent
from ninjacam.models.segment import SegmentQuerySet, timeline
from ninjacam.queries.cameras import list_recorded, require_recorded
from ninjacam.recordings.annotations import LATE_NS, read_annotations
from ninjacam.recordings.segments import INDEX_LATE_NS

MAX_EVENTS = 500
"""Maximum number of events of one camera on a timeline."""


def get_segment(actor: Actor, segment_id: int, role: str = Role.REPLAY) -> Segment:
    """Raises: NotFoundError, also if its camera is invisible to the actor; ForbiddenError."""
    segment = Segment.objects.filter(pk=segment_id).first()
    return require_recorded(actor, segment, role, _("No recording %(id)s.") % {"id": segment_id})


def list_segments(who: Principal, wanted: list[str], start_ns: int, end_ns: int) -> SegmentQuerySet:
    """Return the files that overlap [start, end), of the cameras in `wanted` or of all that `who` may replay.

    Raises: NotFoundError, ForbiddenError: for one of `wanted`.
    """
    return Segment.objects.overlapping(list_recorded(who, wanted), start_ns, end_ns)


@dataclass(frozen=True, slots=True)
class CameraTimeline:
    """The timeline of one camera. `spans`: (start, end) in ns. `events`: at most MAX_EVENTS by start; if there are
    more, the protected and longest.

    `bitrates_bps`: mean bit rate of each bucket, 0 without recordings.
    """

    slug: str
    spans: list[tuple[int, int]]
    events: list[TimelineEvent]
    has_more_events: bool
    bitrates_bps: list[int]


def read_timeline(slugs: list[str], start_ns: int, end_ns: int, buckets: int = 0) -> list[CameraTimeline]:
    """Return the timeline of each camera. `buckets`: number of equal parts of [start, end); 0: no bit rates.

    One query of segments, one to three of events.
    """
    recorded = timeline(slugs, start_ns, end_ns, buckets=buckets)
    events = Event.objects.timeline_events(slugs, start_ns, end_ns, MAX_EVENTS + 1)
    return [
        CameraTimeline(
            slug=slug,
            spans=recorded.spans.get(slug, []),
            events=sorted(events.get(slug, [])[:MAX_EVENTS], key=attrgetter("start_ns", "pk")),
            has_more_events=len(events.get(slug, ())) > MAX_EVENTS,
            bitrates_bps=recorded.bitrates_bps[slug],
        )
        for slug in slugs
    ]


def list_annotations(slug: str, start_ns: int, end_ns: int) -> tuple[list[bytes], int]:
    """Return the annotations of [start, end) as JSON objects by capture time, and the time up to which they are
    complete.

    Reads files.
    """
    written_ns = max(start_ns, time.time_ns() - LATE_NS)
    rows = Segment.objects.overlapping([slug], start_ns - INDEX_LATE_NS, end_ns + LATE_NS)
    root = get_settings().recordings_dir
    lines, until_ns = read_annotations([root / row.path for row in rows], start_ns, end_ns)
    return lines, min(until_ns, written_ns)
