"""Child processes whose output is part of every failure message."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, TypeVar

from tests.harness.fair_clock import fair_s

ROOT = Path(__file__).resolve().parents[2]
POLL_S = 0.02
_MAX_POLL_S = 0.2
_TAIL_CHARACTERS = 6000

T = TypeVar("T")


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that was free a moment ago.

    The kernel does not use this range for outgoing connections, so connections of other tests do not take the port.
    """
    while True:
        port = random.randint(20_000, 32_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def poll_s(took_s: float) -> float:
    """Return the pause after a condition that took `took_s`: one that sends a request must not keep processors busy."""
    return max(POLL_S, min(5 * took_s, _MAX_POLL_S))


def wait_until(
    condition: Callable[[], T | None], timeout_s: float, what: str, *, processes: "Sequence[Process]" = ()
) -> T:
    """Poll `condition` and return its first true value.

    Raises: AssertionError: timeout, or one of `processes` ended; with their output.
    """
    deadline_s = fair_s() + timeout_s
    while True:
        begun_s = time.monotonic()
        value = condition()
        if value:
            return value
        took_s = time.monotonic() - begun_s
        ended = [process for process in processes if not process.is_running()]
        if ended or fair_s() > deadline_s:
            why = (
                f"{ended[0].name} ended with {ended[0].returncode}" if ended else f"not within {timeout_s} s"
            )
            raise AssertionError(f"{what}: {why}\n" + "\n".join(process.tail() for process in processes))
        time.sleep(poll_s(took_s))


def wait_for_exit(child: "subprocess.Popen[Any]", timeout_s: float) -> int:
    """Return the exit status of a child.

    `timeout_s`: on the fair clock. Raises: subprocess.TimeoutExpired: it still runs.
    """
    deadline_s = fair_s() + timeout_s
    while True:
        try:
            return child.wait(max(0.0, deadline_s - fair_s()))
        except subprocess.TimeoutExpired:
            if fair_s() >= deadline_s:
                raise


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def kill(pid: int) -> None:
    """Send SIGKILL to one process and wait until it has ended."""
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not is_alive(pid), 5, f"end of process {pid}")


class Process:
    """A child in its own session, with output in a temporary file. It is killed at the end of its `with` block.

    `environment`: added to the parent's environment.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str | os.PathLike[str]],
        *,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        control: bool = False,
    ) -> None:
        self.name = name
        self.command = [os.fspath(part) for part in command]
        self.environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self.cwd = cwd or ROOT
        self._control = control
        self._child: subprocess.Popen[bytes] | None = None
        self._output: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed in __exit__)

    def start(self) -> Self:
        self._child = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE if self._control else subprocess.DEVNULL,
            stdout=self._output,
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=self.cwd,
            start_new_session=True,
        )
        return self

    @property
    def child(self) -> "subprocess.Popen[bytes]":
        assert self._child is not None, f"{self.name} was not started"
        return self._child

    @property
    def pid(self) -> int:
        return self.child.pid

    @property
    def returncode(self) -> int | None:
        return self.child.poll()

    def is_running(self) -> bool:
        return self.child.poll() is None

    @property
    def output(self) -> str:
        """Return all output of the process and its children so far."""
        size = os.fstat(self._output.fileno()).st_size
        return os.pread(self._output.fileno(), size, 0).decode("utf-8", "replace")

    def tail(self) -> str:
        return f"--- output of {self.name} ---\n{self.output[-_TAIL_CHARACTERS:]}"

    def wait_for_output(self, text: str, timeout_s: float = 10.0) -> str:
        """Wait until `text` was printed and return the whole line."""

        def line() -> str | None:
            return next((line for line in self.output.splitlines() if text in line), None)

        return wait_until(line, timeout_s, f"{text!r} from {self.name}", processes=[self])

    def send_line(self, line: str) -> None:
        """Write to the standard input (`control` only)."""
        assert self.child.stdin
        self.child.stdin.write(line.encode() + b"\n")
        self.child.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def freeze(self) -> None:
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.signal(signal.SIGCONT)

    def wait(self, timeout_s: float = 10.0) -> int:
        """Return the exit status. Raises: AssertionError: the process keeps running."""
        try:
            return wait_for_exit(self.child, timeout_s)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.name} did not end within {timeout_s} s\n{self.tail()}") from None

    def terminate(self, timeout_s: float = 10.0) -> float:
        """Send SIGTERM and return the seconds until the process ended. Raises: AssertionError: it keeps running."""
        started_s = fair_s()
        self.signal(signal.SIGTERM)
        self.wait(timeout_s)
        return fair_s() - started_s

    def kill(self) -> None:
        """Send SIGKILL to the process and all others in its session. Idempotent."""
        if self._child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait(10)
        if self._child.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._child.stdin.close()

    def close(self) -> None:
        """Send SIGTERM, and SIGKILL after 5 s. Idempotent."""
        if self._child is not None and self._child.poll() is None:
            self.thaw()
            self.signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(5)
        self.kill()

    def __enter__(self) -> Self:
        if self._child is None:
            try:
                self.start()
            except BaseException as error:
                self.__exit__(type(error), error, error.__traceback__)  # otherwise it would keep running
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
        self._output.close()


def run(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None, timeout_s: float = 60.0
) -> str:
    """Return the standard output of a command. Raises: AssertionError: the command fails; with its output."""
    done = complete(command, {**os.environ, **(environment or {})}, timeout_s=timeout_s)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def complete(
    command: Sequence[str], environment: Mapping[str, str], *, stdin: str = "", timeout_s: float = 60.0
) -> "subprocess.CompletedProcess[str]":
    """Run a command to completion. `timeout_s`: on the fair clock. Raises: subprocess.TimeoutExpired: it is killed."""
    pipe, deadline_s = subprocess.PIPE, fair_s() + timeout_s
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as child:
        given: str | None = stdin
        while True:
            try:
                printed = child.communicate(given, max(0.0, deadline_s - fair_s()))
                return subprocess.CompletedProcess(command, child.returncode, *printed)
            except subprocess.TimeoutExpired:
                given = None  # it is being written
                if fair_s() >= deadline_s:
                    child.kill()
                    raise
            except BaseException:
                child.kill()
                raise


def python(*arguments: str) -> list[str]:
    """Return a command line of this interpreter that ignores the warnings that the tests turn into errors."""
    return [sys.executable, *arguments]
