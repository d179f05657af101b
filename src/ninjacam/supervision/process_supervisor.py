"""Runs the processes of `ninjacam serve` together: the engine, the web workers and others.

The parent restarts processes that die, and stops all of them on a signal. It imports the modules of its children
once, and forks the children; if it cannot fork, they start as commands.
"""

import contextlib
import functools
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ninjacam.core.imports import importing
from ninjacam.core.interpreter import bare_environment, full_environment
from ninjacam.core.lifecycle import Backoff
from ninjacam.core.limits import die_with_parent
from ninjacam.supervision.forking import ForkedProcess, can_fork, fork

logger = logging.getLogger("ninjacam.supervision")

SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
STOP_DEADLINE_S = 8.0
"""Seconds for all processes to stop after SIGTERM; each of them needs at most 2."""
GOOD_LIFE_S = 10.0
BACKOFF = Backoff(first_s=0.2, max_s=10.0)


@dataclass(slots=True)
class SupervisedProcess:
    """A process and its state. `argv`: its command. `prepare`: imports the modules of its forks into this process,
    and returns the function that they run; None: it always starts as a command. `fds`: descriptors that it inherits.
    `bare`: its environment contains no secrets. `quiet`: its standard output is discarded."""

    name: str
    argv: Sequence[str]
    fds: tuple[int, ...] = ()
    prepare: Callable[[], Callable[[], None]] | None = None
    process: "subprocess.Popen[bytes] | ForkedProcess | None" = None
    started_s: float = 0.0
    failures: int = 0
    restarts: int = 0
    due_s: float | None = 0.0
    bare: bool = False
    quiet: bool = False


class ProcessSupervisor:
    """Thread: the main one, which blocks in `run`."""

    def __init__(self, members: list[SupervisedProcess], *, record: Path) -> None:
        self._members = members
        self._record = record

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            self._run()
        finally:
            self._stop()
            with contextlib.suppress(OSError):
                self._record.unlink()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _run(self) -> None:
        with importing():
            for member in self._members:  # Before the first fork, so that all children share all imports.
                self._prepare(member)
        while True:
            now_s = time.monotonic()
            due = [m for m in self._members if m.due_s is not None and m.due_s <= now_s]
            for member in due:
                self._start(member)
            if due:
                self._write_record()
            waits = [m.due_s - now_s for m in self._members if m.due_s is not None]
            received = signal.sigtimedwait(SIGNALS, max(0.01, min(waits, default=3600.0)))
            if received is not None and received.si_signo in (signal.SIGTERM, signal.SIGINT):
                return
            self._reap()

    def _start(self, member: SupervisedProcess) -> None:
        main = self._prepare(member)
        if main is not None and can_fork():
            member.process = fork(
                functools.partial(self._in_fork, os.getpid(), member, main), title=f"ninjacam {member.name}"
            )
        else:
            member.process = subprocess.Popen(
                member.argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if member.quiet else None,
                pass_fds=member.fds,
                env=bare_environment() if member.bare else full_environment(),
                start_new_session=True,  # Ctrl-C must reach only this process, which stops the others.
                preexec_fn=functools.partial(_before_exec, os.getpid()),
            )
        member.started_s = time.monotonic()
        member.due_s = None

    def _prepare(self, member: SupervisedProcess) -> Callable[[], None] | None:
        if member.prepare is None:
            return None
        try:
            return member.prepare()
        except Exception:  # The boundary to the project's code: as a command, only this process fails.
            logger.exception("%s cannot be imported here, so it starts as a command", member.name)
            member.prepare = None
            return None

    def _in_fork(self, parent_pid: int, member: SupervisedProcess, main: Callable[[], None]) -> None:
        die_with_parent(parent_pid)
        for descriptor in {each for other in self._members for each in other.fds} - {*member.fds}:
            os.close(descriptor)
        main()

    def _reap(self) -> None:
        for member in self._members:
            if member.process is None or member.process.poll() is None:
                continue
            now_s = time.monotonic()
            code = member.process.returncode
            member.process = None
            member.failures = 0 if now_s - member.started_s > GOOD_LIFE_S else member.failures + 1
            member.restarts += 1
            delay_s = BACKOFF.delay_s(member.failures - 1) if member.failures > 1 else 0.0
            member.due_s = now_s + delay_s
            logger.warning("%s ended (%s), starting it again", member.name, code)

    def _stop(self) -> None:
        alive = [m.process for m in reversed(self._members) if m.process is not None]
        for process in alive:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        deadline_s = time.monotonic() + STOP_DEADLINE_S
        for process in alive:
            try:
                process.wait(max(0.0, deadline_s - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _write_record(self) -> None:
        """Write `<run>/serve.json`: the name and pid of each process, for operators and tests."""
        processes = [
            {"name": m.name, "pid": m.process.pid if m.process else None, "restarts": m.restarts}
            for m in self._members
        ]
        fresh = self._record.with_name(f".{self._record.name}.new")
        fresh.write_text(json.dumps({"pid": os.getpid(), "processes": processes}))
        fresh.replace(self._record)


def _before_exec(parent_pid: int) -> None:
    """Run in the child before exec. Safe because the parent has one thread."""
    die_with_parent(parent_pid)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
