import asyncio
import errno
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ninjacam.core.lifecycle import Backoff
from ninjacam.supervision import child_process
from ninjacam.supervision.child_process import ChildProcess, Death
from ninjacam.supervision.started import CommandProcess, StartedProcess
from ninjacam.testing.clock import FakeClock
from tests.harness.processes import wait_until


def deaths_of(start: Callable[[], Awaitable[StartedProcess]], run_dir: Path) -> list[Death]:
    """Run a child until its first death, and return its deaths."""
    deaths: list[Death] = []

    def on_death(child: ChildProcess, death: Death) -> None:
        deaths.append(death)
        child.stop()

    async def go() -> None:
        child = ChildProcess(
            name="vision-1",
            kind="vision",
            start=start,
            run_dir=run_dir,
            hang_s=4.0,
            on_report=lambda _: None,
            on_death=on_death,
        )
        await asyncio.wait_for(child.run(), 10)

    asyncio.run(go())
    return deaths


@pytest.mark.parametrize(
    ("late_s", "killed"), [((0.0,), True), ((0.4,), True), ((60.0,), False), ((60.0, 0.0), True)]
)
def test_a_child_is_not_killed_for_time_in_which_the_engine_itself_was_suspended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late_s: tuple[float, ...], killed: bool
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(child_process, "SYSTEM_CLOCK", clock)

    async def never() -> StartedProcess:
        raise AssertionError

    async def go() -> None:
        child = ChildProcess(
            name="vision-1",
            kind="vision",
            start=never,
            run_dir=tmp_path,
            hang_s=4.0,
            on_report=lambda _: None,
            on_death=lambda *_: None,
        )
        child._reported_ns = clock.monotonic_ns()
        waits = list(late_s)

        async def wait(
            *_: object,
            timeout: float,
            **__: object,
        ) -> tuple[set[object], set[object]]:
            if not waits:
                return {child}, set()
            clock.advance(timeout + waits.pop(0))
            return set(), set()

        with monkeypatch.context() as patched:
            patched.setattr(asyncio, "wait", wait)
            await child._watch()
        assert child._killed_by_us is killed

    asyncio.run(go())


def test_a_child_that_cannot_be_started_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_process, "RESPAWN", Backoff(first_s=0.01))
    tries = 0

    async def start() -> CommandProcess:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
        return CommandProcess([sys.executable, "-c", "import os; os._exit(5)"], os.environ)

    assert (deaths_of(start, tmp_path), tries) == ([Death(5, by_us=False)], 3)


@pytest.mark.parametrize(
    ("program", "death"),
    [
        ("import os; os._exit(int(os.environ['STATUS']))", Death(3, by_us=False)),
        ("import time; time.sleep(60)", Death(-signal.SIGKILL, by_us=True)),
    ],
)
def test_the_exit_status_of_a_child_is_reported_even_if_it_never_listened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, death: Death
) -> None:
    monkeypatch.setattr(child_process, "START_DEADLINE_S", 2.0)

    async def start() -> CommandProcess:
        return CommandProcess([sys.executable, "-c", program], {**os.environ, "STATUS": "3"})

    assert deaths_of(start, tmp_path) == [death]


CHILD = """
import asyncio, os, sys, time
from pathlib import Path
from ninjacam.supervision.child import Child, run_loop

async def assign(message): ...

def make(): return Child(name="capture-1", run_dir=Path(sys.argv[1]), orphan_s=20, assign=assign, status=dict)

async def run_with_fork():
    child = make()
    running = asyncio.create_task(child.run())
    await asyncio.sleep(0.1)
    pid = os.fork()
    if pid == 0:
        time.sleep(60)
        os._exit(0)
    print(pid, flush=True)
    await running

time.sleep(float(sys.argv[2]))
run_loop(run_with_fork if sys.argv[3:] else make().run)
"""


class Supervised:
    """A ChildProcess whose processes run CHILD."""

    def __init__(self, run_dir: Path, delay_s: float) -> None:
        self.started: list[CommandProcess] = []
        self.deaths: list[Death] = []
        self.heard: asyncio.Queue[int] = asyncio.Queue()
        self._run_dir = run_dir
        self._delay_s = delay_s
        self.child = ChildProcess(
            name="capture-1",
            kind="capture",
            start=self._start,
            run_dir=run_dir,
            hang_s=20,
            on_report=lambda report: self.heard.put_nowait(report["pid"]),
            on_death=lambda _, death: self.deaths.append(death),
        )

    def start_one(self, delay_s: float) -> CommandProcess:
        command = [sys.executable, "-c", CHILD, str(self._run_dir), str(delay_s)]
        return CommandProcess(command, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    async def _start(self) -> CommandProcess:
        self.started.append(self.start_one(self._delay_s))
        return self.started[-1]


@pytest.mark.parametrize(("first_s", "second_s"), [(0.5, 30.0), (0.0, 0.0)])
def test_a_process_that_a_killed_engine_had_just_started_is_taken_over(
    tmp_path: Path, first_s: float, second_s: float
) -> None:
    async def go() -> None:
        supervised = Supervised(tmp_path, second_s)
        orphan = supervised.start_one(first_s)

        def living() -> list[int]:
            return [each.pid for each in (orphan, *supervised.started) if not each.has_ended()]

        running = asyncio.create_task(supervised.child.run())
        async with asyncio.timeout(20):
            while len(alive := living()) != 1 or supervised.child.pid not in alive:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            while await supervised.heard.get() != alive[0]:
                pass
            assert supervised.deaths == []
            assert second_s == 0 or alive == [orphan.pid]
            supervised.child.stop()
            await running
            await asyncio.to_thread(orphan._popen.wait)

    asyncio.run(go())


def test_a_fork_that_holds_the_socket_of_a_killed_process_does_not_prevent_its_restart(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", CHILD, str(tmp_path), "0", "fork"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as forking:
        assert forking.stdout is not None
        fork = int(forking.stdout.readline())
        forking.kill()
        try:
            forking.wait(10)

            async def go() -> None:
                supervised = Supervised(tmp_path, 0.3)
                assert not await supervised.child.adopt(), "nobody reports"
                running = asyncio.create_task(supervised.child.run())
                async with asyncio.timeout(20):
                    assert await supervised.heard.get() == supervised.started[0].pid
                    assert (len(supervised.started), supervised.deaths) == (1, [])
                    supervised.child.stop()
                    await running

            asyncio.run(go())
        finally:
            os.kill(fork, signal.SIGKILL)


def test_another_process_with_the_number_of_a_dead_one_is_not_adopted() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()", "capture-1"], stdin=subprocess.PIPE) as other:
        wait_until(lambda: child_process._is_named(other.pid, "capture-1"), 10, "exec")
        assert not child_process._is_named(other.pid, "vision-1")
        other.communicate(b"\n")
    assert not child_process._is_named(other.pid, "capture-1")
