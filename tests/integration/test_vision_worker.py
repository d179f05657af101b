"""A vision worker as a real process, with a real local stream and a real control socket."""

import asyncio
import contextlib
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam.core.packets import CameraState, Codec, Flags, Kind, Packet, StreamInfo, Track
from ninjacam.hub.client import RefusedError, StreamSubscription, read_one
from ninjacam.hub.request import StreamRequest
from ninjacam.hub.server import Channel, StreamServer
from ninjacam.supervision.control import ControlClient, Json
from ninjacam.testing import stamp
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.fair_clock import fair_timeout

MJPEG = StreamRequest(codec=Codec.MJPEG)
CODE = """
    import os, time
    import cv2
    from ninjacam import processor

    @processor
    def edges(frame):
        return cv2.Canny(frame.image, 80, 160)

    @processor
    def red(frame):
        frame.image[100:200] = (0, 0, 255)

    @processor
    def dull(frame):
        return frame.gray

    @processor
    def raises(frame):
        return 1 / 0

    @processor
    def raises_sometimes(frame):
        if frame.number % 3 == 0:
            raise ValueError("now and then")

    @processor
    def interrupts(frame):
        raise KeyboardInterrupt

    class Mute(Exception):
        def __str__(self):
            raise ValueError("no text")

    @processor
    def mute(frame):
        raise Mute

    @processor
    def wrong(frame):
        return "a string"

    @processor
    def sleeps(frame):
        time.sleep(3600)

    @processor
    def slow(frame):
        time.sleep(0.3)
        return frame.image

    @processor
    def spins(frame):
        while True:
            pass

    @processor
    def dies(frame):
        os._exit(3)

    @processor(cameras="yard-*")
    def elsewhere(frame):
        return frame.image
"""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=800_000))


class Feeder:
    """Replaces a capture process: publishes the clip in real time."""

    def __init__(self, clip: Clip, run_dir: Path, slug: str = "door") -> None:
        self.clip = clip
        self.slug = slug
        self.live = True
        self.idle = asyncio.Event()
        self.channel = Channel(
            StreamInfo(slug, (Track(Kind.VIDEO, Codec.H264),), CameraState.LIVE), on_demand=self._on_demand
        )
        self.server = StreamServer(run_dir / f"{slug}.packets", lambda _: self.channel)

    def _on_demand(self, channel: Channel) -> None:
        if channel.subscribers:
            self.idle.clear()
        else:
            self.idle.set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        units = self.clip.video.units
        start_s = loop.time()
        number = 0
        while True:
            await asyncio.sleep(max(0.0, start_s + number / 25 - loop.time()))
            unit = units[number % len(units)]
            if self.live:
                self.channel.publish(
                    Packet(
                        Kind.VIDEO, Codec.H264, unit.data, number * 3600, int(loop.time() * 1e9),
                        flags=Flags.KEY | Flags.CONFIG if unit.key else Flags.NONE, sequence=number,
                        captured_ns=10**18 + number, width_px=640, height_px=360,
                    )
                )  # fmt: skip
            number += 1

    def set_state(self, state: CameraState, message: str = "") -> None:
        self.live = state is CameraState.LIVE
        error = {"code": "timeout", "message": message, "retryable": True} if message else None
        self.channel.set_info(StreamInfo(self.slug, self.channel.info.tracks, state, error))


