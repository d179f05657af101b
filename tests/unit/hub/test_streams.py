import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ninjacam.core.errors import ConfigError, ViewNotFoundError
from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet, StreamInfo
from ninjacam.hub.client import RefusedError, StreamSubscription, read_one
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import HIGH_WATER_BYTES, Channel, StreamServer
from ninjacam.hub.wire import encode_extension


def a_picture(number: int, *, key: bool = False, size_bytes: int = 1000) -> Packet:
    return Packet(
        Kind.VIDEO, Codec.H264, number.to_bytes(4, "big") + bytes(size_bytes), number * 3600, number,
        flags=Flags.KEY if key else Flags.NONE, sequence=number,
    )  # fmt: skip


@contextlib.asynccontextmanager
async def serving(path: Path, channel: Channel) -> AsyncIterator[StreamServer]:
    server = StreamServer(path, lambda _: channel)
    await server.start()
    try:
        yield server
    finally:
        channel.close()
        await server.close()


class Reader:
    """Collects the messages of a subscription."""

    def __init__(self, path: Path, request: StreamRequest | None = None) -> None:
        self.packets: list[Packet] = []
        self.infos: list[StreamInfo | None] = []
        self.heard = asyncio.Event()
        self.subscription = StreamSubscription(
            path, request or StreamRequest(), on_packet=self._on_packet, on_info=self._on_info
        )
        self.task = asyncio.create_task(self.subscription.run())

    def _on_packet(self, packet: Packet) -> None:
        self.packets.append(packet)
        self.heard.set()

    def _on_info(self, info: StreamInfo | None) -> None:
        self.infos.append(info)
        self.heard.set()

    async def until(self, condition: "object") -> None:
        assert callable(condition)
        async with asyncio.timeout(5):
            while not condition():
                self.heard.clear()
                await self.heard.wait()

    async def close(self) -> None:
        self.subscription.close()
        await asyncio.gather(self.task, return_exceptions=True)


def test_a_new_subscriber_gets_the_stream_info_and_the_cached_gop(tmp_path: Path) -> None:
    async def go() -> None:
        channel = Channel(StreamInfo("door", state=CameraState.LIVE))
        async with serving(tmp_path / "door.packets", channel):
            for number in range(10):
                channel.publish(a_picture(number, key=number in (0, 6)))
            reader = Reader(tmp_path / "door.packets")
            await reader.until(lambda: len(reader.packets) == 4)
            assert [packet.sequence for packet in reader.packets] == [6, 7, 8, 9]
            assert reader.infos[0] is not None
            assert reader.infos[0].state is CameraState.LIVE
            channel.publish(a_picture(10))
            await reader.until(lambda: len(reader.packets) == 5)
            await reader.close()

    asyncio.run(go())


def test_a_cached_gop_longer_than_the_high_water_mark_arrives_complete(tmp_path: Path) -> None:
    async def go() -> None:
        channel = Channel(StreamInfo("door"))
        async with serving(tmp_path / "door.packets", channel):
            for number in range(60):
                channel.publish(a_picture(number, key=number == 0, size_bytes=100_000))
            reader = Reader(tmp_path / "door.packets")
            await reader.until(lambda: len(reader.packets) == 60)
            await reader.close()

    asyncio.run(go())


def test_the_number_of_subscribers_is_reported_as_demand(tmp_path: Path) -> None:
    async def go() -> None:
        demand: list[int] = []
        changed = asyncio.Event()

        def on_demand(channel: Channel) -> None:
            demand.append(channel.subscribers)
            changed.set()

        channel = Channel(StreamInfo("door"), on_demand=on_demand)
        async with serving(tmp_path / "door.packets", channel):
            readers = [Reader(tmp_path / "door.packets") for _ in range(2)]
            async with asyncio.timeout(5):
                while demand[-1:] != [2]:
                    changed.clear()
                    await changed.wait()
                for reader in readers:
                    await reader.close()
                while demand[-1:] != [0]:
                    changed.clear()
                    await changed.wait()
            assert demand == [1, 2, 1, 0]

    asyncio.run(go())


def test_a_reader_that_stops_costs_one_high_water_mark_and_continues_at_a_key_frame(tmp_path: Path) -> None:
    async def go() -> None:
        channel = Channel(StreamInfo("door"))
        path = tmp_path / "door.packets"
        async with serving(path, channel) as server:
            healthy = Reader(path)
            stopped = Reader(path)
            await healthy.until(lambda: healthy.infos)
            await stopped.until(lambda: stopped.infos)
            stopped.subscription.pause()
            total = 400
            for number in range(total):
                channel.publish(a_picture(number, key=number % 50 == 0, size_bytes=20_000))
                await healthy.until(lambda number=number: len(healthy.packets) == number + 1)
            waiting = max(
                connection._transport.get_write_buffer_size()
                for connection in server.connections
                if connection._transport is not None
            )
            assert waiting <= HIGH_WATER_BYTES + 20_200
            assert channel.dropped > 200
            stopped.subscription.resume()
            for number in range(total, total + 120):
                channel.publish(a_picture(number, key=number % 50 == 0, size_bytes=20_000))
                await healthy.until(lambda number=number: len(healthy.packets) == number + 1)
            await stopped.until(lambda: stopped.packets and stopped.packets[-1].sequence == total + 119)
            gaps = [
                after
                for before, after in zip(stopped.packets, stopped.packets[1:], strict=False)
                if after.sequence != before.sequence + 1
            ]
            assert gaps
            assert all(after.is_key for after in gaps)
            await healthy.close()
            await stopped.close()

    asyncio.run(go())


