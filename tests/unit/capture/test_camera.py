"""The life of one camera's capture, over real sockets."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from ninjacam.capture import camera as capture_camera
from ninjacam.capture.camera import CameraCapture
from ninjacam.core.errors import SourceEndedError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState, Codec, Kind, Packet, Track
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.wire import encode_extension
from ninjacam.recordings.writer import RecordingWriter
from ninjacam.sources.base import OnPacket, Source, SourceConfig, SourceStats
from ninjacam.testing.clock import FakeClock
from ninjacam.testing.packets import START_NS, video_packets
from tests.harness.async_server import listening


def test_a_stop_does_not_wait_for_a_camera_that_does_not_answer(tmp_path: Path) -> None:
    async def go() -> None:
        connected = asyncio.Event()

        async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connected.set()
            await reader.read()
            await reader.read()

        async with listening(mute) as port:
            camera = CameraCapture(
                slug="door",
                camera_id=1,
                source=SourceConfig(f"rtsp://127.0.0.1:{port}/"),
                revision="1",
                run_dir=tmp_path,
                on_change=lambda: None,
            )
            run = asyncio.create_task(camera.run())
            async with asyncio.timeout(3):
                await connected.wait()
                await camera.stop()
                await run

    asyncio.run(go())
    assert not list(tmp_path.glob("*.packets")), "and the name is free for the one that follows"


class OpenCamera(Source):
    """A camera whose read interval can be set."""

    def __init__(self) -> None:
        self.tracks = (Track(Kind.VIDEO, Codec.H264),)
        self.stats = SourceStats()
        self.intervals_s = [0.0]
        self.hurried = asyncio.Event()
        self.deliver: OnPacket | None = None
        self.last_media_ns = 0
        self._closed = asyncio.Event()

    async def run(self, on_packet: OnPacket) -> None:
        self.deliver = on_packet
        await self._closed.wait()
        raise SourceEndedError("closed")

    async def close(self) -> None:
        self._closed.set()

    def media_ns(self) -> int:
        return self.last_media_ns

    def relax(self, interval_s: float) -> None:
        self.intervals_s.append(interval_s)
        if not interval_s:
            self.hurried.set()


class Film:
    """Pictures of one camera, in time."""

    def __init__(self, source: OpenCamera, clock: FakeClock) -> None:
        self._source = source
        self._clock = clock
        self._packets = iter(video_packets(1_000))
        self._longer_s = 0.0
        self._waiting: list[Packet] = []

    async def run(
        self,
        seconds: float,
        *,
        same_stamp: bool = False,
        ahead_s: float = 0,
        beat_s: float = 0,
        frame_s: float = 0.04,
    ) -> None:
        """`ahead_s`: the camera's clock. `beat_s`: pictures wait for the next multiple of it."""
        for _ in range(round(seconds / frame_s)):
            await self._clock.run(frame_s)
            packet = next(self._packets)
            self._longer_s += frame_s - 0.04
            pts = 7 if same_stamp else packet.pts + round((ahead_s + self._longer_s) * VIDEO_CLOCK_HZ)
            self._waiting.append(packet._replace(pts=pts))
            now_ns = self._clock.monotonic_ns()
            if beat_s and now_ns % round(beat_s * 1e9) >= 40_000_000:
                continue
            assert self._source.deliver is not None
            for each in self._waiting:
                self._source.deliver(each._replace(received_ns=now_ns))
            self._waiting.clear()


async def watched_camera(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    go: Callable[[CameraCapture, OpenCamera, Film], Awaitable[None]],
) -> None:
    source, clock = OpenCamera(), FakeClock(monotonic_ns=START_NS)

    async def opened(*_: object, **__: object) -> Source:
        return source

    monkeypatch.setattr(capture_camera, "open_source", opened)
    camera = CameraCapture(
        slug="door",
        camera_id=1,
        source=SourceConfig("rtsp://camera.example/"),
        revision="1",
        run_dir=tmp_path,
        on_change=lambda: None,
        clock=clock,
    )
    run = asyncio.create_task(camera.run())
    await clock.run()
    try:
        await go(camera, source, Film(source, clock))
    finally:
        await camera.stop()
        await clock.run(1)
        await run