class Worker:
    def __init__(self, run_dir: Path, code_path: Path, slugs: tuple[str, ...] = ("door",)) -> None:
        self.slugs = slugs
        self.run_dir = run_dir
        self.code_path = code_path
        self.reports: list[Json] = []
        self.heard = asyncio.Event()
        self.process: subprocess.Popen[bytes] | None = None

    async def start(self, quarantined: list[Json] | None = None) -> None:
        script = (
            "import sys; from pathlib import Path; from ninjacam.supervision.child import run_loop;"
            "from ninjacam.vision.code import ModuleFile; from ninjacam.vision.process import VisionProcess;"
            "run_loop(VisionProcess(name='vision-1', run_dir=Path(sys.argv[1]), orphan_s=20,"
            "modules=[ModuleFile('door_cameras', Path(sys.argv[2]))], reload=True).run)"
        )
        command = [sys.executable, "-c", script, str(self.run_dir), str(self.code_path)]
        self.process = await asyncio.to_thread(subprocess.Popen, command, stdin=subprocess.DEVNULL)
        self.client = ControlClient(self.run_dir / "vision-1.control", self._on_report, lambda: None)
        async with fair_timeout(20):
            while not await self.client.connect():
                assert self.process.poll() is None, "the worker ended at its start"
                await asyncio.sleep(0.02)
        streams = {"streams": [{"name": "main", "width_px": 0}], "detect_stream": ""}
        cameras = [
            {"slug": slug, "camera_id": number, **streams} for number, slug in enumerate(self.slugs, 1)
        ]
        self.client.send({"op": "assign", "cameras": cameras, "quarantined": quarantined or []})
        await self.until(lambda report: report["views"].keys() >= {*self.slugs})

    def _on_report(self, report: Json) -> None:
        self.reports.append(report)
        self.heard.set()

    async def until(self, condition: Callable[[Json], Any], timeout_s: float = 10) -> Json:
        async with fair_timeout(timeout_s):
            while not self.reports or not condition(self.reports[-1]):
                self.heard.clear()
                await self.heard.wait()
        return self.reports[-1]

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


class House:
    def __init__(self, feeder: Feeder, worker: Worker, run_dir: Path) -> None:
        self.feeder = feeder
        self.worker = worker
        self.run_dir = run_dir

    async def picture(self, request: StreamRequest, timeout_s: float = 8) -> Any:
        packet = await read_one(self.run_dir / "door.pixels", request, timeout_s=timeout_s)
        return decoded(packet)


@contextlib.asynccontextmanager
async def house(
    clip: Clip, tmp_path: Path, code: str = CODE, others: dict[str, Clip] | None = None
) -> AsyncIterator[House]:
    """Yield a worker with the camera "door", which sends `clip`, and the cameras `others`."""
    code_path = tmp_path / "cameras.py"
    code_path.write_text(textwrap.dedent(code))
    feeders = [Feeder(each, tmp_path, slug) for slug, each in {"door": clip, **(others or {})}.items()]
    worker = Worker(tmp_path, code_path, tuple(feeder.slug for feeder in feeders))
    for feeder in feeders:
        await feeder.server.start()
    feeding = [asyncio.create_task(feeder.run()) for feeder in feeders]
    try:
        await worker.start()
        yield House(feeders[0], worker, tmp_path)
    finally:
        for task in feeding:
            task.cancel()
        worker.stop()
        for feeder in feeders:
            await feeder.server.close()


class Viewer:
    """Counts the packets that a view delivers, over any number of connections."""

    def __init__(self, run_dir: Path, request: StreamRequest, slug: str = "door") -> None:
        self.packets: list[Packet] = []
        self.infos: list[StreamInfo | None] = []
        self._heard = asyncio.Event()
        self.subscription = StreamSubscription(
            run_dir / f"{slug}.pixels", request, on_packet=self._on_packet, on_info=self.infos.append
        )
        self.task = asyncio.create_task(self.subscription.run())

    def _on_packet(self, packet: Packet) -> None:
        self.packets.append(packet)
        self._heard.set()

    async def more(self, count: int, timeout_s: float = 10) -> list[Packet]:
        """Wait for the next `count` packets."""
        start = len(self.packets)
        async with fair_timeout(timeout_s):
            while len(self.packets) < start + count:
                self._heard.clear()
                await self._heard.wait()
        return self.packets[start : start + count]

    async def close(self) -> None:
        self.subscription.close()
        await asyncio.gather(self.task, return_exceptions=True)


