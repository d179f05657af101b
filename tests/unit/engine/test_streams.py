import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ninjacam.core.errors import NinjacamError
from ninjacam.engine.specs import CameraSpec, StreamSpec
from ninjacam.engine.storage import StorageThread
from ninjacam.engine.streams import WRITE_EVERY_S, SeenStream, StreamKeeper, StreamWriter
from ninjacam.sources.base import SourceConfig
from ninjacam.testing.clock import FakeClock

SOURCE = SourceConfig("rtsp://camera/1")
SPEC = CameraSpec("door", 1, "door", SOURCE, streams=(StreamSpec("sub", SOURCE),))


def report(**changes: Any) -> dict[str, Any]:
    found = {
        "state": "live",
        "codec": "h264",
        "width": 640,
        "height": 360,
        "fps": 15.0,
        "bitrate_bps": 400_000,
    }
    return {**found, **changes}


class Look:
    """The engine's view of `door`, whose stream `sub` the test changes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.keeper = StreamKeeper(self.clock)
        self.spec = SPEC
        self.sub = report()

    def changes(self) -> list[SeenStream]:
        """Return the changes, and save them as the database does."""
        status = {"door": {"state": "connecting", "streams": {"sub": self.sub}}}
        found = self.keeper.find_changes([self.spec], status)
        self.keeper.mark_written(found)
        for seen in found:
            self.spec = replace(SPEC, streams=(StreamSpec("sub", SOURCE, width_px=seen.width_px),))
        return found


def test_a_stream_is_written_when_it_is_first_seen() -> None:
    look = Look()
    (seen,) = look.changes()
    assert (seen.slug, seen.name, seen.width_px, seen.fps) == ("door", "sub", 640, 15.0)
    look.clock.advance(3600)
    assert look.changes() == []


def test_small_changes_of_the_rates_are_not_written() -> None:
    look = Look()
    look.changes()
    look.clock.advance(3600)
    look.sub = report(fps=18.0, bitrate_bps=490_000)
    assert look.changes() == []
    look.sub = report(fps=19.0)
    assert [seen.fps for seen in look.changes()] == [19.0]


def test_a_stream_is_written_at_most_once_a_minute() -> None:
    look = Look()
    look.changes()
    look.sub = report(width=1280)
    look.clock.advance(WRITE_EVERY_S - 1)
    assert look.changes() == []
    look.clock.advance(1)
    assert [seen.width_px for seen in look.changes()] == [1280]


def test_a_width_that_the_database_has_lost_is_written_again() -> None:
    look = Look()
    look.changes()
    look.spec = SPEC  # a form has saved the camera with values that it had read earlier
    look.clock.advance(WRITE_EVERY_S)
    assert [seen.width_px for seen in look.changes()] == [640]


def test_only_live_streams_with_a_known_rate_are_written() -> None:
    look = Look()
    for changes in ({"state": "idle"}, {"state": "reconnecting"}, {"fps": 0.0}, {"width": 0}):
        look.sub = report(**changes)
        assert look.changes() == []


def test_a_removed_stream_is_forgotten() -> None:
    look = Look()
    look.changes()
    look.spec = replace(SPEC, streams=())
    assert look.changes() == []
    look.spec = SPEC
    assert len(look.changes()) == 1


class Log:
    def __init__(self) -> None:
        self.is_away = True
        self.seen: list[SeenStream] = []

    def put(self, seen: Sequence[SeenStream]) -> None:
        if self.is_away:
            raise NinjacamError("away")
        self.seen += seen


def test_what_could_not_be_written_is_written_later() -> None:
    async def go() -> None:
        log, storage = Log(), StorageThread()
        look = lambda: ([SPEC], {"door": report()})  # noqa: E731 (one line)
        writer = StreamWriter(log, storage, look, clock=FakeClock())
        await writer.write_once()
        log.is_away = False
        await writer.write_once()
        await writer.write_once()
        storage.close()
        assert [seen.name for seen in log.seen] == ["main"]

    asyncio.run(go())
