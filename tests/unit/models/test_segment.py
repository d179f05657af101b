from collections.abc import Iterable
from dataclasses import replace

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ninjacam.models import Segment
from ninjacam.models.segment import timeline
from ninjacam.recordings import segments

pytestmark = pytest.mark.django_db
S = 10**9
START = 1_790_000_000 * S


def segment(slug: str, start_s: float, end_s: float, **values: object) -> segments.SegmentInfo:
    start_ns = START + int(start_s * S)
    made = segments.SegmentInfo(
        slug, f"{slug}/2026-09-21/08/{start_ns}.mp4", start_ns, START + int(end_s * S), 1000, "h264", 640, 360
    )
    return replace(made, **values)  # type: ignore[arg-type] # the fields of a segment


def put(*made: segments.SegmentInfo) -> None:
    Segment.objects.put(made)


def spans(slugs: Iterable[str], start_s: float, end_s: float) -> dict[str, list[tuple[float, float]]]:
    found = timeline(list(slugs), START + int(start_s * S), START + int(end_s * S))
    return {slug: [((a - START) / S, (b - START) / S) for a, b in each] for slug, each in found.spans.items()}


def test_consecutive_files_are_one_span() -> None:
    put(segment("door", 0, 60), segment("door", 60.04, 120), segment("door", 121.9, 180))
    assert spans(["door"], -10, 200) == {"door": [(0, 180)]}


def test_gaps_of_more_than_two_seconds_separate_spans() -> None:
    put(segment("door", 0, 60), segment("door", 62.1, 120))
    assert spans(["door"], 0, 200) == {"door": [(0, 60), (62.1, 120)]}


def test_spans_are_clipped_to_the_requested_range() -> None:
    put(segment("door", 0, 60), segment("door", 60, 120), segment("door", 200, 260))
    assert spans(["door"], 30, 220) == {"door": [(30, 120), (200, 220)]}


def test_a_file_that_only_touches_the_range_is_not_included() -> None:
    put(segment("door", 0, 60), segment("door", 100, 160))
    assert spans(["door"], 60, 100) == {}


def test_a_clock_that_was_set_back_overlaps_and_merges() -> None:
    put(segment("door", 0, 60), segment("door", 30, 50), segment("door", 61, 90))
    assert spans(["door"], 0, 100) == {"door": [(0, 90)]}


def test_many_cameras_take_one_query() -> None:
    for slug in ("a", "b", "c"):
        put(segment(slug, 0, 60))
    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert spans(["a", "b", "x"], 0, 60) == {"a": [(0, 60)], "b": [(0, 60)]}
    assert len(queries) == 1


def test_the_timeline_reads_only_the_index() -> None:
    rows = Segment.objects.overlapping(["a", "b"], START, START + S).as_lists(START)
    assert "COVERING INDEX ninjacam_segment_time" in rows.explain()


def test_a_file_that_extends_beyond_the_range_is_assigned_to_its_camera() -> None:
    put(*(segment(slug, -599, 1) for slug in "abc"), *(segment(slug, 99, 699) for slug in "abc"))
    assert spans("abc", 0, 100) == {slug: [(0, 1), (99, 100)] for slug in "abc"}
    found = timeline("abc", START, START + 100 * S, buckets=4)
    assert found.bitrates_bps == {slug: [13, 0, 0, 13] for slug in "abc"}


def test_activity_is_the_mean_bit_rate_of_the_files_that_overlap_a_bucket() -> None:
    put(
        segment("door", 0, 10, size_bytes=10_000),  # 8 kbit/s
        segment("door", 10, 20, size_bytes=30_000),
        segment("door", 25, 35, size_bytes=50_000),
    )
    found = timeline(["door", "yard"], START, START + 40 * S, buckets=8)
    assert found.bitrates_bps == {
        "door": [8000, 8000, 24000, 24000, 0, 40000, 40000, 0],
        "yard": [0] * 8,
    }
    put(segment("yard", 5, 5, size_bytes=10_000))
    assert timeline(["yard"], START, START + 40 * S, buckets=4).bitrates_bps == {"yard": [0] * 4}
    coarse = timeline(["door"], START - 15 * S, START + 45 * S, buckets=2)
    assert coarse.bitrates_bps["door"] == [16000, 32000]
    assert timeline(["door"], START, START + 40 * S).bitrates_bps == {"door": []}


def test_a_growing_file_stays_one_row_and_stays_protected() -> None:
    put(segment("door", 0, 1, open=True))
    Segment.objects.update(protected=True)
    key = Segment.objects.get().pk
    put(segment("door", 0, 60, size_bytes=5000))
    row = Segment.objects.get()
    assert (row.pk, row.size_bytes, row.open, row.protected) == (key, 5000, False, True)


def test_cameras_are_found_by_their_recordings() -> None:
    put(*(segment(slug, number * 60, number * 60 + 60) for slug in ("yard", "door") for number in range(3)))
    assert Segment.objects.recorded_slugs() == ["door", "yard"]
    assert Segment.objects.size_bytes_by_slug() == {"door": 3000, "yard": 3000}