async def a_viewer(path: Path) -> asyncio.StreamWriter:
    _, writer = await asyncio.open_unix_connection(path)
    writer.write(encode_extension(Kind.SUBSCRIBE, StreamRequest().as_dict()))
    return writer


def test_a_camera_without_viewers_is_read_less_often_until_one_arrives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        await film.run(4)
        assert set(source.intervals_s) == {0}, "its time is being learnt"
        camera.status()
        await film.run(5)
        assert source.intervals_s == [0, 0.09, 0.18, 0.36, capture_camera.UNWATCHED_S]
        viewer = await a_viewer(tmp_path / "door.packets")
        async with asyncio.timeout(5):
            await source.hurried.wait()
        await film.run(8)
        assert not source.intervals_s[-1], "and stays so as long as it is watched"
        viewer.close()
        await viewer.wait_closed()
        await film.run(3)
        assert not source.intervals_s[-1], "viewers come and go"
        await film.run(6)
        assert source.intervals_s[-1] == capture_camera.UNWATCHED_S

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


def test_a_camera_with_few_frames_is_read_often_enough_to_check_its_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        for _ in range(12):
            await film.run(1, frame_s=0.2)
            camera.status()
        assert source.intervals_s[-1] == capture_camera.SLOW_UNWATCHED_S < 0.25
        for _ in range(4):
            await film.run(1)
            camera.status()
        assert source.intervals_s[-1] == capture_camera.UNWATCHED_S
        await film.run(1, frame_s=0.5)
        camera.status()
        await film.run(1, frame_s=0.5)
        assert source.intervals_s[-1] == capture_camera.SLOW_UNWATCHED_S

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


def test_a_recorded_camera_is_read_more_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        camera.record_to(writer.open("door"))
        await film.run(9)
        assert source.intervals_s[-1] == capture_camera.RECORDED_S < capture_camera.UNWATCHED_S

    writer = RecordingWriter(tmp_path / "recordings")
    asyncio.run(watched_camera(tmp_path, monkeypatch, go))
    writer.close()
    assert writer.join(5) and list((tmp_path / "recordings").rglob("*.mp4")), "and it is recorded"


