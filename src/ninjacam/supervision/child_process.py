"""One child process of the engine: adopted or started, assigned its work, monitored, and restarted when it dies.

Not here: the functions and the number of children.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ninjacam import __version__
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.core.lifecycle import Backoff, Stop
from ninjacam.supervision.control import NAME_TAKEN_STATUS, ControlClient, Json
from ninjacam.supervision.started import PidfdProcess, StartedProcess

logger = logging.getLogger("ninjacam.supervision")

START_DEADLINE_S = 90.0
"""Seconds from exec to a listening control socket. Django projects with many apps take seconds."""
STOP_DEADLINE_S = 1.2
CONNECT_EVERY_S = 0.02
ADOPT_S = 3.0
"""Seconds for a child of a previous engine to report."""
ANSWER_S = 1.0
"""Seconds for a child to report after a connection. It does so within 0.1 s unless the host is busy."""
TAKEN_S = 0.3
LATE_S = 0.5
"""If the engine checks a child later than planned by more than this, the engine itself was suspended."""
FORGIVEN_S = 1.5
"""Seconds for the child to report after that: it may have been suspended, too."""
GOOD_LIFE_S = 10.0
RESPAWN = Backoff(first_s=0.2, max_s=10.0)


@dataclass(frozen=True, slots=True)
class Death:
    """The end of a child. `returncode`: as in `Popen` (-9: SIGKILL); None: unknown, because it was adopted."""

    returncode: int | None
    by_us: bool


class ChildProcess:
    """A child that is kept running. `start`: starts it, initially and after each death. `hang_s`: seconds without a
    report after which it is killed. Callbacks run in the event loop."""

    def __init__(
        self,
        *,
        name: str,
        kind: str,
        start: Callable[[], Awaitable[StartedProcess]],
        run_dir: Path,
        hang_s: float,
        on_report: Callable[[Json], None],
        on_death: Callable[["ChildProcess", Death], None],
    ) -> None:
        self.name = name
        self.kind = kind
        self.pid: int | None = None
        self.restarts = 0
        self.report: Json = {}
        self._start = start
        self._control_path = run_dir / f"{name}.control"
        self._hang_s = hang_s
        self._on_report = on_report
        self._on_death = on_death
        self._stop = Stop()
        self._process: StartedProcess | None = None
        self._client: ControlClient | None = None
        self._lost = asyncio.Event()
        self._reported_ns = 0
        self._work: Json | None = None
        self._killed_by_us = False

    # --- work ---

    def assign(self, work: Json) -> None:
        """Set the complete work of the child. It is sent if it has changed, and after each restart."""
        if work != self._work:
            self._work = work
            self._send_work()

    def _send_work(self) -> None:
        if self._client is not None and self._work is not None:
            self._client.send({"op": "assign", **self._work})

    # --- life ---

    async def adopt(self) -> bool:
        """Adopt a running child of this name and version, and return whether there is one. Stop a child of another
        version."""
        if not await self._connect():
            return False
        assert self._client is not None
        pid = self._client.peer_pid()
        if pid is not None and _is_named(
            pid, self.name
        ):  # Not a fork that has inherited the socket of a dead process.
            self._take_over(pid)  # It may be suspended, and never report.
        await self._wait_for_report(ADOPT_S)
        if self.report.get("version") == __version__:
            logger.info("%s: adopted pid %s", self.name, self.pid)
            return True
        await self._end()
        return False

    async def run(self) -> None:
        """Keep the child running until `stop`."""
        failures = 0
        while not self._stop.is_set():
            started_ns = SYSTEM_CLOCK.monotonic_ns()
            if self._client is None:
                try:
                    self._process = await self._start()
                except OSError as exc:  # A lack of memory, processes or open files may be temporary.
                    failures += 1
                    logger.error("%s cannot be started: %s", self.name, exc.strerror)  # noqa: TRY400
                    await self._stop.sleep(RESPAWN.delay_s(failures))
                    continue
                self._killed_by_us = False
                self.pid = self._process.pid
                await self._connect_to_started()
            if self._client is not None:
                self._send_work()
                await self._watch()
            if self._stop.is_set():
                break
            death = await self._end()
            if death.returncode == NAME_TAKEN_STATUS:
                await self._stop.sleep(TAKEN_S)  # The other process is not listening yet.
                continue
            self._on_death(self, death)
            lived_s = (SYSTEM_CLOCK.monotonic_ns() - started_ns) / 1e9
            failures = 0 if lived_s > GOOD_LIFE_S else failures + 1
            self.restarts += 1
            logger.warning("%s: ended (%s), starting it again", self.name, death.returncode)
            if failures > 1:
                await self._stop.sleep(RESPAWN.delay_s(failures - 1))
        await self._end()

    def stop(self) -> None:
        """Make `run` end the child and return within 2 s."""
        self._stop.set()

    async def _connect_to_started(self) -> None:
        """Return when the child listens, has died, has taken too long, or must stop."""
        deadline_ns = SYSTEM_CLOCK.monotonic_ns() + int(START_DEADLINE_S * 1e9)
        while SYSTEM_CLOCK.monotonic_ns() < deadline_ns and not self._stop.is_set():
            if await self._connect() and await self._is_usable():
                return
            if self._process is not None and self._process.has_ended():
                return
            await asyncio.sleep(CONNECT_EVERY_S)
        self._killed_by_us = not self._stop.is_set()

    async def _connect(self) -> bool:
        self._lost.clear()
        self.report = {}
        client = ControlClient(self._control_path, self._heard, self._lost.set)
        if not await client.connect():
            return False
        self._reported_ns = SYSTEM_CLOCK.monotonic_ns()
        self._client = client
        return True

    async def _is_usable(self) -> bool:
        """Return whether the listening process is the started one, or one that another engine started just before it
        was killed. The latter is adopted, and the started one ends. Otherwise, the connection is closed."""
        assert self._client is not None
        pid = self._client.peer_pid()
        if pid is None or pid == self.pid:
            return True
        # A fork made by user code may hold the socket of a dead process: only a report is proof.
        await self._wait_for_report(ANSWER_S)
        if self.report.get("pid") == pid and self.report.get("version") == __version__:
            logger.info("%s: pid %s, which another engine started, runs already", self.name, pid)
            second = self._process
            self._take_over(pid)
            if second is not None:
                second.kill()
                await second.wait()
            return True
        if self.report:
            self._client.send({"op": "stop"})
        self._client.close()
        self._client = None
        return False

    async def _wait_for_report(self, timeout_s: float) -> None:
        for _ in range(round(timeout_s / CONNECT_EVERY_S)):
            if self.report or self._lost.is_set():
                return
            await asyncio.sleep(CONNECT_EVERY_S)

    def _take_over(self, pid: int) -> None:
        """Open a handle to a process that another engine started."""
        self.pid, self._process = pid, None
        with contextlib.suppress(OSError):
            self._process = PidfdProcess(pid, os.pidfd_open(pid))

    def _heard(self, report: Json) -> None:
        self._reported_ns = SYSTEM_CLOCK.monotonic_ns()
        self.report = report
        self._on_report(report)

    async def _watch(self) -> None:
        """Return when the child has died, hangs, or must stop."""
        lost = asyncio.create_task(self._lost.wait())
        stop = asyncio.create_task(self._stop.wait())
        try:
            while True:
                silent_s = (SYSTEM_CLOCK.monotonic_ns() - self._reported_ns) / 1e9
                if silent_s >= self._hang_s:
                    logger.error(
                        "%s: no sign of life for %.1f s, killing pid %s", self.name, silent_s, self.pid
                    )
                    self._killed_by_us = True
                    return
                asked_ns, timeout_s = SYSTEM_CLOCK.monotonic_ns(), self._hang_s - silent_s
                done, _ = await asyncio.wait(
                    (lost, stop), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED
                )
                if done:
                    return
                now_ns = SYSTEM_CLOCK.monotonic_ns()
                if (now_ns - asked_ns) / 1e9 - timeout_s > LATE_S:
                    self._reported_ns = max(
                        self._reported_ns, now_ns - int((self._hang_s - FORGIVEN_S) * 1e9)
                    )
        finally:
            lost.cancel()
            stop.cancel()

    async def _end(self) -> Death:
        """Stop the child by a command if it is connected, otherwise by SIGKILL. Idempotent."""
        if self._client is not None:
            if not self._killed_by_us and not self._lost.is_set():
                self._client.send({"op": "stop"})
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_DEADLINE_S):
                        await self._lost.wait()
            self._client.close()
            self._client = None
        returncode = None
        if self._process is not None:
            # After EOF, the child is dead or dying. A short wait lets it exit with its own status.
            for _ in range(10):
                if self._process.has_ended():
                    break
                await asyncio.sleep(CONNECT_EVERY_S)
            else:
                self._process.kill()
            returncode = await self._process.wait()
            self._process = None
        self.pid = None
        self.report = {}
        return Death(returncode, self._killed_by_us)


def _is_named(pid: int, name: str) -> bool:
    """Return whether the command line of a process contains the name."""
    try:
        return name.encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
