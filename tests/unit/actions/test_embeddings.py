"""Vectors of snapshots: which events have one, when it is made again, and that it ends with its event."""

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.db import transaction

from ninjacam.actions import event_calls
from ninjacam.actions.event_call_process import CallProcessEndedError
from ninjacam.actions.event_calls import (
    BACKLOG,
    BACKLOG_AGAIN_NS,
    BACKLOG_EVERY_NS,
    MAX_ATTEMPTS,
    PAUSE_NS,
    EventCaller,
    request_event_calls,
)
from ninjacam.actions.events import delete_event
from ninjacam.auth import LocalOperator
from ninjacam.core.errors import ModelError
from ninjacam.inference.search_models import (
    SearchModel,
    describe_search_model,
    find_search_model,
    install_search_model,
)
from ninjacam.inference.stored import remove
from ninjacam.models import CallState, Camera, Event, EventCall, EventEmbedding, Snapshot
from ninjacam.models.snapshot import snapshot_path
from ninjacam.queries.status import Status
from ninjacam.testing.clock import FakeClock
from tests.harness import color_words
from tests.unit.actions.test_event_calls import FakeProcess, run_all
from tests.unit.conftest import make_event

pytestmark = pytest.mark.django_db
VECTOR = np.arange(8).astype("<f2").tobytes()
RESULT = {"result": base64.b64encode(VECTOR).decode()}


class VectorProcess(FakeProcess):
    def call(self, question: dict[str, Any], on_wait: Any) -> Any:
        self.answers = self.answers or [RESULT]
        return super().call(question, on_wait)


def install(run_dir: Path, name: str = "colors", **changes: Any) -> SearchModel:
    files = color_words.write_files(run_dir.parent / "files")
    spec = describe_search_model(*files, "clip", changes)
    tried = {"dimensions": color_words.VECTOR, "engine": "x"}
    return install_search_model(run_dir.parent / "models", files, name, spec, lambda made: tried)


@pytest.fixture
def model(run_dir: Path) -> SearchModel:
    return install(run_dir)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def process() -> VectorProcess:
    return VectorProcess()


@pytest.fixture
def caller(clock: FakeClock, process: VectorProcess) -> EventCaller:
    return EventCaller(start=process, clock=clock)


@pytest.fixture(autouse=True)
def _no_processors(monkeypatch: pytest.MonkeyPatch, camera: Camera) -> None:
    found = Status(engine_running=True, is_code_known=True, processors=())
    monkeypatch.setattr(event_calls, "read_status", lambda: found)


def with_snapshot(clock: FakeClock, **fields: Any) -> Event:
    return make_event(**{"snapshot_ns": clock.wall_ns(), **fields})


def requested(clock: FakeClock, **fields: Any) -> Event:
    event = with_snapshot(clock, **fields)
    with transaction.atomic():
        request_event_calls(event, clock.wall_ns())
    return event


