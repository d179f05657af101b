"""Runs one job in a separate process: passes its input, reads its output, ends it. Not here: the jobs.

The process reads one JSON object from standard input, and writes JSON lines: {"progress": 0 ... 1}, and finally
{"result": {...}} or {"error": NinjacamError.as_dict()}. If it ends without either, it has crashed, and the job may
be retried.
"""

import contextlib
import json
import os
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.interpreter import bare_environment, full_environment
from ninjacam.core.limits import has_ended, kill_session

Json = dict[str, Any]
SILENT_S = 120.0
"""Seconds without output after which the process is considered hung. Loading large models takes a minute."""
MAX_LINE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a job. `result`, or `error`; neither: it crashed. `hung`: it was killed because it made no
    progress."""

    result: Json | None = None
    error: Json | None = None
    hung: bool = False


class JobProcess:
    """A job in its process. `bare`: run it without our environment, which contains secrets. Use it if the job
    decodes foreign data and needs no settings.

    Thread: the creating thread must outlive the process, which ends with that thread.
    """

    def __init__(
        self, argv: Sequence[str], question: Json, *, bare: bool, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.progress = 0.0
        self._clock = clock
        self._heard_ns = clock.monotonic_ns()
        self._rest = b""
        self._last: Json = {}
        self._outcome: Outcome | None = None
        with tempfile.TemporaryFile() as stdin:  # A pipe would block until the process reads.
            stdin.write(json.dumps(question).encode())
            stdin.seek(0)
            self._popen = subprocess.Popen(
                [*argv, "--parent", str(os.getpid())],
                stdin=stdin,
                stdout=subprocess.PIPE,
                env=bare_environment() if bare else full_environment(),
                start_new_session=True,
            )
        assert self._popen.stdout is not None
        self._pipe = self._popen.stdout.fileno()
        os.set_blocking(self._pipe, False)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def poll(self) -> Outcome | None:
        """Return the outcome; None: the job is running. Never blocks."""
        if self._outcome is not None:
            return self._outcome
        ended = has_ended(self._popen)  # Must precede reading, so that no output is missed.
        self._read()
        if not ended:
            if (self._clock.monotonic_ns() - self._heard_ns) / 1e9 > SILENT_S:
                self.kill()
                self._outcome = Outcome(hung=True)
            return self._outcome
        self.kill()
        result, error = self._last.get("result"), self._last.get("error")
        self._outcome = Outcome(
            result if isinstance(result, dict) else None, error if isinstance(error, dict) else None
        )
        return self._outcome

    def kill(self) -> None:
        """Kill the process at once, and those that user code has started. Idempotent."""
        kill_session(self._popen)
        self._release()

    def _release(self) -> None:
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def _read(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._pipe, MAX_LINE_BYTES):
                self._heard_ns = self._clock.monotonic_ns()
                *lines, self._rest = (self._rest + data).split(b"\n")
                self._rest = self._rest[:MAX_LINE_BYTES]
                for line in lines:
                    self._hear(line)

    def _hear(self, line: bytes) -> None:
        try:
            message = json.loads(line)
        except ValueError:
            return
        if not isinstance(message, Mapping):
            return
        if isinstance(message.get("progress"), int | float):
            self.progress = min(1.0, max(0.0, float(message["progress"])))
        else:
            self._last = dict(message)
