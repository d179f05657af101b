"""Several cameras with the same processor in one vision worker: shared instances, and attribution of crashes."""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from ninjacam.core.packets import Codec
from ninjacam.hub.request import StreamRequest
from ninjacam.supervision.crash_record import read_last_words
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.fair_clock import fair_timeout
from tests.integration.test_vision_worker import House, Viewer, house

CODE = """
    import ctypes, os, threading, time
    import cv2
    from ninjacam import Box, Processor, processor

    background = cv2.createBackgroundSubtractorMOG2()

    @processor
    def motion(frame):  # the function that crashed workers when cameras of two sizes had it
        mask = background.apply(frame.gray)
        contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        return [Box(x, y, x + w, y + h) for x, y, w, h in map(cv2.boundingRect, contours[:100])]

    @processor
    def motion_too(frame):
        return background.apply(frame.gray)

    @processor
    class Size(Processor):
        def setup(self, camera, options):
            self.camera, self.sizes, self.thread = camera, set(), threading.get_ident()
            print("setup", camera, flush=True)

        def process(self, frame):
            assert frame.camera == self.camera
            assert threading.get_ident() == self.thread
            self.sizes.add(frame.image.shape)
            assert len(self.sizes) == 1, "the state of two cameras is mixed"

        def close(self):
            print("close", self.camera, threading.get_ident() == self.thread, flush=True)

    @processor
    def slow(frame):
        time.sleep(0.15)

    @processor
    def stuck_at_door(frame):
        if frame.camera == "door":
            time.sleep(3600)

    @processor
    def busy(frame):
        time.sleep(0.5)

    @processor
    def segfaults(frame):
        time.sleep(0.2)
        ctypes.string_at(0)

    @processor
    def exits(frame):
        time.sleep(0.2)
        os._exit(5)

    @processor
    def crashes_elsewhere(frame):
        threading.Thread(target=lambda: ctypes.string_at(0)).start()
        time.sleep(1)
"""


@pytest.fixture(scope="module")
def clip() -> Clip:
    return make_clip(SceneOptions(width=640, height=360, seconds=2, gop=25, bitrate_bps=800_000))


@pytest.fixture(scope="module")
def other_clip() -> Clip:
    return make_clip(SceneOptions(width=320, height=192, seconds=2, gop=25, bitrate_bps=400_000))


def watch(it: House, view: str, slug: str, codec: Codec = Codec.MJPEG) -> Viewer:
    return Viewer(it.run_dir, StreamRequest(view, codec), slug)


def test_cameras_of_two_sizes_share_a_function_without_a_crash(
    clip: Clip, other_clip: Clip, tmp_path: Path
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path, CODE, {"yard": other_clip}) as it:
            viewers = [
                watch(it, view, slug) for view in ("motion", "motion_too") for slug in ("door", "yard")
            ]
            await asyncio.gather(*(viewer.more(75, timeout_s=40) for viewer in viewers))
            assert it.worker.process is not None and it.worker.process.poll() is None
            for slug in ("door", "yard"):
                assert it.worker.reports[-1]["views"][slug]["motion"]["error"] is None
            for viewer in viewers:
                await viewer.close()

    asyncio.run(go())


def test_a_class_has_one_instance_per_camera_which_is_closed_without_viewers(
    clip: Clip, other_clip: Clip, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path, CODE, {"yard": other_clip}) as it:
            viewers = [watch(it, "size", slug) for slug in ("door", "yard")]
            await asyncio.gather(*(viewer.more(10) for viewer in viewers))
            again = watch(it, "size", "door")  # no second instance
            await again.more(5)
            for viewer in (*viewers, again):
                await viewer.close()
            views = (await it.worker.until(lambda r: r["views"]["door"]["size"]["state"] == "idle"))["views"]
            assert views["door"]["size"]["error"] is None and views["yard"]["size"]["error"] is None
            said = ""
            async with fair_timeout(10):
                while said.count("close") < 2:
                    await asyncio.sleep(0.05)
                    said += capfd.readouterr().out
            lines = said.splitlines()
            assert sorted(lines) == ["close door True", "close yard True", "setup door", "setup yard"]

    asyncio.run(go())


def test_a_slow_function_serves_its_cameras_in_turn_with_their_latest_frames(
    clip: Clip, other_clip: Clip, tmp_path: Path
) -> None:
    async def go() -> None:
        others = {"yard": other_clip, "gate": other_clip}
        async with house(clip, tmp_path, CODE, others) as it:
            served: list[str] = []
            viewers = {slug: watch(it, "slow", slug) for slug in ("door", *others)}

            async def follow(slug: str, viewer: Viewer) -> None:
                while True:
                    (packet,) = await viewer.more(1, timeout_s=30)
                    served.append(slug)
                    age_s = time.monotonic() - packet.received_ns / 1e9
                    assert len(served) < 6 or age_s < 1.0, "it waited with the frame instead of for the frame"

            tasks = [asyncio.create_task(follow(*item)) for item in viewers.items()]
            start_s = time.monotonic()
            async with fair_timeout(30):
                while len(served) < 24:
                    await asyncio.sleep(0.05)
                    assert not any(task.done() for task in tasks)
            assert time.monotonic() - start_s > 20 * 0.15, "two were served at the same time"
            counts = {slug: served.count(slug) for slug in viewers}
            assert max(counts.values()) - min(counts.values()) <= 2, counts
            for task in tasks:
                task.cancel()

    asyncio.run(go())


def test_a_call_that_never_returns_does_not_delay_other_cameras(
    clip: Clip, other_clip: Clip, tmp_path: Path
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path, CODE, {"yard": other_clip}) as it:
            stuck = watch(it, "stuck_at_door", "door")
            await it.worker.until(lambda r: r["views"]["door"]["stuck_at_door"]["state"] == "failed")
            yard = watch(it, "stuck_at_door", "yard")
            await yard.more(25)
            assert it.worker.reports[-1]["views"]["yard"]["stuck_at_door"]["error"] is None
            await stuck.close()
            await yard.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("fatal", "returncode", "is_known"),
    [
        ("segfaults", -signal.SIGSEGV, True),
        ("exits", 5, True),
        (
            "crashes_elsewhere",
            -signal.SIGSEGV,
            False,
        ),  # in its own thread: all running processors are suspects
    ],
)
def test_only_the_view_whose_thread_crashed_the_process_is_quarantined(
    clip: Clip, tmp_path: Path, fatal: str, returncode: int, is_known: bool
) -> None:
    async def go() -> None:
        async with house(clip, tmp_path, CODE) as it:
            assert it.worker.process is not None
            innocent = watch(it, "busy", "door")
            await innocent.more(1)
            guilty = watch(it, fatal, "door")
            assert await asyncio.to_thread(it.worker.process.wait, 20) == returncode
            words = read_last_words(tmp_path / "vision-1.running")
            assert ("door", fatal) in words.running
            assert len(words.running) == 1 or not is_known
            if fatal == "segfaults":
                assert "ctypes" in words.traceback and "in segfaults" in words.traceback
            await innocent.close()
            await guilty.close()

    asyncio.run(go())
