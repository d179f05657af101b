"""The life of a child process of the engine."""

import asyncio
from pathlib import Path

import pytest

from ninjacam.hub.child import Child


@pytest.mark.parametrize("turns", range(12))
def test_a_change_in_the_moment_of_the_stop_does_not_keep_it_alive(tmp_path: Path, turns: int) -> None:
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
