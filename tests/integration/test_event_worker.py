"""The process in which processors of events run: real user code that holds the interpreter, crashes, hangs or grows."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam.actions import event_call_process
from ninjacam.actions.event_call_process import CallProcess, CallProcessEndedError, CallStoppedError
from tests.harness.processes import is_alive, wait_until

CODE = """
import ctypes, os, re, sys, time
from ninjacam import Result, processor

print("loaded")

@processor(when="events")
def act(event, snapshot):
    print("acting", flush=True)
    what = event.label
    if what == "hold":  # one call into C, which does not release the interpreter lock
        re.match(r"(a|aa)+$", "a" * 400 + "b")
    if what == "hang":
        while True:
            pass
    if what == "exit":
        os._exit(3)
    if what == "system exit":
        sys.exit(3)
    if what == "segfault":
        ctypes.string_at(0)
    if what == "grow":
        kept = []
        while True:
            kept.append(bytearray(os.urandom(1 << 20) * 16))
    if what == "fork":
        child = os.fork()
        if child == 0:
            time.sleep(600)
        return {"child": child}
    if what == "write":
        os.write(1, b"not an answer\\n")
    return {"pid": os.getpid(), "nice": os.nice(0), "what": what, "mean": round(float(snapshot.image.mean()))}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Path:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "ninjacam.site.settings")
    monkeypatch.setenv("NINJACAM_DATA", str(tmp_path))
    settings.NINJACAM = {**settings.NINJACAM, "DATA_DIR": tmp_path}
    (tmp_path / "run").mkdir()
    (tmp_path / "cameras.py").write_text(CODE)
    (tmp_path / "cameras.py").chmod(0o600)
    cv2.imwrite(str(tmp_path / "7.jpg"), np.full((36, 64, 3), 128, np.uint8))
    return tmp_path


@pytest.fixture
def process(site: Path) -> Iterator[CallProcess]:
    made = CallProcess()
    yield made
    made.close()


def question(site: Path, label: str) -> dict[str, Any]:
    event = {
        "id": 7, "camera": "gate", "kind": "car", "label": label, "start_ns": 10**18, "end_ns": None, "score": None,
        "track": None, "box": None, "zones": [], "colors": [], "data": {},
    }  # fmt: skip
    return {
        "processor": "act", "options": {}, "ready_made": {}, "snapshot": str(site / "7.jpg"), "captured_ns": 5,
        "event": event,
    }  # fmt: skip


def nothing() -> None:
    pass


def test_one_process_answers_many_questions_with_low_priority(site: Path, process: CallProcess) -> None:
    first, second = (process.call(question(site, what), nothing)["result"] for what in ("a", "write"))
    assert first == {"pid": process.pid, "nice": min(19, os.nice(0) + 10), "what": "a", "mean": 128}
    assert second["pid"] == process.pid and second["what"] == "write", "output of user code is not an answer"


@pytest.mark.parametrize(("what", "how"), [("exit", "exit status 3"), ("segfault", "SIGSEGV")])
def test_a_call_that_ends_the_process_is_named(site: Path, process: CallProcess, what: str, how: str) -> None:
    with pytest.raises(CallProcessEndedError, match=how) as raised:
        process.call(question(site, what), nothing)
    assert not raised.value.was_killed
    assert what == "exit" or "cameras.py" in raised.value.traceback


def test_an_exit_of_user_code_is_an_error_of_the_call(site: Path, process: CallProcess) -> None:
    assert "SystemExit" in process.call(question(site, "system exit"), nothing)["error"]["message"]
    assert process.call(question(site, "a"), nothing)["result"]["pid"] == process.pid


@pytest.mark.parametrize("what", ["hang", "hold"])
def test_a_call_that_does_not_return_is_ended_and_its_place_is_known(site: Path, what: str) -> None:
    process = CallProcess(limits_s={"load": 90, "setup": 90, "call": 1})
    try:
        with pytest.raises(CallProcessEndedError, match="within 1 s") as raised:
            process.call(question(site, what), nothing)
        assert "cameras.py" in raised.value.traceback and "act" in raised.value.traceback
        wait_until(
            lambda: not Path(f"/proc/{process.pid}/maps").exists() or process._popen.poll() is not None,
            20,
            "its end",
        )
    finally:
        process.close()


def test_a_call_that_takes_too_much_memory_is_ended(site: Path) -> None:
    process = CallProcess(memory_bytes=700 << 20)
    try:
        with pytest.raises(CallProcessEndedError, match="memory"):
            process.call(question(site, "grow"), nothing)
    finally:
        process.close()


def test_a_killed_process_is_noticed_and_is_no_fault(site: Path, process: CallProcess) -> None:
    process.call(question(site, "a"), nothing)
    killer = threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL))
    killer.start()
    with pytest.raises(CallProcessEndedError, match="SIGKILL") as raised:
        process.call(question(site, "hang"), nothing)
    killer.join()
    assert raised.value.was_killed


def test_a_killed_process_whose_child_holds_the_pipe_is_noticed_and_the_child_ends(
    site: Path, process: CallProcess
) -> None:
    child = process.call(question(site, "fork"), nothing)["result"]["child"]
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(CallProcessEndedError, match="SIGKILL"):
        process.call(question(site, "a"), nothing)
    process.close()
    wait_until(lambda: not is_alive(child), 5, "the end of its child")


def test_the_children_of_a_process_that_crashes_end_with_it(site: Path, process: CallProcess) -> None:
    child = process.call(question(site, "fork"), nothing)["result"]["child"]
    with pytest.raises(CallProcessEndedError, match="SIGSEGV"):
        process.call(question(site, "segfault"), nothing)
    process.close()
    wait_until(lambda: not is_alive(child), 5, "the end of its child")


def test_the_caller_can_stop_during_a_call_that_holds_the_interpreter(
    site: Path, process: CallProcess
) -> None:
    process.call(question(site, "a"), nothing)

    def stop() -> None:
        raise CallStoppedError

    with pytest.raises(CallStoppedError):
        process.call(question(site, "hold"), stop)
    process.close()
    process.close()
    assert not Path(f"/proc/{process.pid}").exists()


def test_an_endless_answer_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_call_process, "MAX_LINE_BYTES", 50)
    process = CallProcess()
    try:
        with pytest.raises(CallProcessEndedError, match="cannot be read"):
            process.call(question(site, "a" * 100), nothing)
    finally:
        process.close()
