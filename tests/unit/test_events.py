"""`ninjacam.events`: events created by user code."""

import logging
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from django.db import OperationalError

from ninjacam import events, processor_writer
from ninjacam.actions.events import EventChange, EventInput
from ninjacam.core.errors import InvalidError, LimitError, NotFoundError
from ninjacam.models import Camera, Event
from ninjacam.processor_writer import MAX_ENDS, MAX_WAITING, ProcessorWriter
from tests.harness.processes import wait_until

AT = datetime(2026, 3, 4, 5, 6, 7, 250_000, tzinfo=UTC)


@pytest.fixture
def camera(db: None) -> Camera:
    return Camera.objects.create(slug="gate", url="rtsp://127.0.0.1/x")


@pytest.mark.usefixtures("camera")
def test_project_code_creates_an_event_and_receives_it() -> None:
    event = events.create("gate", "visitor", label="Ada", start=AT, duration_s=20, data={"badge": 17})
    assert event is not None
    saved = Event.objects.get(pk=event.pk)
    assert (saved.slug, saved.kind, saved.label, saved.data) == ("gate", "visitor", "Ada", {"badge": 17})
    assert saved.start_ns == int(AT.timestamp() * 1000) * 10**6
    assert saved.end_ns == saved.start_ns + 20 * 10**9
    assert (saved.source, saved.triggers_recording, saved.protected) == ("code", True, False)


@pytest.mark.usefixtures("camera")
def test_an_ongoing_event_has_no_end_and_a_moment_ends_when_it_starts() -> None:
    ongoing, moment = (
        events.create("gate", "alarm", ongoing=True),
        events.create("gate", "ring", record=False),
    )
    assert ongoing is not None and moment is not None
    assert ongoing.end_ns is None
    assert moment.end_ns == moment.start_ns and not moment.triggers_recording


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"kind": "No Spaces"}, "kind"),
        ({"kind": "x" * 33}, "kind"),
        ({"kind": "camera_down"}, "kind"),
        ({"label": "two\nlines"}, "label"),
        ({"label": "x" * 201}, "label"),
        ({"start": datetime(2026, 1, 1)}, "start"),
        ({"end": AT, "start": AT, "ongoing": True}, "end"),
        ({"data": {"score": np.float32(0.5)}}, "data"),
        ({"data": {"long": "x" * 5000}}, "data"),
    ],
)
@pytest.mark.usefixtures("camera")
def test_a_value_that_cannot_be_used_is_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidError) as raised:
        events.create("gate", **{"kind": "visitor", **values})
    assert list(raised.value.fields) == [field]
    assert Event.objects.count() == 0


@pytest.mark.django_db
def test_an_unknown_camera_is_reported() -> None:
    with pytest.raises(NotFoundError):
        events.create("nowhere", "visitor")


class Written:
    """Replaces the database. If `open` is cleared, calls block."""

    def __init__(self) -> None:
        self.kinds: list[str] = []
        self.ended: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.errors: list[Exception | None] = []

    def __call__(self, camera: str, item: EventInput | EventChange) -> None:
        self.entered.set()
        self.open.wait(10)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        self.kinds.append(getattr(item, "kind", "change"))
        if isinstance(item, EventChange) and item.end_ns is not None:
            self.ended.append(item.key)


@pytest.fixture
def written() -> Written:
    return Written()


