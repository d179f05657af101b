"""Processors of events: which are called, when again, and what is stored."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from ninjacam.actions import event_calls
from ninjacam.actions.event_call_process import CallProcessEndedError
from ninjacam.actions.event_calls import (
    GIVE_UP_NS,
    LOOK_AGAIN_NS,
    MAX_ATTEMPTS,
    PAUSE_NS,
    RESTART_NS,
    EventCaller,
    request_event_calls,
)
from ninjacam.actions.events import EventChange, change_event, delete_event
from ninjacam.auth import LocalOperator
from ninjacam.core.errors import InvalidError
from ninjacam.models import (
    CallState,
    Camera,
    Event,
    EventCall,
    EventUpdate,
    Profile,
    ProfileOverride,
    Snapshot,
)
from ninjacam.models.event_call import LEASE_NS
from ninjacam.models.profile import choose
from ninjacam.queries.status import Status
from ninjacam.testing.clock import FakeClock
from tests.unit.conftest import make_event

pytestmark = pytest.mark.django_db
S = 10**9
PLATES = {"name": "plates", "cameras": ["*"], "when": "events", "module": "cams", "kinds": [], "labels": []}


class FakeProcess:
    """Answers what the test says, or raises it."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.questions: list[dict[str, Any]] = []
        self.during: Callable[[], None] = lambda: None
        self.closed = 0

    def __call__(self) -> "FakeProcess":
        return self

    def call(self, question: dict[str, Any], on_wait: Callable[[], None]) -> Any:
        self.questions.append(question)
        self.during()
        on_wait()
        answer = self.answers.pop(0) if self.answers else {"result": {"texts": ["AB 12"]}}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def process() -> FakeProcess:
    return FakeProcess()


@pytest.fixture
def caller(clock: FakeClock, process: FakeProcess) -> EventCaller:
    return EventCaller(start=process, clock=clock)


