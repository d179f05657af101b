import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from ninjacam.models import Event, event
from ninjacam.models.event import MAX_LENGTH_NS

pytestmark = pytest.mark.django_db
S = 10**9
NOW = 1_790_000_000 * S
ROLLS = {"door": (5 * S, 10 * S), "yard": (0, 0)}


def happened(start_s: float, end_s: float | None, slug: str = "door", *, triggers: bool = True) -> Event:
    end_ns = None if end_s is None else NOW + int(end_s * S)
    return Event.objects.create(
        slug=slug, kind="motion", start_ns=NOW + int(start_s * S), end_ns=end_ns, source="x",
        triggers_recording=triggers,
    )  # fmt: skip


def windows(now_s: float = 0) -> dict[str, list[tuple[float, float]]]:
    found = Event.objects.windows(ROLLS, NOW + int(now_s * S))
    return {slug: [((a - NOW) / S, (b - NOW) / S) for a, b in each] for slug, each in found.items()}


def test_a_window_reaches_from_the_pre_roll_to_the_post_roll() -> None:
    happened(-3, 4)
    happened(-1, -1, "yard")
    happened(-1, 3, "elsewhere")
    happened(0, 5, triggers=False)
    assert windows() == {"door": [(-8, 14)], "yard": [(-1, -1)]}


def test_adjacent_windows_are_merged() -> None:
    for start_s, end_s in ((-30, -20), (-5, 0), (-4, -3), (15, 20), (36, 40)):
        happened(start_s, end_s)
    assert windows() == {"door": [(-35, 30), (31, 50)]}
    happened(5.5, 5.5)
    happened(-10.2, 0, "yard")
    happened(0.9, 2, "yard")
    assert windows()["yard"] == [(-10.2, 2)]


def test_windows_long_past_are_not_reported() -> None:
    happened(-200, -100)
    happened(-80, -75)
    assert windows() == {}
    assert windows(-10) == {"door": [(-85, -65)]}
    assert windows(-35) == {"door": [(-205, -90), (-85, -65)]}


def test_an_ongoing_event_records_for_at_most_a_day_and_its_window_stays_the_same() -> None:
    happened(-30, None)
    day_s = MAX_LENGTH_NS / S
    assert windows() == windows(30) == windows(day_s) == {"door": [(-35, day_s - 20)]}
    assert windows(day_s + 100) == {}
    Event.objects.update(end_ns=NOW + 2 * MAX_LENGTH_NS)
    assert windows() == {"door": [(-35, day_s - 20)]}


def test_without_cameras_that_record_events_there_is_no_query() -> None:
    with CaptureQueriesContext(connection) as queries:
        assert Event.objects.windows({}, NOW) == {}
    assert not queries.captured_queries


def test_events_that_end_after_a_time_are_found_by_their_index() -> None:
    plan = Event.objects.filter(triggers_recording=False).ending_after(NOW).explain()
    assert plan.count("SEARCH ninjacam_event USING INDEX ninjacam_event_others") == 2, plan


def test_the_windows_are_found_by_their_index() -> None:
    with CaptureQueriesContext(connection) as queries:
        windows()
    (query,) = queries.captured_queries
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {query['sql']}")
        plan = "\n".join(row[3] for row in cursor.fetchall())
    assert plan.count("SEARCH ninjacam_event USING INDEX ninjacam_event_windows (slug=? AND end_ns") == 2, (
        plan
    )


@pytest.mark.parametrize("end_s", [1, 86_000, None])
def test_thousands_of_events_of_one_camera_do_not_displace_those_of_others(end_s: float | None) -> None:
    end_ns = None if end_s is None else NOW + int(end_s * S)
    Event.objects.bulk_create(
        Event(
            slug=slug,
            kind="x",
            start_ns=NOW - n * S // 100,
            end_ns=end_ns,
            source="x",
            triggers_recording=True,
        )
        for n in range(5200)
        for slug in ("door", "not recording events")
    )
    happened(-3, 4, "yard")
    found = windows()
    assert found["yard"] == [(-3, 4)]
    assert len(found["door"]) == 1 and found["door"][0][1] >= (end_s or 86_000)
    with CaptureQueriesContext(connection) as queries:
        windows()
    assert len(queries.captured_queries) == 5 and all(
        "LIMIT" in each["sql"] for each in queries.captured_queries
    )


def marks(most: int = 100) -> list[float]:
    """The starts of those of the next 100 s, in seconds."""
    found = Event.objects.timeline_events(["door", "none"], NOW, NOW + 100 * S, most)
    return [(mark.start_ns - NOW) / S for mark in found.get("door", [])]


def test_a_timeline_shows_events_that_overlap_it(monkeypatch: pytest.MonkeyPatch) -> None:
    day_s = MAX_LENGTH_NS / S
    for start_s, end_s in (
        (-50, 1),
        (-50, -1),
        (0, 0),
        (100, 120),
        (-20, None),
        (-day_s - 1, None),
        (99, 200),
    ):
        happened(start_s, end_s)
    happened(1, 2, "yard")
    for start_s, end_s in ((-3 * day_s, None), (-4 * day_s, 20), (-5 * day_s, -10)):
        Event.objects.filter(pk=happened(start_s, end_s, triggers=False).pk).update(source="engine")
    assert sorted(marks()) == [-4 * day_s, -3 * day_s, -50, -20, 0, 99]
    ranked = marks(3)
    assert ranked == [-3 * day_s, -20, -4 * day_s]
    monkeypatch.setattr(event, "MAX_UNRANKED", 2)
    assert marks(3) == ranked
