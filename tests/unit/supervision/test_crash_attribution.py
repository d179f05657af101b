import json
import signal

import pytest

from ninjacam.supervision.child import OUT_OF_MEMORY_STATUS
from ninjacam.supervision.child_process import Death
from ninjacam.supervision.crash_attribution import FIRST_S, CrashAttribution
from ninjacam.supervision.crash_record import LEFT_OUT, LastWords, loading_name
from ninjacam.testing.clock import FakeClock

HERE = LastWords([("door", "edges")])
KILLED = Death(-signal.SIGKILL, by_us=False)
CRASHED = Death(-signal.SIGSEGV, by_us=False)


def test_a_crash_in_user_code_quarantines_its_view_at_once() -> None:
    blame = CrashAttribution(FakeClock())
    blame.died(HERE, CRASHED)
    (entry,) = blame.quarantined()
    assert (entry["camera"], entry["view"]) == HERE.running[0]
    assert "SIGSEGV" in entry["error"]["message"]


def test_suspects_get_a_hedged_message_and_a_culprit_gets_the_traceback() -> None:
    blame = CrashAttribution(FakeClock())
    blame.died(LastWords([("door", "edges"), ("door", "motion")]), CRASHED)
    messages = [entry["error"]["message"] for entry in blame.quarantined()]
    assert len(messages) == 2 and all("it may have been one of them" in message for message in messages)
    known = CrashAttribution(FakeClock())
    known.died(LastWords(HERE.running, "  File cameras.py, line 3 in edges"), CRASHED)
    (entry,) = known.quarantined()
    assert "may have been" not in entry["error"]["message"]
    assert "line 3 in edges" in entry["error"]["traceback"]


def test_a_crash_outside_user_code_quarantines_no_view() -> None:
    blame = CrashAttribution(FakeClock())
    blame.died(LastWords([]), CRASHED)
    assert blame.quarantined() == []


def test_one_sigkill_is_ignored_but_two_within_a_minute_are_attributed() -> None:
    clock = FakeClock()
    blame = CrashAttribution(clock)
    blame.died(HERE, KILLED)
    assert blame.quarantined() == []
    clock.advance(20)
    blame.died(HERE, KILLED)
    assert len(blame.quarantined()) == 1


def test_a_worker_killed_because_it_hung_is_attributed_to_the_view() -> None:
    blame = CrashAttribution(FakeClock())
    blame.died(HERE, Death(-signal.SIGKILL, by_us=True))
    assert "without letting go" in blame.quarantined()[0]["error"]["message"]


def test_exhausting_memory_is_attributed_to_the_view() -> None:
    blame = CrashAttribution(FakeClock())
    blame.died(HERE, Death(OUT_OF_MEMORY_STATUS, by_us=False))
    assert "memory" in blame.quarantined()[0]["error"]["message"]


def test_the_quarantine_ends_and_doubles_the_next_time() -> None:
    clock = FakeClock()
    blame = CrashAttribution(clock)
    blame.died(HERE, CRASHED)
    clock.advance(FIRST_S + 1)
    assert blame.quarantined() == []
    blame.died(HERE, CRASHED)
    clock.advance(FIRST_S + 1)
    assert len(blame.quarantined()) == 1


def test_saving_the_file_ends_the_quarantine() -> None:
    clock = FakeClock()
    blame = CrashAttribution(clock)
    blame.died(HERE, CRASHED)
    clock.advance(1)
    blame.code_saved(clock.wall_ns())
    assert blame.quarantined() == []


def test_a_file_saved_before_the_crash_does_not_end_the_quarantine() -> None:
    clock = FakeClock()
    blame = CrashAttribution(clock)
    saved_ns = clock.wall_ns()
    clock.advance(1)
    blame.died(HERE, CRASHED)  # before the new code was reported
    blame.code_saved(saved_ns)
    assert len(blame.quarantined()) == 1


@pytest.mark.parametrize("returncode", [0, 3, None, -11])
def test_every_kind_of_death_has_its_message(returncode: int | None) -> None:
    blame = CrashAttribution(FakeClock())
    for _ in range(2):
        blame.died(HERE, Death(returncode, by_us=False))
    message = blame.quarantined()[0]["error"]["message"]
    assert message.startswith("The processor 'edges' ")
    assert message.endswith("or when its file is saved.")


def left_out(blame: CrashAttribution) -> dict[str, str]:
    return dict(json.loads(blame.environment()[LEFT_OUT]))


def test_a_module_being_loaded_is_attributed_alone_and_skipped_until_it_is_saved() -> None:
    clock = FakeClock()
    blame = CrashAttribution(clock)
    name = loading_name("door.cameras", clock.wall_ns())
    blame.died(LastWords([*HERE.running, ("", name)]), CRASHED)
    assert blame.quarantined() == []
    assert left_out(blame)[name].startswith(
        "While it was loaded, door.cameras took its process down (SIGSEGV)."
    )
    clock.advance(FIRST_S + 1)
    assert name in left_out(blame)
    blame.code_saved(clock.wall_ns())
    assert left_out(blame) == {}


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_one_kill_during_loading_is_not_attributed_to_a_module(number: int) -> None:
    blame = CrashAttribution(FakeClock())
    for count in (0, 1):
        blame.died(LastWords([("", loading_name("cameras", 1))]), Death(-number, by_us=False))
        assert len(left_out(blame)) == count