@pytest.fixture
def status(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def use(*processors: dict[str, Any], **fields: Any) -> None:
        values = {"engine_running": True, "is_code_known": True, "processors": processors, **fields}
        found = Status(**values)
        monkeypatch.setattr(event_calls, "read_status", lambda: found)

    use(PLATES)
    return use


def requested(clock: FakeClock, **fields: Any) -> Event:
    event = make_event(**{"snapshot_ns": clock.wall_ns(), **fields})
    with transaction.atomic():
        request_event_calls(event, clock.wall_ns())
    return event


def names() -> list[str]:
    return sorted(EventCall.objects.values_list("processor", flat=True))


def run_all(caller: EventCaller) -> int:
    count = 0
    while caller.tick():
        count += 1
        assert count < 50
    return count


def test_the_result_is_stored_once_and_announced(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    event = requested(clock, data={"detections": 7}, box=[0, 0, 1, 1], label="car")
    Snapshot.objects.create(event_id=event.pk, slug="door", taken_ns=1, box=[0.1, 0.2, 0.3, 0.4])
    assert run_all(caller) == 1 and not caller.tick()
    event.refresh_from_db()
    assert event.data == {"detections": 7, "plates": {"texts": ["AB 12"]}}
    assert [row.kind for row in EventUpdate.objects.filter(event_id=event.pk)] == ["changed"]
    (question,) = process.questions
    assert question["event"]["box"] == [0.1, 0.2, 0.3, 0.4], "that of the image; the object has moved since"
    assert question["event"]["label"] == "car"
    row = EventCall.objects.get()
    assert (row.state, row.due_ns, row.error, row.attempts) == (CallState.DONE, None, None, 1)


def test_only_processors_of_events_for_this_camera_kind_and_label_are_called(
    camera: Camera, yard: Camera, status: Any, clock: FakeClock
) -> None:
    status(
        {**PLATES, "name": "edges", "when": "watched"},
        {**PLATES, "name": "cars", "labels": ["car"]},
        {**PLATES, "name": "doors", "cameras": ["yard"]},
        {**PLATES, "name": "people", "kinds": ["person"]},
        {**PLATES, "name": "motions", "kinds": ["motion"]},
    )
    requested(clock, label="car")
    assert names() == ["cars", "people"]
    EventCall.objects.all().delete()
    requested(clock, slug="yard", kind="motion")
    assert names() == ["doors", "motions"]


def test_a_profile_switches_a_processor_off_and_changes_its_options(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    profile = Profile.objects.create(name="away")
    override = ProfileOverride.objects.create(profile=profile, options={"plates": {"min_score": 0.9}})
    choose(profile, timezone.now())
    requested(clock)
    run_all(caller)
    assert process.questions[0]["options"] == {"min_score": 0.9}
    override.processors = {"plates": False}
    override.save()
    event = requested(clock)
    assert not EventCall.objects.filter(event_id=event.pk).exists()


def test_a_better_snapshot_repeats_the_call_and_replaces_the_result(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    event = requested(clock)
    run_all(caller)
    process.answers = [{"result": {"texts": ["CD 34"]}}, {"result": None}]
    for expected in ({"plates": {"texts": ["CD 34"]}}, {}):
        with transaction.atomic():
            request_event_calls(event, clock.wall_ns())
        assert run_all(caller) == 1
        event.refresh_from_db()
        assert event.data == expected
    assert len(process.questions) == 3


def test_a_result_of_an_older_snapshot_is_not_stored(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    event = requested(clock)

    def replace() -> None:
        process.during = lambda: None
        with transaction.atomic():
            request_event_calls(event, clock.wall_ns())

    process.during = replace
    process.answers = [{"result": {"texts": ["old"]}}, {"result": {"texts": ["new"]}}]
    caller.tick()
    event.refresh_from_db()
    assert event.data == {}
    caller.tick()
    event.refresh_from_db()
    assert event.data == {"plates": {"texts": ["new"]}}
    assert EventUpdate.objects.filter(event_id=event.pk).count() == 1


def test_a_killed_jobs_process_repeats_the_call_after_the_lease(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    requested(clock)
    process.answers = [KeyError("the process died here")]
    with pytest.raises(KeyError):
        caller.tick()
    assert process.closed == 1, "its answer must not be read as that of the next call"
    later = EventCaller(start=process, clock=clock)
    assert not later.tick(), "another host may still make it"
    clock.advance(LEASE_NS / 1e9)
    assert later.tick()
    assert EventCall.objects.get().state == CallState.DONE


def test_a_long_call_keeps_its_lease(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    requested(clock)
    other = EventCaller(start=process, clock=clock)

    def take_long() -> None:
        clock.advance(LEASE_NS / 1e9 - 1)

    process.during = take_long
    seen: list[bool] = []
    make = process.call

    def call(question: Any, on_wait: Callable[[], None]) -> Any:
        answer = make(question, on_wait)
        clock.advance(LEASE_NS / 1e9 - 1)
        seen.append(other.tick())
        return answer

    process.call = call  # type: ignore[method-assign]
    caller.tick()
    assert seen == [False] and EventCall.objects.get().state == CallState.DONE


def test_a_killed_child_is_no_fault_once_and_then_pauses_only_this_processor(
    camera: Camera, yard: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    requested(clock)
    killed = CallProcessEndedError("ended its process (SIGKILL)", was_killed=True)
    process.answers = [killed, killed]
    assert caller.tick() and caller.tick()
    row = EventCall.objects.get()
    assert row.state == CallState.WAITING and row.error and "SIGKILL" in row.error["message"]
    assert row.due_ns == clock.wall_ns() + 2 * PAUSE_NS
    other = requested(clock, slug="yard")
    waiting = requested(clock)
    assert run_all(caller) == 2, "events that come later are tried"
    clock.advance(2 * PAUSE_NS / 1e9)
    assert run_all(caller) == 1
    assert set(EventCall.objects.values_list("state", flat=True)) == {CallState.DONE}
    for each in (other, waiting):
        each.refresh_from_db()
        assert each.data["plates"]


def test_a_crash_makes_other_events_of_the_processor_wait(
    camera: Camera, yard: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    first, second, other = requested(clock), requested(clock), requested(clock, slug="yard")
    process.answers = [CallProcessEndedError("ended its process (SIGSEGV)", traceback="File x")]
    caller.tick()
    assert process.closed == 1
    due = dict(EventCall.objects.values_list("event_id", "due_ns"))
    paused_ns = clock.wall_ns() + PAUSE_NS
    assert due == {first.pk: paused_ns, second.pk: paused_ns, other.pk: clock.wall_ns()}
    error = EventCall.objects.get(event_id=first.pk).error
    assert error is not None
    assert error["traceback"] == "File x" and "SIGSEGV" in error["message"]


def test_a_crash_leaves_the_call_of_another_host_alone(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    first, second = requested(clock), requested(clock)
    other_process = FakeProcess()
    other = EventCaller(start=other_process, clock=clock)

    def crash_meanwhile() -> None:
        clock.advance(1)
        process.answers = [CallProcessEndedError("ended its process (SIGSEGV)")]
        assert caller.tick()

    other_process.during = crash_meanwhile
    assert other.tick()
    states = dict(EventCall.objects.values_list("event_id", "state"))
    assert states == {first.pk: CallState.DONE, second.pk: CallState.WAITING}


def test_an_exception_is_repeated_and_then_the_call_has_failed(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    event = requested(clock)
    process.answers = [{"error": {"message": "plates: ValueError"}}] * MAX_ATTEMPTS
    pauses = 0
    while not EventCall.objects.filter(state=CallState.FAILED).exists():
        if not caller.tick():
            pauses += 1
            clock.advance(PAUSE_NS / 1e9)
        assert pauses < 20
    assert len(process.questions) == MAX_ATTEMPTS and process.closed == 0
    row = EventCall.objects.get()
    assert row.error == {"message": "plates: ValueError"} and row.due_ns is None
    event.refresh_from_db()
    assert event.data == {}


def test_a_call_during_which_the_jobs_process_dies_each_time_is_given_up(
    camera: Camera, status: Any, clock: FakeClock, process: FakeProcess
) -> None:
    requested(clock)
    process.answers = [KeyError()] * 9
    for _ in range(MAX_ATTEMPTS):
        with pytest.raises(KeyError):
            EventCaller(start=process, clock=clock).tick()
        clock.advance(LEASE_NS / 1e9)
    EventCaller(start=process, clock=clock).tick()
    assert EventCall.objects.get().state == CallState.FAILED
    assert len(process.questions) == MAX_ATTEMPTS


def test_a_stop_gives_the_call_back(
    camera: Camera, status: Any, clock: FakeClock, process: FakeProcess
) -> None:
    requested(clock)
    caller = EventCaller(start=process, clock=clock, must_stop=lambda: True)
    caller.tick()
    row = EventCall.objects.get()
    assert (row.due_ns, row.attempts, row.state) == (clock.wall_ns(), 0, CallState.WAITING)
    assert process.closed == 1


def test_processors_that_are_not_loaded_yet_are_called_later(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    status(is_code_known=False)
    requested(clock)
    assert names() == [""] and run_all(caller) == 1 and not process.questions
    status(PLATES)
    assert not caller.tick()
    clock.advance(RESTART_NS / 1e9)
    assert run_all(caller) == 2 and names() == ["plates"]
    assert len(process.questions) == 1


def test_a_module_with_an_error_delays_only_its_own_processors(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    broken = ({"module": "cams", "error": "SyntaxError"},)
    status({**PLATES, "name": "other"}, modules=broken)
    event = requested(clock)
    EventCall.objects.request(event.pk, "door", ["plates"], clock.wall_ns())
    run_all(caller)
    assert [each["processor"] for each in process.questions] == ["other"]
    status({**PLATES, "name": "other"}, PLATES)
    clock.advance(LOOK_AGAIN_NS / 1e9)
    run_all(caller)
    assert [each["processor"] for each in process.questions] == ["other", "plates"]
    assert names() == ["other", "plates"]


def test_a_module_that_stays_broken_is_given_up(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller
) -> None:
    status(modules=({"module": "cams", "error": "SyntaxError"},))
    requested(clock)
    clock.advance(GIVE_UP_NS / 1e9 + 1)
    assert run_all(caller) == 1 and names() == []


def test_a_removed_processor_a_deleted_snapshot_and_a_deleted_event_end_the_call(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    requested(clock)
    status()
    run_all(caller)
    assert names() == []
    status(PLATES)
    event = requested(clock)
    Event.objects.filter(pk=event.pk).update(snapshot_ns=None)
    run_all(caller)
    assert names() == []
    delete_event(LocalOperator(), requested(clock))
    assert names() == [] and not process.questions
    gone = requested(clock)
    Event.objects.filter(pk=gone.pk).delete()
    EventCall.objects.sweep()
    assert names() == []


def test_cameras_and_processors_take_turns(
    camera: Camera, yard: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    for _ in range(4):
        requested(clock)
    requested(clock, slug="yard")
    for _ in range(2):
        caller.tick()
    assert [each["event"]["camera"] for each in process.questions] == ["door", "yard"]


def test_too_many_waiting_events_are_an_error_that_users_see(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_calls, "MAX_WAITING", 2)
    for _ in range(3):
        event = requested(clock)
    row = EventCall.objects.get(event_id=event.pk)
    assert row.state == CallState.FAILED and row.error and "too slow" in row.error["message"]
    assert EventCall.objects.filter(state=CallState.WAITING).count() == 2


def test_results_do_not_take_room_of_the_creator_and_survive_its_changes(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    event = requested(clock, key="visit", data={"text": "x" * 3000})
    process.answers = [{"result": {"texts": ["y" * 2000]}}]
    run_all(caller)
    assert change_event("door", EventChange("visit", data={"more": "z" * 900}))
    event.refresh_from_db()
    assert event.data.keys() == {"text", "more", "plates"}
    with pytest.raises(InvalidError):
        change_event("door", EventChange("visit", data={"much": "z" * 900}))


def test_a_renamed_camera_keeps_its_calls(
    camera: Camera, status: Any, clock: FakeClock, caller: EventCaller, process: FakeProcess
) -> None:
    requested(clock)
    camera.slug = "front"
    camera.save()
    assert EventCall.objects.get().slug == "front", "the page of the camera counts it"
    run_all(caller)
    assert process.questions[0]["event"]["camera"] == "front"
