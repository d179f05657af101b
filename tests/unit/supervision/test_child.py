"""The life of a child process of the engine."""

import asyncio
from pathlib import Path

import pytest

from ninjacam.supervision import child as child_module
from ninjacam.supervision.child import Child
from ninjacam.testing.clock import FakeClock


@pytest.mark.parametrize("turns", range(12))
def test_a_change_at_the_moment_of_the_stop_does_not_keep_the_child_alive(tmp_path: Path, turns: int) -> None:
    async def assign(_: dict[str, object]) -> None: ...

    async def live() -> None:
        child = Child(name="c", run_dir=tmp_path, orphan_s=60, assign=assign, status=dict)
        running = asyncio.create_task(child.run())
        await asyncio.sleep(0.02)
        child.stop.set()
        for _ in range(turns):  # so many turns of the event loop later
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


def test_a_second_child_of_a_name_ends_and_leaves_the_socket_of_the_first(tmp_path: Path) -> None:
    async def assign(_: dict[str, object]) -> None: ...

    async def live() -> None:
        first, second, third = (
            Child(name="c", run_dir=tmp_path, orphan_s=60, assign=assign, status=dict) for _ in range(3)
        )
        running = asyncio.create_task(first.run())
        await asyncio.sleep(0.02)
        async with asyncio.timeout(5):
            await second.run()
        assert first._control.is_reachable()
        first.stop.set()
        async with asyncio.timeout(5):
            await running
        running = asyncio.create_task(third.run())
        await asyncio.sleep(0.02)
        assert third._control.is_reachable()
        third.stop.set()
        async with asyncio.timeout(5):
            await running

    asyncio.run(live())
