"""The processes of a backtest, as the command sees them: gives them tasks, reads their lines, ends those that hang."""

import contextlib
import json
import os
import selectors
import subprocess
from collections.abc import Callable, Sequence
from typing import Any

from ninjacam.backtest.job import Question, Task
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import InvalidError, NinjacamError, ProcessorError
from ninjacam.core.interpreter import full_environment, python_command
from ninjacam.core.limits import kill_session

Line = dict[str, Any]
MODULE = "ninjacam.processes.backtest_job"
READ_BYTES = 1 << 18
MAX_LINE_BYTES = 4 << 20
POLL_S = 0.5
SETUP_S = 60.0
"""Minimum time for loading a module, and for `setup` and the first frame: loading large models takes many seconds."""


class JobCrashedError(NinjacamError):
    """The process of the job has ended by itself, or was ended because it printed no line for too long."""

    code = "job_crashed"


class JobChild:
    """One process. `task`: what it is doing; None: nothing. `ready`: its first answer; None: it is still loading."""

    def __init__(self, question: Question, clock: Clock) -> None:
        self.task: Task | None = None
        self.ready: Line | None = None
        self._clock = clock
        self._rest = b""
        self._has_begun = False
        self._popen = subprocess.Popen(
            [*python_command(MODULE), "--parent", str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=full_environment(),
            start_new_session=True,
        )
        self._heard_ns = clock.monotonic_ns()
        self._send(question.as_dict())

    @property
    def descriptor(self) -> int:
        assert self._popen.stdout is not None
        return self._popen.stdout.fileno()

    def overdue_s(self, timeout_s: float) -> float:
        """Return the limit in seconds that it has exceeded without a line, or 0."""
        if self.task is None and self.ready is not None:
            return 0.0  # It is idle.
        limit_s = timeout_s if self._has_begun else max(timeout_s, SETUP_S)
        is_overdue = (self._clock.monotonic_ns() - self._heard_ns) / 1e9 > limit_s
        return limit_s if is_overdue else 0.0

    def begin(self, task: Task) -> None:
        self.task = task
        self._has_begun = False
        self._heard_ns = self._clock.monotonic_ns()
        self._send(task.as_dict())

    def _send(self, message: Line) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):  # It has ended: `read` notices that.
            self._popen.stdin.write(json.dumps(message).encode() + b"\n")
            self._popen.stdin.flush()

    def read(self) -> list[Line]:
        """Return the complete lines. Raises: JobCrashedError: it has ended."""
        data = os.read(self.descriptor, READ_BYTES)
        if not data:  # It may be running: user code can close its output.
            raise JobCrashedError("The processor ended its process")
        self._heard_ns = self._clock.monotonic_ns()
        self._has_begun = self.task is not None
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise JobCrashedError("The process of the processor printed too long a line")
        return [json.loads(line) for line in lines]

    def end(self) -> None:
        """Kill it, and the processes that user code has started. Idempotent."""
        kill_session(self._popen)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class JobChildren:
    """`on_line(task, line)`: a line of a task. `on_crash(task, why)`: its process has ended; other tasks of its run are
    not begun. `timeout_s`: of one call of user code.
    """

    def __init__(
        self,
        question: Question,
        *,
        timeout_s: float,
        on_line: Callable[[Task, Line], None],
        on_crash: Callable[[Task, str], None],
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._question = question
        self._timeout_s = timeout_s
        self._on_line = on_line
        self._on_crash = on_crash
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._jobs: list[JobChild] = []
        self._waiting: list[Task] = []

    def start(self) -> Line:
        """Start the first process. Return its description of the processor. Raises: NinjacamError."""
        job = self._add()
        while job.ready is None:
            self._turn()
        return job.ready

    def run(self, tasks: Sequence[Task], at_once: int) -> None:
        """Run `tasks`. Raises: NinjacamError: the processor cannot be set up."""
        self._waiting = list(tasks)
        while self._waiting or any(job.task is not None for job in self._jobs):
            idle = [job for job in self._jobs if job.ready is not None and job.task is None]
            for job in idle:
                if self._waiting:
                    job.begin(self._waiting.pop(0))
            loading = sum(job.ready is None for job in self._jobs)
            if len(self._waiting) > loading and len(self._jobs) < at_once:
                self._add()
            self._turn()

    def close(self) -> None:
        """End all processes. Idempotent."""
        for job in self._jobs:
            job.end()
        self._jobs = []
        self._selector.close()

    def _add(self) -> JobChild:
        job = JobChild(self._question, self._clock)
        self._jobs.append(job)
        self._selector.register(job.descriptor, selectors.EVENT_READ, job)
        return job

    def _turn(self) -> None:
        """Wait for lines, and take them. Raises: NinjacamError."""
        readable = [key.data for key, _ in self._selector.select(POLL_S)]
        for job in list(self._jobs):
            if job in readable:
                try:
                    lines = job.read()
                except JobCrashedError as exc:
                    self._crashed(job, exc.message)
                    continue
                for line in lines:
                    self._take(job, line)
            elif limit_s := job.overdue_s(self._timeout_s):
                self._crashed(job, f"The processor did not return within {limit_s:g} s")

    def _take(self, job: JobChild, line: Line) -> None:
        if "error" in line:
            raise _to_error(line["error"])
        if "ready" in line:
            job.ready = line["ready"]
            return
        task = job.task
        if task is not None:
            self._on_line(task, line)
            if "done" in line:
                job.task = None

    def _crashed(self, job: JobChild, why: str) -> None:
        self._selector.unregister(job.descriptor)
        self._jobs.remove(job)
        job.end()
        task = job.task
        if task is None:
            raise ProcessorError(f"{why} while its module was loaded.")
        self._waiting = [each for each in self._waiting if each.run != task.run]
        self._on_crash(task, why)


def _to_error(error: Line) -> NinjacamError:
    message = str(error.get("message", ""))
    if error.get("code") == ProcessorError.code:
        return ProcessorError(message, traceback=str(error.get("traceback", "")))
    return InvalidError(message)