def decoded(packet: Packet) -> Any:
    return cv2.imdecode(np.frombuffer(packet.data, np.uint8), cv2.IMREAD_COLOR)


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_the_cameras_own_view_and_processed_views_are_shown(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            raw = await it.picture(MJPEG)
            assert raw.shape == (360, 640, 3)
            assert stamp.read(raw) is not None
            edges = await it.picture(StreamRequest("edges", Codec.MJPEG))
            assert edges.shape == (360, 640, 3)
            assert np.ptp(edges[200:].max(axis=2) - edges[200:].min(axis=2).astype(int)) < 40, (
                "edges are grey"
            )
            red = await it.picture(StreamRequest("red", Codec.MJPEG))
            assert red[150, 320, 2] > 200 > 60 > red[150, 320, 0]
            dull = await it.picture(StreamRequest("dull", Codec.MJPEG))
            assert dull.shape == (360, 640, 3)
            small = await it.picture(StreamRequest("edges", Codec.MJPEG, width_px=320))
            assert small.shape[:2] == (180, 320)

    asyncio.run(go())


def test_a_view_in_h264_starts_with_a_key_frame_and_decodes(clip: Clip, tmp_path: Path) -> None:
    import av

    async def go() -> None:
        async with house(clip, tmp_path) as it:
            viewer = Viewer(tmp_path, StreamRequest("red", Codec.H264))
            packets = await viewer.more(30)
            await viewer.close()
            assert packets[0].is_key
            assert packets[0].flags & Flags.CONFIG
            context = av.CodecContext.create("h264", "r")
            assert isinstance(context, av.VideoCodecContext)
            frames = [frame for p in packets for frame in context.decode(av.Packet(p.data))]
            assert len(frames) >= 29
            images: list[Any] = [frame.to_ndarray(format="bgr24") for frame in frames]
            stamps = [stamp.read(image) for image in images]
            assert None not in stamps
            # Not `set(stamps)`: the clip repeats, and a busy machine leaves frames out.
            assert all(one != other for one, other in pairwise(stamps)), "no frame twice"
            assert all(one.captured_ns < other.captured_ns for one, other in pairwise(packets))
            assert packets[0].captured_ns > 10**18 - 1
            _ = it

    asyncio.run(go())


def test_nothing_is_decoded_without_viewers(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            await it.picture(MJPEG)
            assert it.feeder.channel.subscribers == 1
            async with fair_timeout(5):
                await it.feeder.idle.wait()

    asyncio.run(go())


def test_a_viewer_who_requests_every_size_and_quality_locks_nobody_out(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            greedy = [
                Viewer(tmp_path, StreamRequest(codec=Codec.MJPEG, width_px=width, quality=quality))
                for width in (160, 240, 320, 480)
                for quality in (40, 60, 80, 95)
            ]
            for viewer in greedy:
                await viewer.more(1)
            assert (await it.picture(StreamRequest(codec=Codec.MJPEG, width_px=640))).shape[1] == 240
            report = await it.worker.until(lambda r: r["views"]["door"][""]["encodings"] > 0)
            assert report["views"]["door"][""]["encodings"] == 8
            assert (await it.picture(StreamRequest("edges", Codec.MJPEG, 640))).shape[1] == 640
            for viewer in greedy:
                await viewer.close()

    asyncio.run(go())


def test_an_undefined_view_is_refused_with_the_names_of_the_defined_ones(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            for name in ("nix", "elsewhere"):
                with pytest.raises(RefusedError, match="edges"):
                    await it.picture(StreamRequest(name, Codec.MJPEG))

    asyncio.run(go())


@pytest.mark.parametrize(
    ("view", "words"),
    [
        ("raises", "ZeroDivisionError"),
        ("wrong", "returned str"),
        ("interrupts", "KeyboardInterrupt"),
        ("mute", "Mute"),
    ],
)
def test_a_failing_processor_shows_its_error_and_the_cameras_own_stream_continues(
    clip: Clip, tmp_path: Path, view: str, words: str
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            raw = Viewer(tmp_path, MJPEG)
            failing = Viewer(tmp_path, StreamRequest(view, Codec.MJPEG))
            await failing.more(1)
            report = await it.worker.until(lambda r: r["views"]["door"][view]["state"] == "failed")
            error = report["views"]["door"][view]["error"]
            assert words in error["message"]
            if view == "raises":
                assert "return 1 / 0" in error["traceback"]
                assert "pipeline.py" not in error["traceback"], "our own frames are not the user's business"
            assert failing.infos[-1] is not None
            assert failing.infos[-1].extra["view_error"]["code"] == "processor"
            packets = await raw.more(25)
            assert packets[-1].sequence - packets[0].sequence == 24
            await raw.close()
            await failing.close()

    asyncio.run(go())


def test_a_processor_that_fails_occasionally_is_counted_and_logged(
    clip: Clip, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            viewer = Viewer(tmp_path, StreamRequest("raises_sometimes", Codec.MJPEG))

            def works_after_three(report: Json) -> bool:
                view = report["views"]["door"]["raises_sometimes"]
                return view["failures"] >= 3 and view["error"] is None

            report = await it.worker.until(works_after_three, timeout_s=20)
            view = report["views"]["door"]["raises_sometimes"]
            assert view["state"] == "running"
            assert "now and then" in view["last_error"]["message"]
            assert 'raise ValueError("now and then")' in view["last_error"]["traceback"]
            assert abs(view["last_failed_us"] / 1e6 - time.time()) < 30
            await viewer.close()
        logged = capfd.readouterr().err
        assert logged.count("door: raises_sometimes: ValueError: now and then (cameras.py, line ") == 1
        assert 'raise ValueError("now and then")' in logged

    asyncio.run(go())


def test_saving_a_helper_changes_the_live_video_within_two_seconds(clip: Clip, tmp_path: Path) -> None:
    code = """
        from ninjacam import processor
        from worker_helper import COLOR

        @processor
        def paint(frame):
            frame.image[100:200] = COLOR
    """

    async def go() -> None:
        helper = tmp_path / "worker_helper.py"
        helper.write_text("COLOR = (0, 0, 255)\n")
        async with house(clip, tmp_path, code) as it:
            viewer = Viewer(tmp_path, StreamRequest("paint", Codec.MJPEG))
            await viewer.more(3)
            for channel, color in ((0, "(255, 0, 0)"), (1, "(0, 255, 0)")):
                helper.write_text(f"COLOR = {color}\n")
                async with fair_timeout(2):
                    while decoded((await viewer.more(1))[0])[150, 320, channel] < 200:
                        pass
            helper.write_text("COLOR = (\n")
            report = await it.worker.until(lambda r: r["views"]["door"]["paint"]["state"] == "failed")
            assert "(worker_helper.py, line 1)" in report["views"]["door"]["paint"]["error"]["message"]
            helper.write_text("COLOR = (0, 0, 255)\n")
            async with fair_timeout(3):
                while decoded((await viewer.more(1))[0])[150, 320, 2] < 200:
                    pass
            assert None not in viewer.infos, "the viewer was never disconnected"
            await viewer.close()

    asyncio.run(go())


@pytest.mark.parametrize("view", ["sleeps", "spins"])
def test_a_processor_that_never_returns_is_abandoned_and_the_cameras_own_stream_continues(
    clip: Clip, tmp_path: Path, view: str
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            assert it.worker.process is not None
            raw = Viewer(tmp_path, MJPEG)
            await raw.more(5)
            stuck = Viewer(tmp_path, StreamRequest(view, Codec.MJPEG))
            before = len(raw.packets)
            await it.worker.until(lambda r: r["views"]["door"][view]["state"] == "failed")
            assert len(raw.packets) - before >= 30, "it continues while the other is stuck"
            await raw.more(25, timeout_s=4)
            await stuck.more(1)
            assert it.worker.process.poll() is None
            before_s = cpu_s(it.worker.process.pid)
            await raw.more(50, timeout_s=6)
            assert cpu_s(it.worker.process.pid) - before_s < 1.5, "the spinning thread was ended"
            await raw.close()
            await stuck.close()

    asyncio.run(go())


def test_a_slow_processor_delays_only_its_own_view(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path):
            raw, slow = Viewer(tmp_path, MJPEG), Viewer(tmp_path, StreamRequest("slow", Codec.MJPEG))
            await asyncio.gather(raw.more(5), slow.more(2))
            packets = await raw.more(50, timeout_s=3)
            assert packets[-1].sequence - packets[0].sequence == 49
            ages_ns = [time.monotonic_ns() - (await slow.more(1))[0].received_ns for _ in range(3)]
            assert max(ages_ns) < 700_000_000, "late pictures are left out, not queued"
            await raw.close()
            await slow.close()

    asyncio.run(go())


def test_saving_the_file_changes_the_live_video_and_keeps_the_viewer(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            viewer = Viewer(tmp_path, StreamRequest("red", Codec.MJPEG))
            await viewer.more(3)
            code = textwrap.dedent(CODE).replace("(0, 0, 255)", "(255, 0, 0)")
            it.worker.code_path.write_text(code)
            async with fair_timeout(2):
                while True:
                    picture = decoded((await viewer.more(1))[0])
                    if picture[150, 320, 0] > 200:
                        break
            # A broken cameras.py is reported and the connection is kept; after the repair, the view works again.
            it.worker.code_path.write_text("def broken(:\n")
            report = await it.worker.until(lambda r: r["views"]["door"]["red"]["state"] == "failed")
            assert "SyntaxError" in report["modules"][0]["error"]
            it.worker.code_path.write_text(textwrap.dedent(CODE))
            async with fair_timeout(3):
                while True:
                    picture = decoded((await viewer.more(1))[0])
                    if picture[150, 320, 2] > 200:
                        break
            assert None not in viewer.infos, "the viewer was never disconnected"
            await viewer.close()

    asyncio.run(go())


def test_a_lost_camera_is_shown_as_a_readable_image_and_recovers(clip: Clip, tmp_path: Path) -> None:
    async def go() -> None:
        async with house(clip, tmp_path) as it:
            viewer = Viewer(tmp_path, MJPEG)
            await viewer.more(5)
            it.feeder.set_state(CameraState.RECONNECTING, "Look at the cable.")
            last = (await viewer.more(2, timeout_s=3))[-1]
            picture = decoded(last)
            assert stamp.read(picture) is None, "not the old picture as if nothing were"
            assert picture.max() > 180, "and there is something to read"
            newcomer = await it.picture(MJPEG, timeout_s=2)
            assert stamp.read(newcomer) is None
            it.feeder.set_state(CameraState.LIVE)
            async with fair_timeout(4):
                while True:
                    last = (await viewer.more(1))[0]
                    if stamp.read(decoded(last)) is not None:
                        break
            await viewer.close()

    asyncio.run(go())


def test_a_processor_that_crashes_its_process_is_identified(clip: Clip, tmp_path: Path) -> None:
    from ninjacam.supervision.crash_record import read_last_words

    async def go() -> None:
        async with house(clip, tmp_path) as it:
            assert it.worker.process is not None
            viewer = Viewer(tmp_path, StreamRequest("dies", Codec.MJPEG))
            assert await asyncio.to_thread(it.worker.process.wait, 10) == 3
            assert read_last_words(tmp_path / "vision-1.running").running == [("door", "dies")]
            entry = {
                "camera": "door",
                "view": "dies",
                "until_ns": 2**62,
                "error": {"message": "It ended its process."},
            }
            await it.worker.start([entry])
            await viewer.more(1)
            report = await it.worker.until(lambda r: r["views"]["door"]["dies"]["state"] == "failed")
            assert "ended its process" in report["views"]["door"]["dies"]["error"]["message"]
            assert it.worker.process.poll() is None
            await viewer.close()

    asyncio.run(go())