def test_a_snapshot_gets_a_vector_once(
    model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    event = requested(clock)
    Snapshot.objects.create(event_id=event.pk, slug="door", taken_ns=1, box=[0.1, 0.2, 0.3, 0.4])
    assert run_all(caller) == 1 and not caller.tick()
    row = EventEmbedding.objects.get()
    assert (row.event_id, row.model, bytes(row.vector)) == (event.pk, model.spec.version, VECTOR)
    assert EventCall.objects.count() == 0
    (question,) = process.questions
    assert question["box"] == [0.1, 0.2, 0.3, 0.4] and question["snapshot"] == str(snapshot_path(event.pk))
    assert SearchModel.from_dict(question["search_model"]) == model
    event.refresh_from_db()
    assert event.data == {}, "the vector is not part of the event"


def test_without_a_model_nothing_is_requested(
    run_dir: Path, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    requested(clock)
    assert run_all(caller) == 0 and EventCall.objects.count() == 0 and process.questions == []


def test_a_better_snapshot_replaces_the_vector_and_an_older_one_is_not_stored(
    model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    event = requested(clock)
    better = np.ones(8, "<f2").tobytes()

    def replace() -> None:
        process.during = lambda: None
        clock.advance(1)
        with transaction.atomic():
            request_event_calls(event, clock.wall_ns())

    process.during = replace
    process.answers = [RESULT, {"result": base64.b64encode(better).decode()}]
    caller.tick()
    assert EventEmbedding.objects.count() == 0
    caller.tick()
    assert bytes(EventEmbedding.objects.get().vector) == better


def test_another_model_embeds_earlier_events_again_at_a_bounded_rate(
    run_dir: Path, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    old = [with_snapshot(clock) for _ in range(BACKLOG + 5)]
    make_event()  # It has no image.
    assert run_all(caller) == 0
    model = install(run_dir)
    clock.advance(BACKLOG_EVERY_NS / 1e9)
    assert run_all(caller) == 0 and EventCall.objects.count() == BACKLOG
    assert run_all(caller) == BACKLOG and EventCall.objects.count() == 0
    newest = sorted((each.pk for each in old), reverse=True)[:BACKLOG]
    assert set(EventEmbedding.objects.values_list("event_id", flat=True)) == set(newest)
    for _ in range(2):
        clock.advance(BACKLOG_EVERY_NS / 1e9)
        run_all(caller)
        run_all(caller)
    assert EventEmbedding.objects.filter(model=model.spec.version).count() == len(old)

    remove(run_dir.parent / "models", "colors")
    other = install(run_dir, letterbox="center")
    assert other.spec.version != model.spec.version
    for _ in range(4):
        clock.advance(BACKLOG_AGAIN_NS / 1e9)
        run_all(caller)
        run_all(caller)
    assert EventEmbedding.objects.filter(model=other.spec.version).count() == len(old)
    assert len(process.questions) == 2 * len(old)


def test_earlier_events_wait_while_calls_are_due(
    model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    with_snapshot(clock)
    new = requested(clock)
    caller.tick()
    assert [row.event_id for row in EventEmbedding.objects.all()] == [new.pk]
    assert EventCall.objects.count() == 0


def test_a_request_for_a_model_that_is_gone_is_dropped(
    run_dir: Path, model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    requested(clock)
    remove(run_dir.parent / "models", "colors")
    assert run_all(caller) == 1 and EventCall.objects.count() == 0 and process.questions == []


def test_failures_are_repeated_then_kept_and_another_model_tries_again(
    run_dir: Path, model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    event = requested(clock)
    process.answers = [
        {"error": ModelError("The model is broken.").as_dict()},
        CallProcessEndedError("ended its process (SIGSEGV)"),
        {"result": "not base64!"},
    ]
    caller.tick()
    clock.advance(PAUSE_NS / 1e9)
    caller.tick()
    row = EventCall.objects.get()
    assert (
        row.attempts == 2
        and row.error is not None
        and row.error["message"] == ("The model for the search by words ended its process (SIGSEGV).")
    )
    EventCall.objects.update(attempts=MAX_ATTEMPTS, due_ns=clock.wall_ns())
    caller.tick()
    row.refresh_from_db()
    assert row.state == CallState.FAILED and EventEmbedding.objects.count() == 0
    clock.advance(BACKLOG_AGAIN_NS / 1e9)
    assert run_all(caller) == 0 and EventCall.objects.count() == 1, "not requested again"
    remove(run_dir.parent / "models", "colors")
    install(run_dir, letterbox="center")
    process.answers = []
    clock.advance(BACKLOG_AGAIN_NS / 1e9)
    run_all(caller)
    run_all(caller)
    assert [row.event_id for row in EventEmbedding.objects.all()] == [event.pk]


@pytest.mark.parametrize("result", ["not base64!", None, ""])
def test_an_answer_that_is_not_a_vector_is_not_stored(
    model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess, result: Any
) -> None:
    requested(clock)
    process.answers = [{"result": result}]
    assert caller.tick()
    assert EventEmbedding.objects.count() == EventCall.objects.count() == 0


def test_the_vector_is_deleted_with_its_event(
    model: SearchModel, clock: FakeClock, caller: EventCaller
) -> None:
    first, second = requested(clock), requested(clock)
    run_all(caller)
    delete_event(LocalOperator(), first)
    assert [row.event_id for row in EventEmbedding.objects.all()] == [second.pk]
    Event.objects.filter(slug="door").delete()  # as retention does
    assert EventEmbedding.objects.count() == 0


def test_an_event_that_is_deleted_meanwhile_gets_no_vector(
    model: SearchModel, clock: FakeClock, caller: EventCaller, process: VectorProcess
) -> None:
    event = requested(clock)
    process.during = lambda: Event.objects.filter(pk=event.pk).delete()  # type: ignore[assignment]
    run_all(caller)
    assert EventEmbedding.objects.count() == 0


def test_the_first_usable_model_is_used(run_dir: Path, model: SearchModel) -> None:
    install(run_dir, name="z", letterbox="center")
    assert find_search_model(run_dir.parent / "models") == model