def test_a_camera_whose_frames_are_timed_by_arrival_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(_camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        await film.run(9, same_stamp=True)
        assert set(source.intervals_s) == {0}

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


def test_a_jumped_clock_is_relearned_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(_camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        await film.run(9)
        assert source.intervals_s[-1]
        await film.run(0.04, ahead_s=3600)
        assert not source.intervals_s[-1]
        await film.run(9, ahead_s=3600)
        assert source.intervals_s[-1]

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


@pytest.mark.parametrize("beat_s", [capture_camera.UNWATCHED_S, capture_camera.SLOW_UNWATCHED_S])
def test_frames_read_in_one_batch_give_the_right_frame_rate(
    beat_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(camera: CameraCapture, _source: OpenCamera, film: Film) -> None:
        camera.status()
        await film.run(3, beat_s=beat_s)
        camera.status()
        for _ in range(8):
            await film.run(1, beat_s=beat_s)
            assert camera.status()["fps"] == pytest.approx(25, abs=1.1)

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


class Slow:
    """Times at which a camera sends media and pictures, by the test's clock."""

    def __init__(self, camera: CameraCapture, source: OpenCamera, clock: FakeClock) -> None:
        self.camera = camera
        self.source = source
        self.clock = clock
        self.opened = camera.status()["reconnects"]
        self._packets = iter(video_packets(1_000, gop=1))
        self._pts = 0

    async def wait(self, seconds: float, *, media: bool = False) -> None:
        """`media`: data come all the while, of which no picture is made."""
        for _ in range(round(seconds / 0.5)):
            await self.clock.run(0.5)
            if media:
                self.source.last_media_ns = self.clock.monotonic_ns()

    async def picture(self) -> None:
        now_ns = self.source.last_media_ns = self.clock.monotonic_ns()
        assert self.source.deliver is not None
        self.source.deliver(next(self._packets)._replace(pts=now_ns * 9 // 100_000, received_ns=now_ns))
        await self.clock.run()

    def notices(self) -> dict[str, str]:
        return {each["code"]: each["message"] for each in self.camera.status()["notices"]}

    @property
    def was_lost(self) -> bool:
        return self.camera.error is not None or self.camera.status()["reconnects"] != self.opened


def slow_camera(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, go: Callable[[Slow], Awaitable[None]]
) -> None:
    async def run(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        await go(Slow(camera, source, film._clock))

    asyncio.run(watched_camera(tmp_path, monkeypatch, run))


def test_a_camera_with_rare_key_frames_is_awaited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(slow: Slow) -> None:
        slow.source.stats.frames_skipped = 5
        await slow.wait(12, media=True)
        assert not slow.was_lost
        assert slow.notices() == {"waiting_for_key_frame": "Waiting for a key frame."}
        for _ in range(3):
            await slow.picture()
            await slow.wait(12, media=True)
        assert not slow.was_lost and slow.camera.status()["key_interval_s"] == pytest.approx(12, abs=0.1)
        slow.camera._pace.connected()  # as a new connection does
        assert slow.notices() == {"waiting_for_key_frame": "Waiting for a key frame (interval about 12 s)."}

    slow_camera(tmp_path, monkeypatch, go)


def test_data_that_does_not_form_frames_is_described_without_a_reconnect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(slow: Slow) -> None:
        stats = slow.source.stats
        await slow.wait(2)
        assert "no_media" in slow.notices()
        await slow.wait(30, media=True)
        assert not slow.was_lost
        assert "no frame has begun or ended" in slow.notices()["no_frames"]
        stats.packets_ignored = 9
        assert "9 packets were not of the announced format" in slow.notices()["no_frames"]
        stats.access_units_dropped = 7
        assert "7 frames were incomplete" in slow.notices()["no_frames"]
        stats.keys_without_sets = 3
        assert "3 key frames came without their parameter sets" in slow.notices()["no_frames"]
        await slow.picture()
        assert not slow.notices() and slow.camera.state == "live"

    slow_camera(tmp_path, monkeypatch, go)


@pytest.mark.parametrize("interval_s", [1.0, 6.0, 9.0])
def test_a_camera_with_a_frame_every_few_seconds_is_not_reconnected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interval_s: float
) -> None:
    async def go(slow: Slow) -> None:
        for _ in range(8):
            await slow.wait(interval_s)
            await slow.picture()
        assert not slow.was_lost
        await slow.wait(interval_s * 1.5)
        assert slow.camera.state == "live", "its pace is known"

    slow_camera(tmp_path, monkeypatch, go)


def test_a_frozen_camera_is_given_up_according_to_its_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(slow: Slow) -> None:
        for _ in range(100):
            await slow.clock.run(0.04)
            await slow.picture()
        await slow.wait(4)
        assert slow.camera.state == "stalled" and not slow.was_lost
        await slow.wait(1)
        assert slow.was_lost and "sent no video for 4.5 s" in str(slow.camera.error)

    slow_camera(tmp_path, monkeypatch, go)


def test_a_connection_without_media_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(slow: Slow) -> None:
        await slow.wait(9)
        assert not slow.was_lost
        await slow.wait(2)
        assert slow.was_lost

    slow_camera(tmp_path, monkeypatch, go)


def test_a_gop_that_is_too_large_to_be_kept_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        assert source.deliver is not None
        packets = video_packets(900, gop=900)
        for packet in packets[:700]:
            source.deliver(packet)
        assert len(camera._channel._gop) == 700 and not camera.status()["notices"]
        for packet in packets[700:]:
            source.deliver(packet)
        assert [each["code"] for each in camera.status()["notices"]] == ["gop_not_kept"]
        assert "longer than 30 s" in camera.status()["notices"][0]["message"]

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


def test_a_slow_clock_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def go(camera: CameraCapture, source: OpenCamera, film: Film) -> None:
        assert source.deliver is not None
        for packet in video_packets(250):
            source.deliver(packet._replace(pts=packet.pts * 6 // 10))
        (notice,) = camera.status()["notices"]
        assert notice["code"] == "clock_rate" and "runs 40 % slow" in notice["message"]
        assert camera.status()["clock_rate"] == pytest.approx(0.6, abs=0.01)

    asyncio.run(watched_camera(tmp_path, monkeypatch, go))


async def until(clock: FakeClock, condition: Callable[[], object], seconds: float = 20) -> None:
    """Let time pass until the condition is true."""
    for _ in range(round(seconds * 10)):
        if condition():
            return
        await asyncio.sleep(0.001)  # Sockets need real time.
        await clock.run(0.1)
    raise AssertionError("the condition did not become true")


def test_a_stream_connects_with_its_first_subscriber_and_disconnects_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[OpenCamera] = []

    async def open_it(*_: object, **__: object) -> Source:
        opened.append(OpenCamera())
        return opened[-1]

    async def go() -> None:
        clock = FakeClock(monotonic_ns=START_NS)
        states: list[CameraState] = []
        monkeypatch.setattr(capture_camera, "open_source", open_it)
        camera = CameraCapture(
            slug="door", stream="sub", camera_id=1, source=SourceConfig("rtsp://camera.example/"), revision="1",
            run_dir=tmp_path, on_change=lambda: states.append(camera.state), clock=clock,
        )  # fmt: skip
        run = asyncio.create_task(camera.run())
        await clock.run(3600)
        assert (opened, camera.state) == ([], CameraState.IDLE)
        viewer = await a_viewer(tmp_path / "door.sub.packets")
        await until(clock, lambda: opened)
        await until(clock, lambda: opened[-1].deliver)
        assert states[-1:] == [CameraState.CONNECTING]
        await Film(opened[-1], clock).run(2)
        assert states[-1:] == [CameraState.LIVE]
        viewer.close()
        await until(clock, lambda: not camera.status()["subscribers"])
        await Film(opened[-1], clock).run(4)
        assert states[-1:] == [CameraState.LIVE], "a page may be reloading"
        await until(clock, lambda: camera.state is CameraState.IDLE, 3)
        await clock.run(3600)
        assert len(opened) == 1
        again = await a_viewer(tmp_path / "door.sub.packets")
        await until(clock, lambda: len(opened) == 2)
        again.close()
        await camera.stop()
        await clock.run(1)
        await run
        assert CameraState.RECONNECTING not in states

    asyncio.run(go())


def test_a_recorded_stream_is_connected_without_subscribers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def go() -> None:
        source, clock = OpenCamera(), FakeClock(monotonic_ns=START_NS)

        async def open_it(*_: object, **__: object) -> Source:
            return source

        monkeypatch.setattr(capture_camera, "open_source", open_it)
        camera = CameraCapture(
            slug="door", stream="sub", camera_id=1, source=SourceConfig("rtsp://camera.example/"), revision="1",
            run_dir=tmp_path, on_change=lambda: None, clock=clock,
        )  # fmt: skip
        run = asyncio.create_task(camera.run())
        camera.record_to(writer.open("door"))
        await until(clock, lambda: source.deliver)
        await Film(source, clock).run(30)
        assert camera.state is CameraState.LIVE
        camera.record_to(None)
        await until(clock, lambda: camera.state is CameraState.IDLE)
        await camera.stop()
        await clock.run(1)
        await run

    writer = RecordingWriter(tmp_path / "recordings")
    asyncio.run(go())
    writer.close()
    assert writer.join(5) and list((tmp_path / "recordings/door").rglob("*.mp4"))
