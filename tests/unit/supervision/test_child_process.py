import asyncio
import errno
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ninjacam.core.lifecycle import Backoff
from ninjacam.supervision import child_process
from ninjacam.supervision.child_process import ChildProcess, Death
from ninjacam.supervision.started import CommandProcess, StartedProcess
from ninjacam.testing.clock import FakeClock


def deaths_of(start: Callable[[], Awaitable[StartedProcess]], run_dir: Path) -> list[Death]:
    """Run a child until its first death."""
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
import asyncio, sys, time
from pathlib import Path
from ninjacam.supervision.child import Child

async def assign(message): ...

time.sleep(float(sys.argv[2]))
asyncio.run(Child(name="capture-1", run_dir=Path(sys.argv[1]), orphan_s=20, assign=assign, status=dict).run())
"""


@pytest.mark.parametrize(("first_s", "second_s"), [(0.5, 30.0), (0.0, 0.0)])
def test_a_process_that_a_killed_engine_had_just_started_is_taken_over(
    tmp_path: Path, first_s: float, second_s: float
) -> None:
    def start_one(delay_s: float) -> CommandProcess:
        command = [sys.executable, "-c", CHILD, str(tmp_path), str(delay_s)]
        return CommandProcess(command, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})

    started: list[CommandProcess] = []

    async def start() -> CommandProcess:
        started.append(start_one(second_s))
        return started[-1]

    def living() -> list[int]:
        return [each.pid for each in (orphan, *started) if not each.has_ended()]

    orphan = start_one(first_s)

    async def go() -> None:
        heard: asyncio.Queue[int] = asyncio.Queue()
        deaths: list[Death] = []
        child = ChildProcess(
            name="capture-1",
            kind="capture",
            start=start,
            run_dir=tmp_path,
            hang_s=20,
            on_report=lambda report: heard.put_nowait(report["pid"]),
            on_death=lambda _, death: deaths.append(death),
        )
        running = asyncio.create_task(child.run())
        async with asyncio.timeout(20):
            pids = [await heard.get()]
            while len(alive := living()) > 1:  # noqa: ASYNC110 (another process ends)
                await asyncio.sleep(0.02)
            pids.append(await heard.get())
            assert (pids, alive, deaths) == ([pids[0]] * 2, [pids[0]], [])
            assert second_s == 0 or pids[0] == orphan.pid
            child.stop()
            await running
            await asyncio.to_thread(orphan._popen.wait)

    asyncio.run(go())
