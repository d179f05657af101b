"""The life of a child process of the engine."""

import asyncio
from pathlib import Path

import pytest

from ninjacam.supervision import child as child_module
from ninjacam.supervision.child import Child
from ninjacam.supervision.control import NAME_TAKEN_STATUS
from ninjacam.testing.clock import FakeClock
from tests.unit.supervision.scripts import run_script


@pytest.mark.parametrize("turns", range(12))
def test_a_change_at_the_moment_of_the_stop_does_not_keep_the_child_alive(tmp_path: Path, turns: int) -> None:
    async def assign(_: dict[str, object]) -> None: ...

    async def live() -> None:
        child = Child(name="c", run_dir=tmp_path, orphan_s=60, assign=assign, status=dict)
        running = asyncio.create_task(child.run())
        await asyncio.sleep(0.02)
        child.stop.set()
        for _ in range(turns):  # the change follows after this many turns of the event loop
            await asyncio.sleep(0)
        child.changed()
        async with asyncio.timeout(5):
            await running

    asyncio.run(live())


def test_without_an_engine_a_child_continues_for_a_limited_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = FakeClock()
    monkeypatch.setattr(child_module, "SYSTEM_CLOCK", clock)
    monkeypatch.setattr(child_module, "REPORT_EVERY_S", 0.01)
    rounds = asyncio.Semaphore(0)

    def is_reachable() -> bool:
        rounds.release()
        return True

    async def assign(_: dict[str, object]) -> None: ...

    async def live() -> None:
        child = Child(name="c", run_dir=tmp_path, orphan_s=60, assign=assign, status=dict)
        monkeypatch.setattr(child._control, "is_reachable", is_reachable)
        running = asyncio.create_task(child.run())
        async with asyncio.timeout(5):
            for seconds in (0, 59):
                clock.advance(seconds)
                for _ in range(3):
                    await rounds.acquire()
                    assert not child.stop.is_set()
            clock.advance(2)
            await running

    asyncio.run(live())


SECOND = """
import sys
from pathlib import Path
from ninjacam.supervision.child import Child, run_loop

async def assign(message): ...

child = Child(name="c", run_dir=Path(sys.argv[1]), orphan_s=0.1, assign=assign, status=dict)
run_loop(child.run)
"""


def test_a_second_process_of_a_name_ends_and_leaves_the_socket_of_the_first(tmp_path: Path) -> None:
    async def assign(_: dict[str, object]) -> None: ...

    def start_second() -> int:
        return run_script(SECOND, str(tmp_path)).returncode

    async def live() -> None:
        first = Child(name="c", run_dir=tmp_path, orphan_s=60, assign=assign, status=dict)
        running = asyncio.create_task(first.run())
        await asyncio.sleep(0.02)
        assert await asyncio.to_thread(start_second) == NAME_TAKEN_STATUS
        assert first._control.is_reachable()
        first.stop.set()
        async with asyncio.timeout(5):
            await running
        assert await asyncio.to_thread(start_second) == 0, "the name is free again"

    asyncio.run(live())
