"""The pool with a real stream socket in the same loop."""

import asyncio
import gc
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.errors import ViewNotFoundError
from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel, StreamServer
from ninjacam.hub.wire import MessageReader
from ninjacam.queries.status import Status
from ninjacam.viewers.feeds import FrameWaiter, Pool


class Ear:
    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.states = 0
        self.refusals: list[dict[str, Any]] = []

    def on_packet(self, packet: Packet) -> None:
        self.packets.append(packet)

    def on_state(self) -> None:
        self.states += 1

    def on_refused(self, error: dict[str, Any]) -> None:
        self.refusals.append(error)


def picture(number: int = 0, *, key: bool = True) -> Packet:
    return Packet(
        Kind.VIDEO, Codec.MJPEG, b"jpeg", number, 0, flags=Flags.KEY if key else Flags.NONE, sequence=number
    )


async def until(check: Callable[[], Any], timeout_s: float = 3.0) -> None:
    """Poll the condition, because its cause crosses a socket."""
    async with asyncio.timeout(timeout_s):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


Test = Callable[[Pool, Path, Channel], Awaitable[None]]


def run(test: Test) -> None:
    async def go(directory: str) -> None:
        path = Path(directory) / "door.pixels"
        channel = Channel(StreamInfo("door", state=CameraState.LIVE))

        def find(request: StreamRequest) -> Channel:
            if request.view:
                raise ViewNotFoundError("There is no such view.")
            return channel

        server = StreamServer(path, find)
        await server.start()
        pool = Pool(Path(directory))
        try:
            await test(pool, path, channel)
        finally:
            pool.close()
            await server.close()
            await asyncio.sleep(0.01)

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(go(directory))


JPEG = StreamRequest(codec=Codec.MJPEG)


def test_viewers_of_one_stream_share_one_subscription() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        first, second = Ear(), Ear()
        feed = pool.join(path, JPEG, first)
        assert pool.join(path, JPEG, second) is feed
        await until(lambda: channel.subscribers == 1)
        channel.publish(picture(1))
        await until(lambda: second.packets)
        assert first.packets == second.packets and feed.fresh
        pool.leave(feed, first)
        channel.publish(picture(2))
        await until(lambda: len(second.packets) == 2)
        assert len(first.packets) == 1

    run(test)


def test_a_packet_stream_ends_with_its_last_listener_and_pixels_linger() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        ear = Ear()
        for request, lingers in ((StreamRequest(), False), (JPEG, True)):
            feed = pool.join(path, request, ear)
            await until(lambda: channel.subscribers == 1)
            pool.leave(feed, ear)
            pool.leave(feed, ear)
            assert len(pool) == int(lingers)
        assert pool.join(path, JPEG, ear) is feed
        pool.leave(feed, ear)
        pool.stop_lingering()
        assert len(pool) == 0
        await until(lambda: channel.subscribers == 0)

    run(test)


def test_the_cache_of_a_feed_is_freed_without_the_garbage_collector() -> None:
    """A feed is part of cycles. Megabytes of frames and buffers must not wait for the garbage collector."""

    def readers() -> list[MessageReader]:
        return [each for each in gc.get_objects() if isinstance(each, MessageReader)]

    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        ear = Ear()
        feed = pool.join(path, StreamRequest(), ear)
        await until(lambda: channel.subscribers == 1)
        channel.publish(picture(1))
        await until(lambda: ear.packets)
        assert feed.last_frame is not None and readers()
        pool.leave(feed, ear)
        assert feed.last_frame is None
        await until(lambda: channel.subscribers == 0 and not readers())

    gc.collect()
    gc.disable()
    try:
        run(test)
    finally:
        gc.enable()


def test_a_refusal_is_reported_and_not_kept_for_the_next_listener() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        ear = Ear()
        request = StreamRequest(view="nope", codec=Codec.MJPEG)
        feed = pool.join(path, request, ear)
        await until(lambda: ear.refusals)
        assert ear.refusals[0]["code"] == "view_not_found"
        assert pool.join(path, request, ear) is not feed

    run(test)


def test_a_frame_of_a_camera_that_is_not_live_is_not_fresh() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        ear = Ear()
        channel.set_info(StreamInfo("door", state=CameraState.RECONNECTING, error={"message": "Gone."}))
        feed = pool.join(path, JPEG, ear)
        channel.publish(picture(1))
        await until(lambda: ear.packets or feed.last_frame)
        assert not feed.fresh and feed.message(details=True) == "Gone."
        channel.set_info(StreamInfo("door", state=CameraState.LIVE))
        await until(lambda: feed.state is CameraState.LIVE)
        assert not feed.fresh, "the frame is still the previous one"
        channel.publish(picture(2))
        await until(lambda: feed.fresh)

    run(test)


def test_a_lost_socket_becomes_reconnecting_and_discards_its_frames() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        feed = pool.join(path.with_name("other.pixels"), JPEG, Ear())
        assert not feed.has_state
        await until(lambda: feed.was_lost)
        assert feed.state is CameraState.RECONNECTING and "engine" in feed.message(details=True)

    run(test)


def test_a_feed_is_off_while_its_camera_is_assigned_to_no_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = {"code": "config", "message": "The stored password cannot be read."}
    failed = {"door": {"state": "failed", "error": error}}
    reports = {
        "failed": Status(engine_running=True, cameras=failed),
        "old": Status(engine_running=False, cameras=failed),
        "tried": Status(engine_running=True, cameras=failed, processes=({"cameras": ["door"]},)),
    }
    report = "old"
    monkeypatch.setattr("ninjacam.queries.status.read_status", lambda: reports[report])

    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        nonlocal report
        ear, waiter = Ear(), FrameWaiter()
        feed = pool.join(path.with_name("door.packets"), StreamRequest(), ear)
        await until(lambda: feed.was_lost)
        assert (feed.is_off, feed.state, ear.states) == (False, CameraState.RECONNECTING, 1)
        report = "failed"
        async with asyncio.timeout(3):
            await waiter.wait(pool.join(feed.path, StreamRequest(), waiter), timeout_s=60)
        assert (feed.is_off, feed.state, ear.states) == (True, CameraState.FAILED, 2)
        assert feed.message(details=True) == "The stored password cannot be read."
        report = "tried"
        await until(lambda: not feed.is_off)
        assert (feed.state, ear.states) == (CameraState.RECONNECTING, 3)

    run(test)


def test_waiting_for_a_frame_ends_with_a_frame_or_without_hope() -> None:
    async def test(pool: Pool, path: Path, channel: Channel) -> None:
        waiter = FrameWaiter()
        feed = pool.join(path, JPEG, waiter)
        await waiter.wait(feed, timeout_s=0.05)
        assert feed.last_frame is None
        channel.publish(picture(1))
        await waiter.wait(feed, timeout_s=5, live_only=True)
        assert feed.last_frame is not None
        channel.set_info(StreamInfo("door", state=CameraState.FAILED))
        await until(lambda: feed.state is CameraState.FAILED)
        async with asyncio.timeout(1):
            await waiter.wait(feed, timeout_s=60, live_only=True)

    run(test)
