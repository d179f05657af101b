"""The main function of the vision worker, without its loop."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam import events
from ninjacam.core import limits, memory, processor_states
from ninjacam.processes import vision_worker
from ninjacam.vision import decoder_opening


class ProcessEndedError(Exception):
    """Replaces the end of the process."""


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The parts that change the process of the tests are replaced by a note of their call."""
    made: list[str] = []

    def leave(status: int = 0) -> None:
        made.append("leave")
        raise ProcessEndedError

    monkeypatch.setattr(vision_worker, "keep_files_private", lambda: None)
    monkeypatch.setattr(vision_worker, "run_loop", lambda _: made.append("run_loop"))
    monkeypatch.setattr(vision_worker, "leave", leave)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(limits, "confine", lambda **_: None)
    monkeypatch.setattr(memory, "keep_freed_frames", lambda: None)
    monkeypatch.setattr(decoder_opening, "decode_on", lambda _: None)
    monkeypatch.setattr(processor_states, "keep_states_in", lambda _: None)
    yield made
    events.send_to(None)


def test_it_ends_without_waiting_for_processors_that_run(calls: list[str], tmp_path: Path) -> None:
    """Otherwise, Python 3.11 aborts: "terminate called without an active exception" (`core.limits.leave`)."""
    with pytest.raises(ProcessEndedError):
        vision_worker.main(["--name", "vision-1", "--run-dir", str(tmp_path)])
    assert calls == ["run_loop", "leave"]