def test_a_subscription_survives_its_server_and_reports_the_loss(tmp_path: Path) -> None:
    async def go() -> None:
        path = tmp_path / "door.packets"
        first = Channel(StreamInfo("door", epoch=1))
        async with serving(path, first):
            first.publish(a_picture(1, key=True))
            reader = Reader(path)
            await reader.until(lambda: len(reader.packets) == 1)
        await reader.until(lambda: reader.infos[-1] is None)
        second = Channel(StreamInfo("door", epoch=2))
        second.publish(a_picture(2, key=True))
        async with serving(path, second):
            await reader.until(lambda: len(reader.packets) == 2)
            assert reader.infos[-1] is not None
            assert reader.infos[-1].epoch == 2
            await reader.close()

    asyncio.run(go())


def test_a_new_server_takes_over_the_name_and_the_old_one_leaves_it_alone(tmp_path: Path) -> None:
    async def go() -> None:
        path = tmp_path / "door.packets"
        old = StreamServer(path, lambda _: Channel(StreamInfo("old")))
        await old.start()
        new_channel = Channel(StreamInfo("new"))
        new_channel.publish(a_picture(1, key=True))
        async with serving(path, new_channel):
            await old.close()
            assert (await read_one(path, StreamRequest(), timeout_s=5)).sequence == 1

    asyncio.run(go())


def test_a_refused_subscription_gets_the_reason(tmp_path: Path) -> None:
    async def go() -> None:
        def refuse(_request: StreamRequest) -> Channel:
            raise ViewNotFoundError("There is no view of that name.")

        server = StreamServer(tmp_path / "door.pixels", refuse)
        await server.start()
        with pytest.raises(RefusedError) as caught:
            await read_one(tmp_path / "door.pixels", StreamRequest(view="nix"), timeout_s=5)
        assert caught.value.details["code"] == "view_not_found"
        await server.close()

    asyncio.run(go())


def test_a_foreign_protocol_on_the_socket_is_rejected(tmp_path: Path) -> None:
    async def go() -> None:
        path = tmp_path / "door.packets"
        async with serving(path, Channel(StreamInfo("door"))):
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(100))
            assert await asyncio.wait_for(reader.read(), 5) == b""
            writer.close()
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(encode_extension(Kind.SUBSCRIBE, {"view": 1}))
            assert b"malformed" in await asyncio.wait_for(reader.read(), 5)
            writer.close()

    asyncio.run(go())


def test_a_run_directory_may_be_longer_than_a_socket_address(tmp_path: Path) -> None:
    async def go() -> None:
        deep = tmp_path / ("x" * 120) / "door.packets"
        channel = Channel(StreamInfo("door"))
        channel.publish(a_picture(1, key=True))
        async with serving(deep, channel):
            assert (await read_one(deep, StreamRequest(), timeout_s=5)).sequence == 1
        assert not deep.exists()

    asyncio.run(go())


def test_a_run_directory_that_cannot_be_created_is_reported_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="file/run"):
        asyncio.run(StreamServer(tmp_path / "file/run/a.packets", lambda _: Channel(StreamInfo("a"))).start())


def test_only_the_owner_may_connect(tmp_path: Path) -> None:
    async def go() -> None:
        async with serving(tmp_path / "door.packets", Channel(StreamInfo("door"))):
            assert (tmp_path / "door.packets").stat().st_mode & 0o777 == 0o600

    asyncio.run(go())


def test_equal_requests_are_snapped_to_one() -> None:
    wishes = [
        StreamRequest("", Codec.MJPEG, width, quality, fps)
        for width, quality, fps in ((600, 78, 9.7), (640, 82, 10))
    ]
    assert len({wish.snapped() for wish in wishes}) == 1


def test_a_reader_that_stopped_is_disconnected_before_messages_fill_the_memory(tmp_path: Path) -> None:
    async def go() -> None:
        channel = Channel(StreamInfo("door"))
        path = tmp_path / "door.pixels"
        async with serving(path, channel):
            reader = Reader(path)
            await reader.until(lambda: reader.infos)
            reader.subscription.pause()
            for _ in range(60):
                error = {"code": "processor", "message": "x" * 500_000, "retryable": True}
                channel.set_info(StreamInfo("door", state=CameraState.RECONNECTING, error=error))
                await asyncio.sleep(0)
            await asyncio.sleep(0.1)
            assert not channel.subscribers
            reader.subscription.close()
            await reader.task

    asyncio.run(go())
