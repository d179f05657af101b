"""Processes that start and stop together, as forks and as commands."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.processes import is_alive, kill, wait_until

PROGRAM = """
import os, sys, threading, time
from pathlib import Path
from ninjacam.supervision.process_supervisor import ProcessSupervisor, SupervisedProcess

def main():
    Path(sys.argv[1], f"fork-{os.getpid()}").touch()
    time.sleep(60)

def prepare():
    PREPARE
    return main

command = [sys.executable, "-c", "import os, sys, time; from pathlib import Path;"
           "Path(sys.argv[1], f'command-{os.getpid()}').touch(); time.sleep(60)", sys.argv[1]]
reader, writer = os.pipe()
os.set_inheritable(writer, True)
others = SupervisedProcess("with-file", command, fds=(writer,))
ProcessSupervisor(
    [SupervisedProcess("x-1", command, prepare=prepare), others], record=Path(sys.argv[1], "serve.json")
).run()
print("stopped")
"""


class Supervisor:
    def __init__(self, directory: Path, prepare: str = "pass") -> None:
        self.directory = directory
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-W",
                "error",
                "-c",
                textwrap.dedent(PROGRAM.replace("PREPARE", prepare)),
                str(directory),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def pid(self, name: str, *, other_than: int = 0) -> int:
        def found() -> int:
            try:
                record: dict[str, Any] = json.loads((self.directory / "serve.json").read_text())
            except OSError:
                return 0
            pid = next(each["pid"] or 0 for each in record["processes"] if each["name"] == name)
            return int(pid) if pid != other_than else 0

        return wait_until(found, 20, f"{name} runs")

    def wait_for_mark(self, kind: str, pid: int) -> None:
        wait_until((self.directory / f"{kind}-{pid}").exists, 20, f"{kind} {pid}")

    def stop(self) -> tuple[str, str]:
        self.process.send_signal(signal.SIGTERM)
        return self.process.communicate(timeout=20)

    def __enter__(self) -> "Supervisor":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def test_a_dead_fork_is_restarted_and_all_end_with_the_parent(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        first = supervisor.pid("x-1")
        supervisor.wait_for_mark("fork", first)
        kill(first)
        second = supervisor.pid("x-1", other_than=first)
        supervisor.wait_for_mark("fork", second)
        printed, errors = supervisor.stop()
        assert (supervisor.process.returncode, printed) == (0, "stopped\n"), errors
        assert not is_alive(second)


def test_a_fork_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        pid = supervisor.pid("x-1")
        supervisor.wait_for_mark("fork", pid)
        supervisor.process.kill()
        wait_until(lambda: not is_alive(pid), 10, "end of the fork")


def test_a_fork_does_not_keep_files_of_others_open(tmp_path: Path) -> None:
    """Otherwise a listening socket would stay bound after all other processes have ended."""
    with Supervisor(tmp_path) as supervisor:
        forked, other = supervisor.pid("x-1"), supervisor.pid("with-file")
        supervisor.wait_for_mark("fork", forked)
        supervisor.wait_for_mark("command", other)
        pipes = {pid: list(open_files(pid)) for pid in (forked, other)}
        writers = [link for link in pipes[other] if link.startswith("pipe:")]
        assert len(writers) == 1
        assert pipes[forked].count(writers[0]) == 1, "the reading end only"


def open_files(pid: int) -> Iterator[str]:
    """Return the targets of its file descriptors, without the standard ones."""
    folder = Path(f"/proc/{pid}/fd")
    return (os.readlink(folder / name) for name in os.listdir(folder) if int(name) > 2)


def test_imports_before_the_first_fork_are_not_interrupted_by_garbage_collections(tmp_path: Path) -> None:
    note = 'import gc; open(os.path.join(sys.argv[1], "collects"), "a").write(f"{gc.isenabled()} ")'
    with Supervisor(tmp_path, note) as supervisor:
        supervisor.wait_for_mark("fork", supervisor.pid("x-1"))
        assert (tmp_path / "collects").read_text() == "False True "


STARTS_A_THREAD = "threading.Thread(target=time.sleep, args=(60,), daemon=True).start()"


@pytest.mark.parametrize(
    "prepare",
    [
        "raise ImportError('no such application')",
        STARTS_A_THREAD,
    ],
)
def test_a_kind_that_cannot_be_forked_is_started_as_a_command(tmp_path: Path, prepare: str) -> None:
    with Supervisor(tmp_path, prepare) as supervisor:
        supervisor.wait_for_mark("command", supervisor.pid("x-1"))
        _, errors = supervisor.stop()
        assert ("no such application" in errors) is ("ImportError" in prepare)
