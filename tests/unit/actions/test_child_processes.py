"""Processes that requests start."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from ninjacam.actions import child_processes
from ninjacam.actions.child_processes import run_module
from ninjacam.core.interpreter import full_environment, python_command
from tests.harness.processes import wait_until

MODULES = (
    "ninjacam.capture.probe", "ninjacam.devices.probe", "ninjacam.processes.motion_search_job",
    "ninjacam.processes.options_check",
)  # fmt: skip


def write_module(directory: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    (directory / "made_for_a_test.py").write_text(code)
    monkeypatch.setattr(sys, "path", [*sys.path, str(directory)])
    return "made_for_a_test"


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("module", MODULES)
def test_a_process_ends_if_the_process_that_started_it_has_ended(module: str) -> None:
    command = python_command(module, "--parent", "1")  # Our number is another one.
    done = subprocess.run(command, input=b"", capture_output=True, env=full_environment(), timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")


def test_a_module_gets_its_question_and_returns_what_it_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = write_module(tmp_path, monkeypatch, "import sys; print(len(sys.stdin.read()) * 2)")
    assert run_module(module, b"x" * 300_000, 30, bare=True) == b"600000\n"


def test_a_module_that_prints_without_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_processes, "MAX_PRINTED_BYTES", 1 << 20)
    module = write_module(tmp_path, monkeypatch, "while True: print('x' * 10_000)")
    begun_s = time.monotonic()
    assert run_module(module, b"", 60, bare=True) == b""
    assert time.monotonic() - begun_s < 30


def test_a_module_that_takes_too_long_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"""
import subprocess, time
child = subprocess.Popen(["sleep", "1000"])
open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
time.sleep(1000)
"""
    assert run_module(write_module(tmp_path, monkeypatch, code), b"", 3, bare=True) is None
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid), 5, "the end of the child")
