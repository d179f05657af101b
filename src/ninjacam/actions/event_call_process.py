"""The process in which processors with `when="events"` run, as the jobs process sees it.

Not here: what it does (`ninjacam.processes.event_worker`).
"""

import contextlib
import json
import os
import selectors
import signal
import subprocess
from collections.abc import Callable
from typing import Any, Final

from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.interpreter import full_environment, python_command
from ninjacam.core.limits import has_ended, kill_session
from ninjacam.core.memory import host_memory_bytes, resident_bytes
from ninjacam.supervision.crash_record import read_last_words

Json = dict[str, Any]
LIMITS_S: Final = {"load": 90.0, "setup": 60.0, "call": 30.0}
"""Seconds that the process may take to start or to load changed code; for `setup`; and for a call."""
LOOK_EVERY_S = 0.25
MAX_LINE_BYTES = 256 << 10
ABORT_S = 2.0
"""Seconds to write the traceback of a call that does not return."""
_MODULE = "ninjacam.processes.event_worker"


class CallProcessEndedError(Exception):
    """The process has ended during a call, or was ended because of it. `was_killed`: by another process."""

    def __init__(self, how: str, *, traceback: str = "", was_killed: bool = False) -> None:
        super().__init__(how)
        self.traceback = traceback
        self.was_killed = was_killed


class CallStoppedError(Exception):
    """The caller of `call` stops."""


class CallProcess:
    """Thread: one, which must outlive the process: it ends with that thread. `memory_bytes`: above it, the process is
    ended; 0: half of the host's.
    """

    def __init__(
        self, *, memory_bytes: int = 0, clock: Clock = SYSTEM_CLOCK, limits_s: dict[str, float] | None = None
    ) -> None:
        self._clock = clock
        self._limits_s = limits_s or dict(LIMITS_S)
        self._memory_bytes = memory_bytes or host_memory_bytes() // 2
        self._running_path = get_settings().run_dir / "events-1.running"
        self._rest = b""
        self._popen = subprocess.Popen(
            python_command(_MODULE, "--parent", str(os.getpid()), str(self._running_path)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=full_environment(),
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def call(self, question: Json, on_wait: Callable[[], None]) -> Json:
        """Return the answer. Blocks. `on_wait`: called four times per second; its exceptions end the call, and the
        process must be closed then.

        Raises: CallProcessEndedError.
        """
        assert self._popen.stdin is not None
        with contextlib.suppress(OSError):  # It has ended, which is noticed below.
            self._popen.stdin.write(json.dumps(question).encode() + b"\n")
            self._popen.stdin.flush()
        phase, since_ns = "load", self._clock.monotonic_ns()
        while True:
            message = self._read()
            if message is None:
                on_wait()
                self._check(phase, (self._clock.monotonic_ns() - since_ns) / 1e9)
            elif message.get("phase") in self._limits_s:
                phase, since_ns = str(message["phase"]), self._clock.monotonic_ns()
            else:
                return message

    def close(self) -> None:
        """Kill the process and its children at once. Idempotent."""
        kill_session(self._popen)
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _read(self) -> Json | None:
        """Return the next message; None: there is none yet. Raises: CallProcessEndedError."""
        assert self._popen.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self._popen.stdout, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(LOOK_EVERY_S):
                    if has_ended(self._popen):  # Its children may keep the pipe open.
                        raise self._ended()
                    return None
                data = os.read(self._popen.stdout.fileno(), 1 << 16)
                self._rest += data
                if not data or len(self._rest) > MAX_LINE_BYTES:
                    raise self._ended()
        line, _, self._rest = self._rest.partition(b"\n")
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        if not isinstance(message, dict):
            raise self._ended()
        return message

    def _check(self, phase: str, passed_s: float) -> None:
        """Raises: CallProcessEndedError: it takes too long or too much memory."""
        limit_s = self._limits_s[phase]
        if passed_s > limit_s:
            self._popen.send_signal(
                signal.SIGABRT
            )  # faulthandler writes where it is, whatever holds the interpreter.
            has_ended(self._popen, ABORT_S)
            raise CallProcessEndedError(
                f"did not return within {limit_s:g} s, and its process was ended",
                traceback=read_last_words(self._running_path).traceback,
            )
        if resident_bytes(self.pid) > self._memory_bytes:
            raise CallProcessEndedError("took more memory than this host can give, and its process was ended")

    def _ended(self) -> CallProcessEndedError:
        """End the children that user code has started, too."""
        is_over = has_ended(self._popen, ABORT_S)
        kill_session(self._popen)
        status = self._popen.returncode if is_over else None
        was_killed = status in (-signal.SIGKILL, -signal.SIGTERM)
        if status is None:
            how = "has sent an answer that cannot be read, and its process was ended"
        elif status < 0:
            how = f"ended its process ({signal.Signals(-status).name})"
        else:
            how = f"ended its process (exit status {status})"
        traceback = "" if was_killed else read_last_words(self._running_path).traceback
        return CallProcessEndedError(how, traceback=traceback, was_killed=was_killed)
