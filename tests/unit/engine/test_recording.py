import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any

import pytest

from ninjacam.core.errors import NinjacamError
from ninjacam.engine import recording
from ninjacam.engine.bitrates import BitrateChange
from ninjacam.engine.recording import COMPARE_EVERY_S, RecordingKeeper
from ninjacam.engine.storage import StorageThread
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.supervision.control import Json
from ninjacam.testing.clock import FakeClock

SEGMENT = SegmentInfo("door", "door/2026-11-22/08/00-00.mp4", 1, 2, 100, "h264", 640, 360, open=True)


class MemoryIndex:
    """Records the calls and their threads."""

    def __init__(self) -> None:
        self.rows: dict[str, SegmentInfo] = {}
        self.scans: list[int] = []
        self.retained = 0
        self.compared = 0
        self.bitrates: dict[str, BitrateChange] = {}
        self.away = False
        self.disk_full = False
        self.disk_low = False
        self.closed = False
        self.threads: set[str] = set()

    def _ask(self) -> None:
        self.threads.add(threading.current_thread().name)
        if self.away:
            raise NinjacamError("away")

    def add(self, segments: Sequence[SegmentInfo]) -> None:
        self._ask()
        self.rows.update({segment.path: segment for segment in segments})

    def catch_up(self, since_ns: int) -> int:
        self._ask()
        self.scans.append(since_ns)
        return 0

    def retain(self) -> Json:
        self._ask()
        self.retained += 1
        return {"used_bytes": 7, "disk_full": self.disk_full, "disk_low": self.disk_low}

    def compare_bitrates(self) -> dict[str, BitrateChange]:
        self._ask()
        self.compared += 1
        return self.bitrates

    def close(self) -> None:
        self.closed = True


class Host:
    """A running keeper. `pass_s` advances the fake clock second by second."""

    def __init__(self) -> None:
        self.index, self.clock = MemoryIndex(), FakeClock()
        self.storage = StorageThread()
        self.disk: list[tuple[bool, bool]] = []
        self.keeper = RecordingKeeper(
            self.index, self.storage, on_disk=lambda *found: self.disk.append(found), clock=self.clock
        )

    async def pass_s(self, seconds: int) -> None:
        for _ in range(seconds):
            await self.rest()
            self.clock.advance(1)
            await asyncio.sleep(0)
        await self.rest()

    async def rest(self) -> None:
        while not self.clock.sleepers:  # noqa: ASYNC110 (a real thread, and nothing that signals its end)
            await asyncio.sleep(0.001)


def play(script: Callable[[Host], Coroutine[None, None, None]], host: Host | None = None) -> MemoryIndex:
    host = host or Host()

    async def main() -> None:
        task = asyncio.create_task(host.keeper.run())
        await host.rest()
        await script(host)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        host.storage.close()

    asyncio.run(main())
    return host.index


def segment(number: int = 0) -> dict[str, Any]:
    return replace(SEGMENT, path=f"door/2026-11-22/08/00-{number:02}.mp4", start_ns=number + 1).as_dict()


def test_a_reported_file_is_indexed_within_a_second() -> None:
    async def script(host: Host) -> None:
        host.keeper.hear([segment(1), segment(2)])
        await host.pass_s(1)
        assert len(host.index.rows) == 2
        host.keeper.hear([{**segment(1), "size_bytes": 900}])
        host.keeper.hear([{**segment(1), "size_bytes": 1000, "open": False}])
        await host.pass_s(1)

    row = play(script).rows[segment(1)["path"]]
    assert (row.size_bytes, row.open) == (1000, False)


def test_one_thread_does_all_work_of_the_index() -> None:
    async def script(host: Host) -> None:
        host.keeper.hear([segment()])
        await host.pass_s(12)

    (name,) = play(script).threads
    assert name.startswith("engine-storage")


def test_nothing_is_lost_while_the_database_is_away() -> None:
    async def script(host: Host) -> None:
        host.index.away = True
        for number in range(30):
            host.keeper.hear([segment(number)])
            await host.pass_s(1)
        assert host.keeper.status()["waiting"] == 30
        assert host.keeper.status()["error"]["message"] == "away"
        host.keeper.hear([{**segment(3), "size_bytes": 5}])  # newer than the waiting one
        host.index.away = False
        await host.pass_s(1)
        assert host.keeper.status()["waiting"] == 0 and host.keeper.status()["error"] is None

    index = play(script)
    assert len(index.rows) == 30 and index.rows[segment(3)["path"]].size_bytes == 5


def test_excess_reports_are_dropped_and_the_files_are_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "MAX_WAITING", 10)

    async def script(host: Host) -> None:
        await host.pass_s(1)
        host.index.scans.clear()
        host.index.away = True
        for number in range(30):
            host.keeper.hear([segment(number)])
            await host.pass_s(1)
            assert host.keeper.status()["waiting"] <= 10
        host.index.away = False
        await host.pass_s(2)

    index = play(script)
    assert len(index.rows) == 10
    assert min(index.scans) <= 11  # from the first one that was dropped


def test_the_last_day_is_scanned_at_the_start_and_soon_again() -> None:
    async def script(host: Host) -> None:
        begun_ns = host.clock.wall_ns()
        assert host.index.scans == [begun_ns - recording.LOOK_BACK_NS]
        await host.pass_s(int(recording.SCAN_AGAIN_S))
        assert len(host.index.scans) == 2
        await host.pass_s(60)
        assert len(host.index.scans) == 2

    play(script)


def test_files_are_scanned_after_a_capture_process_ended() -> None:
    async def script(host: Host) -> None:
        await host.pass_s(30)
        before = len(host.index.scans)
        host.keeper.capture_ended()
        await host.pass_s(5)
        assert len(host.index.scans) == before
        await host.pass_s(6)
        assert len(host.index.scans) == before + 1

    play(script)


def test_retention_runs_every_ten_seconds_and_reports_the_used_bytes() -> None:
    async def script(host: Host) -> None:
        await host.pass_s(31)
        assert host.keeper.status()["used_bytes"] == 7

    assert play(script).retained == 4


def test_the_disk_usage_that_retention_finds_is_reported() -> None:
    async def script(host: Host) -> None:
        host.index.disk_low = True
        await host.pass_s(12)

    host = Host()
    play(script, host)
    assert host.disk[0] == (False, False) and host.disk[-1] == (False, True)


def test_a_report_of_another_version_is_ignored() -> None:
    async def script(host: Host) -> None:
        host.keeper.hear([{"path": "x"}, segment()])
        await host.pass_s(1)

    assert len(play(script).rows) == 1


def test_the_end_of_the_engine_closes_the_index() -> None:
    async def script(host: Host) -> None:
        await host.pass_s(1)

    assert play(script).closed


def test_bitrates_are_compared_now_and_then() -> None:
    change = BitrateChange(1, 2)

    async def script(host: Host) -> None:
        host.index.bitrates = {"door": change}
        await host.pass_s(5)
        assert host.index.compared == 1
        await host.pass_s(int(COMPARE_EVERY_S))
        assert host.keeper.bitrates == {"door": change}
        host.index.away = True
        await host.pass_s(int(COMPARE_EVERY_S))
        assert host.keeper.bitrates == {"door": change}
        host.index.away, host.index.bitrates = False, {}
        await host.pass_s(int(COMPARE_EVERY_S))
        assert host.keeper.bitrates == {}

    play(script)
