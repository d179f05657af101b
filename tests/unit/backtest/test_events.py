"""Events of a backtest, created by the functions of `ninjacam.events`."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from ninjacam import events
from ninjacam.backtest import events as module
from ninjacam.backtest.events import EventCollector

AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
AT_NS = int(AT.timestamp()) * 10**9


@pytest.fixture
def collector() -> Iterator[EventCollector]:
    made = EventCollector()
    events.send_to(made.put)
    made.enter(AT_NS)
    yield made
    events.send_to(None)


def test_an_event_without_a_time_gets_that_of_the_frame(collector: EventCollector) -> None:
    events.create("gate", "visitor", label="Ada", duration_s=2, data={"badge": 17})
    (event,) = collector.events
    assert (event.camera, event.kind, event.label, event.data) == ("gate", "visitor", "Ada", {"badge": 17})
    assert (event.start_ns, event.end_ns, event.seen_ns) == (AT_NS, AT_NS + 2 * 10**9, AT_NS)


def test_times_of_the_processor_are_kept(collector: EventCollector) -> None:
    events.create("gate", "visitor", start=AT - timedelta(seconds=5), end=AT)
    (event,) = collector.events
    assert (event.start_ns, event.end_ns) == (AT_NS - 5 * 10**9, AT_NS)


def test_an_event_that_begins_changes_and_ends_is_one(collector: EventCollector) -> None:
    visit = events.begin("gate", "visit", data={"n": 1})
    assert collector.events[0].is_ongoing and collector.take_changed() == [0]
    collector.enter(AT_NS + 10**9)
    seen = events.Sighting(AT_NS + 10**9, 0.9, 4, (0.1, 0.2, 0.3, 0.4), ("path",))
    visit.update(label="Ada", sighting=seen)
    assert list(collector.seen) == [0]
    collector.enter(AT_NS + 3 * 10**9)
    visit.end(data={"m": 2})
    (event,) = collector.events
    assert (event.label, event.data, event.is_ongoing) == ("Ada", {"n": 1, "m": 2}, False)
    assert (event.start_ns, event.end_ns, event.seen_ns) == (AT_NS, AT_NS + 3 * 10**9, AT_NS + 10**9)
    assert (event.score, event.track, event.zones) == (0.9, 4, ("path",))


def test_random_keys_are_not_part_of_the_result(collector: EventCollector) -> None:
    events.begin("gate", "visit")
    events.begin("gate", "visit")
    first, second = (event.as_dict() for event in collector.events)
    assert first == second


def test_an_event_with_the_same_key_is_not_created_twice(collector: EventCollector) -> None:
    for _ in range(2):
        events.begin("gate", "visit", key="one")
    assert len(collector.events) == 1


def test_changes_of_events_of_an_earlier_run_are_ignored(collector: EventCollector) -> None:
    events.resume("gate", "earlier").end()
    assert collector.events == [] and collector.take_changed() == []


def test_the_number_of_events_is_bounded(collector: EventCollector, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_EVENTS", 2)
    for _ in range(5):
        events.create("gate", "visitor")
    assert (len(collector.events), collector.dropped) == (2, 3)