@pytest.fixture
def queued(
    written: Written, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Iterator[ProcessorWriter]:
    monkeypatch.setattr(processor_writer, "close_old_connections", lambda: None)
    made = ProcessorWriter(written, retry_s=0.01)
    events.send_to(made.put)
    yield made
    events.send_to(None)
    written.open.set()
    made.close(5)


def test_a_processor_never_waits_for_the_database_and_excess_events_are_dropped_and_logged_once(
    queued: ProcessorWriter, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    written.open.clear()
    assert events.create("gate", "first") is None
    assert written.entered.wait(5)
    with caplog.at_level(logging.WARNING, "ninjacam.events"):
        for number in range(MAX_WAITING + 7):
            assert events.create("gate", f"e{number}") is None
    assert queued.dropped == 7
    assert [record.getMessage() for record in caplog.records] == [
        "gate: an event (e200) is dropped (1 so far): the database is too slow"
    ]
    written.open.set()
    queued.close(5)
    assert written.kinds == ["first", *(f"e{number}" for number in range(MAX_WAITING))]


def test_an_event_waits_for_an_unavailable_database_but_not_after_a_refusal(
    queued: ProcessorWriter, written: Written
) -> None:
    away = OperationalError("away")
    written.errors = [away, away, None, LimitError("too many"), None]
    for kind in ("kept", "refused", "next"):
        events.create("gate", kind)
    wait_until(lambda: len(written.kinds) == 2, 5, "both events")
    assert written.kinds == ["kept", "next"]
    assert queued.dropped == 1


def test_a_processor_gets_an_error_for_its_mistake_at_once(queued: ProcessorWriter) -> None:
    with pytest.raises(InvalidError, match="kind 'No Spaces'"):
        events.create("gate", "No Spaces")


@pytest.mark.usefixtures("camera")
def test_processors_of_a_camera_create_no_more_events_than_the_setting_allows(settings: Any) -> None:
    settings.NINJACAM = {**getattr(settings, "NINJACAM", {}), "EVENTS_PER_MINUTE": 4}
    for _ in range(2):  # half of them at once
        processor_writer._write_event("gate", EventInput("visitor", start_ns=1))
    with pytest.raises(LimitError, match="the limit is 4 per minute"):
        processor_writer._write_event("gate", EventInput("visitor", start_ns=1))
    assert Event.objects.filter(source="processor").count() == 2


@pytest.mark.usefixtures("camera")
def test_an_export_creates_no_events() -> None:
    events.send_to(events.discard)
    try:
        assert events.create("gate", "visitor") is None
    finally:
        events.send_to(None)
    assert Event.objects.count() == 0


@pytest.mark.parametrize("are_updates", [False, True])
def test_ends_of_events_have_room_when_no_more_events_and_updates_do(
    queued: ProcessorWriter, written: Written, are_updates: bool
) -> None:
    written.open.clear()
    ongoing = [events.begin("gate", "visit", key=f"visit-{number}") for number in range(100)]
    assert written.entered.wait(5)
    for number in range(4 * MAX_WAITING):
        if are_updates:
            ongoing[0].update(label=f"e{number}")
        else:
            events.create("gate", f"e{number}")
    dropped = queued.dropped
    assert dropped >= 3 * MAX_WAITING
    for each in ongoing:
        for _ in range(5):
            each.end()
    assert queued.dropped == dropped
    written.open.set()
    queued.close(10)
    assert written.ended[-1] == "visit-99" and len(written.ended) == 500


def test_the_ends_that_wait_are_bounded(queued: ProcessorWriter, written: Written) -> None:
    written.open.clear()
    events.create("gate", "first")
    assert written.entered.wait(5)
    for number in range(MAX_WAITING + MAX_ENDS + 3):
        events.resume("gate", f"visit-{number}").end()
    assert queued.dropped == 3


def test_an_event_that_fails_for_another_reason_holds_up_no_others(
    queued: ProcessorWriter, written: Written, caplog: pytest.LogCaptureFixture
) -> None:
    written.errors = [ValueError("a NUL character")]
    events.create("gate", "bad")
    events.create("gate", "good")
    wait_until(lambda: written.kinds == ["good"], 5, "the other event")
    assert queued.dropped == 1 and "a NUL character" in caplog.text


@pytest.mark.usefixtures("camera")
def test_an_event_that_lasts_is_changed_and_ended() -> None:
    start = datetime(2026, 11, 30, 12, tzinfo=UTC)
    ongoing = events.begin("gate", "visit", label="person", start=start, data={"a": 1})
    event = Event.objects.get()
    assert event.end_ns is None and event.triggers_recording and event.key == ongoing.key
    best = events.Sighting(event.start_ns + 5, 0.9, 12, (0.1, 0.2, 0.3, 1.4), ("yard", "gate", "no good"))
    ongoing.update(label="Ada", data={"b": 2}, sighting=best)
    event.refresh_from_db()
    assert (event.label, event.data, event.score, event.track) == ("Ada", {"a": 1, "b": 2}, 0.9, 12)
    assert event.box == [0.1, 0.2, 0.3, 1.0] and event.zone_names == ["yard", "gate"]
    assert event.zones == " yard gate "
    events.resume("gate", ongoing.key).end(start + timedelta(seconds=7))
    event.refresh_from_db()
    assert event.end_ns == event.start_ns + 7 * 10**9 and event.label == "Ada"


@pytest.mark.usefixtures("camera")
def test_an_event_with_the_same_key_is_created_once_and_belongs_to_its_camera() -> None:
    for _ in range(2):
        events.begin("gate", "visit", key="person-1")
    assert Event.objects.count() == 1
    events.resume("yard", "person-1").end()
    assert Event.objects.get().end_ns is None, "another camera's"
    events.resume("gate", "unknown").end()


@pytest.mark.usefixtures("camera")
def test_an_event_ends_neither_before_its_start_nor_a_day_later() -> None:
    start = datetime(2026, 11, 30, 12, tzinfo=UTC)
    for key, days, seconds in (("a", -1, 0), ("b", 3, 86_400)):
        events.begin("gate", "visit", key=key, start=start).end(start + timedelta(days=days))
        event = Event.objects.get(key=key)
        assert event.end_ns == event.start_ns + seconds * 10**9


@pytest.mark.parametrize("key", ["with space", "ü", "x" * 101])
def test_a_key_that_cannot_be_used_is_refused(key: str) -> None:
    with pytest.raises(InvalidError):
        events.begin("gate", "visit", key=key)
