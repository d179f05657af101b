"""Cameras with odd clocks and frames, recorded by a separate capture process."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ninjacam.recordings.reader import read_segment
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip, Unit
from ninjacam.testing.scenes import SceneOptions, VideoName, make_clip
from tests.harness.capture import PERIOD_S, CaptureChild, capture
from tests.harness.recorded import assert_consecutive, assert_decodes, by_time, stamps

pytestmark = pytest.mark.ffmpeg
SCENE = SceneOptions(width=640, height=360, seconds=4, gop=20, bitrate_bps=800_000)


def with_units(clip: Clip, change: Callable[[Unit], Unit], *, slower: float = 1) -> Clip:
    video = replace(clip.video, units=tuple(map(change, clip.video.units)))
    return Clip((video,), clip.duration_s * slower)


def end_s(child: CaptureChild) -> float:
    return max((each.end_ns for each in child.segments.values()), default=0) / 1e9


def record(
    directory: Path, camera: FakeRtspCamera, happens: Callable[[], None], *, period_s: int = PERIOD_S
) -> list[SegmentInfo]:
    """Record for some seconds before and after an action, and return the files in order."""

    async def go() -> None:
        async with capture(directory, camera.url(), period_s=period_s) as child:
            await child.until(lambda: child.segments)
            begun_s = end_s(child)
            await child.until(lambda: end_s(child) > begun_s + 2)
            happens()
            changed_s = end_s(child)
            await child.until(lambda: end_s(child) > changed_s + 4, 30)
            await child.stop()

    asyncio.run(go())
    root = directory / "recordings"
    paths = by_time(root)
    for path in paths:
        assert_decodes(path)
    return [read_segment(path, root=root) for path in paths]


def unbroken(directory: Path, clip: Clip) -> float:
    """Require that each frame is present once. Return the mean frame interval in seconds by each file's clock."""
    paths = by_time(directory / "recordings")
    numbers = stamps(paths)
    assert len(numbers) > 120
    assert_consecutive(numbers, clip.frames)
    rows = [read_segment(path, root=directory / "recordings") for path in paths]
    return sum(row.end_ns - row.start_ns for row in rows) / 1e9 / len(numbers)


@pytest.mark.parametrize("seconds", [3600, -3600, 7])
def test_a_jumping_clock_loses_no_frame(tmp_path: Path, seconds: float) -> None:
    clip = make_clip(SCENE)
    with FakeRtspCamera(clip) as camera:
        record(tmp_path, camera, lambda: camera.jump(seconds))
        assert camera.stats.connections == 1
    assert unbroken(tmp_path, clip) == pytest.approx(0.04, rel=0.05)


@pytest.mark.parametrize("stands_s", [0.08, 0.4])
def test_a_clock_that_stands_still_and_catches_up_keeps_its_pace(tmp_path: Path, stands_s: float) -> None:
    clip = make_clip(SCENE)
    coarse = with_units(
        clip, lambda unit: replace(unit, pts_s=math.floor(unit.pts_s / stands_s + 0.01) * stands_s)
    )
    with FakeRtspCamera(coarse) as camera:
        record(tmp_path, camera, lambda: None)
    assert unbroken(tmp_path, clip) == pytest.approx(0.04, rel=0.05)


def test_a_fractional_frame_rate_is_kept(tmp_path: Path) -> None:
    clip, slower = make_clip(SCENE), 25 / (30_000 / 1001)
    odd = with_units(
        clip,
        lambda unit: replace(unit, sent_s=unit.sent_s * slower, pts_s=unit.pts_s * slower),
        slower=slower,
    )
    with FakeRtspCamera(odd) as camera:
        record(tmp_path, camera, lambda: None)
    assert unbroken(tmp_path, clip) == pytest.approx(1001 / 30_000, rel=0.02)


@pytest.mark.parametrize(("codec", "width"), [("h264", 320), ("hevc", 640)])
def test_a_different_frame_size_begins_another_file(tmp_path: Path, codec: VideoName, width: int) -> None:
    clip = make_clip(SCENE)
    other = make_clip(replace(SCENE, codec=codec, width=width, height=width * 9 // 16))

    with FakeRtspCamera(clip) as camera:

        def change() -> None:
            camera.switch_clip(other)
            if codec != "h264":
                camera.drop()  # the codec is only declared at the start of a session

        rows = record(tmp_path, camera, change, period_s=60)
        assert camera.stats.connections == (1 if codec == "h264" else 2)
    kinds = [(row.codec, row.width_px) for row in rows]
    assert kinds == [("h264", 640), (codec, width)]
    for row in rows:
        assert_consecutive(stamps([tmp_path / "recordings" / row.path]), clip.frames)
