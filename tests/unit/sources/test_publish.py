"""Who gets the place of a camera that waits for a publisher, by an injected clock."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import ParamSpec

import pytest

from ninjacam.core.errors import AuthenticationError, ConfigError, SourceBusyError, SourceError
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.sources.publish import CLAIM_S, SILENT_S, Places, hash_key, open_push
from ninjacam.testing.clock import FakeClock

CONFIG = SourceConfig("push:", publish_keys=(hash_key("first"), hash_key("second")))


P = ParamSpec("P")


def in_loop(test: Callable[P, Coroutine[None, None, None]]) -> Callable[P, None]:
    @wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        asyncio.run(test(*args, **kwargs))

    return run


class FakePublisher(Source):
    def __init__(self, clock: FakeClock) -> None:
        self.tracks = ()
        self.stats = SourceStats()
        self.last_ns = clock.monotonic_ns()
        self.error: SourceError | None = None

    def media_ns(self) -> int:
        return self.last_ns

    def end(self, error: SourceError) -> None:
        self.error = self.error or error

    async def run(self, on_packet: OnPacket) -> None: ...
    async def close(self) -> None: ...


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def places(clock: FakeClock) -> Places:
    return Places(clock)


@in_loop
async def test_each_key_of_a_camera_gives_its_place(places: Places, clock: FakeClock) -> None:
    place = places.add(CONFIG)
    publisher = FakePublisher(clock)
    assert await places.claim("second", publisher) is place
    place.deliver(publisher)
    assert await place.source is publisher


@in_loop
async def test_a_wrong_key_is_refused_after_the_time_that_a_right_one_may_take(
    places: Places, clock: FakeClock
) -> None:
    places.add(CONFIG)
    claiming = asyncio.ensure_future(places.claim("third", FakePublisher(clock)))
    await clock.run(CLAIM_S - 0.5)
    assert not claiming.done()
    await clock.run(1)
    with pytest.raises(AuthenticationError):
        claiming.result()


@in_loop
async def test_a_publisher_that_comes_before_its_camera_is_ready_gets_its_place(
    places: Places, clock: FakeClock
) -> None:
    claiming = asyncio.ensure_future(places.claim("first", FakePublisher(clock)))
    await clock.run(2)
    place = places.add(CONFIG)
    await clock.run(1)
    assert claiming.result() is place


@in_loop
async def test_a_second_publisher_is_refused_while_the_first_one_sends(
    places: Places, clock: FakeClock
) -> None:
    places.add(CONFIG)
    first = FakePublisher(clock)
    await places.claim("first", first)
    claiming = asyncio.ensure_future(places.claim("first", FakePublisher(clock)))
    for _ in range(12):
        first.last_ns = clock.monotonic_ns()
        await clock.run(0.5)
    with pytest.raises(SourceBusyError):
        claiming.result()
    assert first.error is None


@in_loop
async def test_a_silent_publisher_loses_its_place(places: Places, clock: FakeClock) -> None:
    place, first = places.add(CONFIG), FakePublisher(clock)
    await places.claim("first", first)
    claiming = asyncio.ensure_future(places.claim("second", FakePublisher(clock)))
    await clock.run(SILENT_S + 0.5)
    assert first.error is not None and "taken over" in str(first.error)
    place.leave()
    await clock.run(0.5)
    assert claiming.result() is place


@in_loop
async def test_a_publisher_has_time_to_send_its_first_media(places: Places, clock: FakeClock) -> None:
    await clock.run(SILENT_S + 1)
    places.add(CONFIG)
    first = FakePublisher(clock)
    first.last_ns = 0
    await places.claim("first", first)
    claiming = asyncio.ensure_future(places.claim("first", FakePublisher(clock)))
    await clock.run(SILENT_S - 0.5)
    assert first.error is None
    await clock.run(1)
    assert first.error is not None
    claiming.cancel()


@in_loop
async def test_a_place_whose_publisher_left_before_its_first_frame_is_free_again(
    places: Places, clock: FakeClock
) -> None:
    place = places.add(CONFIG)
    await places.claim("first", FakePublisher(clock))
    place.leave()
    other = FakePublisher(clock)
    assert await places.claim("first", other) is place and place.publisher is other


@in_loop
async def test_a_closed_place_is_forgotten(places: Places, clock: FakeClock) -> None:
    places.add(CONFIG).close()
    claiming = asyncio.ensure_future(places.claim("first", FakePublisher(clock)))
    await clock.run(CLAIM_S + 0.5)
    with pytest.raises(AuthenticationError):
        claiming.result()


@in_loop
async def test_the_place_of_a_restarted_camera_survives_the_end_of_the_old_one(places: Places) -> None:
    old, new = places.add(CONFIG), places.add(CONFIG)
    old.close()
    assert places.find("first") is new


@in_loop
async def test_a_camera_without_keys_says_so(clock: FakeClock) -> None:
    with pytest.raises(ConfigError, match="has no key"):
        await open_push(SourceConfig("push:"), clock=clock)
