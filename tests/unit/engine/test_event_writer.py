"""Events are written without an index of recordings: the storage thread writes the engine's events to the log."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence

from ninjacam.core.errors import NinjacamError
from ninjacam.engine.event_writer import EventWriter
from ninjacam.engine.events import EngineEvent, EventKeeper
from ninjacam.engine.storage import StorageThread
from ninjacam.testing.clock import FakeClock


class MemoryLog:
    def __init__(self) -> None:
        self.events: dict[tuple[str, str, int], EngineEvent] = {}
        self.away = False

    def ongoing(self) -> list[EngineEvent]:
        if self.away:
            raise NinjacamError("away")
        return [event for event in self.events.values() if event.end_ns is None]

    def put(self, events: Sequence[EngineEvent]) -> None:
        if self.away:
            raise NinjacamError("away")
        self.events.update({(event.slug, event.kind, event.start_ns): event for event in events})


class Host:
    """`pass_s`: in each second of the fake clock, the engine reads the camera's state and the writer writes."""

    def __init__(self) -> None:
        self.clock, self.log, self.storage = FakeClock(), MemoryLog(), StorageThread()
        self.keeper = EventKeeper(clock=self.clock)
        self.writer = EventWriter(self.keeper, self.log, self.storage, clock=self.clock)

    async def pass_s(self, seconds: int, state: str) -> None:
        for _ in range(seconds):
            self.keeper.observe_cameras({"door": {"state": state}})
            self.clock.advance(1)
            await self.writer.write_once()

    def play(self, script: Callable[[], Coroutine[None, None, None]]) -> None:
        async def main() -> None:
            try:
                await script()
            finally:
                self.storage.close()

        asyncio.run(main())


def test_events_wait_for_the_log() -> None:
    host = Host()

    async def script() -> None:
        await host.writer.write_once()
        host.log.away = True
        await host.pass_s(8, "reconnecting")
        assert not host.log.events and host.keeper.begun["camera_down"] == 1
        host.log.away = False
        await host.pass_s(8, "live")

    host.play(script)
    (event,) = host.log.events.values()
    assert event.end_ns is not None and event.end_ns - event.start_ns == 8 * 10**9


def test_a_full_disk_is_an_event_and_appears_in_the_status() -> None:
    host = Host()

    async def script() -> None:
        await host.writer.write_once()
        assert host.keeper.disk_status() == {"disk_full": False, "disk_low": False}
        host.keeper.observe_disk(is_full=True, is_low=True)
        await host.writer.write_once()
        assert host.keeper.disk_status() == {"disk_full": True, "disk_low": True}

    host.play(script)
    assert [event.kind for event in host.log.events.values()] == ["disk_full", "disk_low"]


def test_nothing_is_written_before_the_events_of_the_previous_engine_are_known() -> None:
    host = Host()
    left = EngineEvent("door", "camera_down", 5)
    host.log.events["door", "camera_down", 5] = left
    host.log.away = True

    async def script() -> None:
        await host.pass_s(1, "reconnecting")
        host.log.away = False
        await host.pass_s(9, "reconnecting")

    host.play(script)
    assert list(host.log.events.values()) == [left]


def test_the_writer_writes_each_second_until_it_is_cancelled() -> None:
    host = Host()

    async def script() -> None:
        task = asyncio.create_task(host.writer.run())
        while not host.clock.sleepers:  # noqa: ASYNC110 (a real thread, and nothing that signals its end)
            await asyncio.sleep(0.001)
        host.keeper.observe_disk(is_full=False, is_low=True)
        host.clock.advance(1)
        while not host.log.events:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    host.play(script)
    assert [event.kind for event in host.log.events.values()] == ["disk_low"]
