"""Writing of processors' states and events to the database, and their order. Events: test_events.py."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import IntegrityError, OperationalError

from ninjacam import events, processor_writer
from ninjacam.actions.events import EventInput
from ninjacam.core.errors import InvalidError
from ninjacam.models import Camera, Event, ProcessorState, ValueSeries, ValueSlot
from ninjacam.processor_writer import ProcessorWriter
from tests.harness.processes import wait_until

NS = 10**9
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def camera() -> Camera:
    return Camera.objects.create(slug="gate", url="rtsp://127.0.0.1/x")


@pytest.fixture
def states() -> Iterator[ProcessorWriter]:
    made = ProcessorWriter(save_every_s=0.01, retry_s=0.01)
    yield made
    made.close(5)


@pytest.mark.usefixtures("camera")
def test_the_last_state_is_loaded_at_once_and_after_a_restart(states: ProcessorWriter) -> None:
    assert states.load("gate", "count") is None
    for number in range(100):
        states.save("gate", "count", {"number": number})
    assert states.load("gate", "count") == {"number": 99}
    states.close(5)
    other = ProcessorWriter()
    assert other.load("gate", "count") == {"number": 99}
    other.close(5)
    assert ProcessorState.objects.count() == 1


def test_the_state_of_a_camera_that_does_not_exist_is_dropped(states: ProcessorWriter) -> None:
    states.save("nowhere", "count", 1)
    states.close(5)
    assert ProcessorState.objects.count() == 0


def test_a_deleted_camera_leaves_no_state(camera: Camera, states: ProcessorWriter) -> None:
    states.save("gate", "count", 1)
    states.close(5)
    camera.delete()
    assert ProcessorState.objects.count() == 0


@pytest.mark.parametrize("state", [{1, 2}, float("nan"), "x" * (300 << 10), [object()]])
def test_a_state_that_cannot_be_kept_is_refused(states: ProcessorWriter, state: Any) -> None:
    with pytest.raises(InvalidError):
        states.save("gate", "count", state)


@pytest.mark.usefixtures("camera")
def test_an_unavailable_database_is_tried_again_with_the_newest_state(
    states: ProcessorWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed, real = threading.Event(), processor_writer._write_state

    def write(*arguments: Any) -> None:
        if not failed.is_set():
            failed.set()
            raise OperationalError
        real(*arguments)

    monkeypatch.setattr(processor_writer, "_write_state", write)
    states.save("gate", "count", 1)
    assert failed.wait(5)
    states.save("gate", "count", 2)
    states.close(5)
    assert ProcessorState.objects.get().state == 2


@pytest.mark.usefixtures("camera")
def test_a_state_is_written_before_an_event_that_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    write_event, write_state = processor_writer._write_event, processor_writer._write_state

    def note_event(*arguments: Any) -> None:
        order.append("event")
        write_event(*arguments)

    def note_state(*arguments: Any) -> None:
        order.append("state")
        write_state(*arguments)

    monkeypatch.setattr(processor_writer, "_write_state", note_state)
    writer = ProcessorWriter(note_event, save_every_s=60)
    events.send_to(writer.put)
    try:
        writer.save("gate", "count", 1)
        events.begin("gate", "visit", key="a")
        events.resume("gate", "a").end()
    finally:
        events.send_to(None)
        writer.close(5)
    assert order == ["state", "event", "event"]
    assert Event.objects.get().end_ns is not None


class Killed(BaseException):
    """Ends the thread of the writer, as a kill of its process does."""


@pytest.mark.usefixtures("camera")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("writes", range(8))
def test_a_process_killed_at_any_moment_leaves_each_open_event_in_the_state(
    monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    """Everything is put before the first write, as when the database is slow."""
    left, write_event, write_state = [writes], processor_writer._write_event, processor_writer._write_state
    may_write = threading.Event()

    def count() -> None:
        may_write.wait(5)
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    def note_event(*arguments: Any) -> None:
        count()
        write_event(*arguments)
        count()

    def note_state(*arguments: Any) -> None:
        count()
        write_state(*arguments)

    monkeypatch.setattr(processor_writer, "_write_state", note_state)
    writer = ProcessorWriter(note_event, save_every_s=0.01)
    events.send_to(writer.put)
    try:
        writer.save("gate", "count", ["a"])
        events.begin("gate", "visit", key="a")
        writer.save("gate", "count", [])
        events.resume("gate", "a").end()
        writer.save("gate", "count", ["later"])
        assert writer.load("gate", "count") == ["later"]
    finally:
        events.send_to(None)
        may_write.set()
        writer.close(5)
    open_keys = list(Event.objects.filter(end_ns=None).values_list("key", flat=True))
    state = ProcessorState.objects.filter(processor="count").values_list("state", flat=True).first()
    assert set(open_keys) <= set(state or [])
    if writes == 7:
        assert (Event.objects.count(), open_keys, state) == (1, [], ["later"])


@pytest.mark.usefixtures("camera")
def test_a_state_of_another_camera_is_written_while_events_keep_the_thread_busy() -> None:
    Camera.objects.create(slug="yard", url="rtsp://127.0.0.1/y")
    stop, written = threading.Event(), threading.Event()

    def note_event(camera: str, item: Any) -> None:
        if not stop.is_set():
            writer.put(camera, item)  # There is always another one.
        if ProcessorState.objects.filter(camera__slug="yard").exists():
            stop.set()
            written.set()

    writer = ProcessorWriter(note_event, save_every_s=0.05)
    writer.save("yard", "count", 1)
    writer.put("gate", EventInput("visit", start_ns=1))
    try:
        assert written.wait(5)
    finally:
        stop.set()
        writer.close(5)


@pytest.mark.usefixtures("camera")
def test_none_removes_the_state(states: ProcessorWriter) -> None:
    states.save("gate", "count", 1)
    states.save("gate", "other", 2)
    wait_until(lambda: ProcessorState.objects.count() == 2, 5, "the states")
    states.save("gate", "count", None)
    wait_until(lambda: ProcessorState.objects.count() == 1, 5, "one state")
    states.save("gate", "never", None)
    states.close(5)
    assert ProcessorState.objects.get().processor == "other"
    assert states.load("gate", "count") is None


@pytest.mark.usefixtures("camera")
def test_a_state_that_the_database_refuses_does_not_hold_up_others(
    states: ProcessorWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = processor_writer._write_state

    def write(camera: str, processor: str, state: Any) -> None:
        if processor == "bad":
            raise IntegrityError
        real(camera, processor, state)

    monkeypatch.setattr(processor_writer, "_write_state", write)
    states.save("gate", "bad", 1)
    states.save("gate", "good", 2)
    states.close(5)
    assert ProcessorState.objects.get().processor == "good"
    assert caplog.text.count("the state of bad cannot be written") == 1


@pytest.mark.usefixtures("camera")
def test_values_are_written_at_intervals_and_at_the_end() -> None:
    writer = ProcessorWriter(write_values_every_s=0.02)
    try:
        writer.add_values("gate", "people", 20 * NS, {"inside": 2.0})
        wait_until(ValueSlot.objects.exists, 5, "the slot")
    finally:
        writer.close(5)
    writer = ProcessorWriter()
    writer.add_values("gate", "people", 25 * NS, {"inside": 5.0, "outside": 1.0})
    writer.add_values("nowhere", "people", 25 * NS, {"inside": 5.0})
    writer.close(5)
    found = ValueSlot.objects.order_by("series__name").values_list(
        "series__name", "start_s", "minimum", "maximum", "total", "count"
    )
    assert list(found) == [("inside", 20, 2, 5, 7, 2), ("outside", 20, 1, 1, 1, 1)]


@pytest.mark.usefixtures("camera")
def test_values_wait_for_the_database_and_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    Camera.objects.create(slug="yard", url="rtsp://127.0.0.1/y")
    failed, real = threading.Event(), processor_writer._write_slots

    def write(camera: str, *arguments: Any) -> None:
        if camera == "yard" and not failed.is_set():
            failed.set()
            raise OperationalError
        real(camera, *arguments)

    monkeypatch.setattr(processor_writer, "_write_slots", write)
    writer = ProcessorWriter(write_values_every_s=0.02)
    try:
        writer.add_values("gate", "people", 20 * NS, {"inside": 2.0})
        writer.add_values("yard", "people", 20 * NS, {"inside": 2.0})
        assert failed.wait(5)
        writer.add_values("yard", "people", 20 * NS, {"inside": 3.0})
    finally:
        writer.close(5)
    counts = ValueSeries.objects.order_by("camera__slug").values_list("camera__slug", "slots__count")
    assert list(counts) == [("gate", 1), ("yard", 2)]


@pytest.mark.usefixtures("camera")
def test_values_that_the_database_refuses_do_not_hold_up_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    Camera.objects.create(slug="yard", url="rtsp://127.0.0.1/y")
    real = processor_writer._write_slots

    def write(camera: str, *arguments: Any) -> None:
        real(camera, *arguments)
        if camera == "gate":
            raise IntegrityError

    monkeypatch.setattr(processor_writer, "_write_slots", write)
    writer = ProcessorWriter()
    for slug in ("gate", "yard"):
        writer.add_values(slug, "people", 20 * NS, {"inside": 2.0})
    writer.close(5)
    assert list(ValueSeries.objects.values_list("camera__slug", flat=True)) == ["yard"]
    assert "gate: the values of people cannot be written" in caplog.text
