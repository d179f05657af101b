"""A capture process that records a fake camera: verified with FFmpeg's programs, killed, and with a full disk."""

import asyncio
import contextlib
import itertools
import os
import random
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import av
import pytest

from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.segments import SegmentInfo
from ninjacam.testing.camera import FakeRtspCamera
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import AudioName, SceneOptions, VideoName, make_clip
from tests.harness.capture import capture
from tests.harness.recorded import assert_consecutive, assert_decodes, by_time, stamps


def clip(codec: VideoName = "h264", *, audio: AudioName = "", bframes: int = 0) -> Clip:
    return make_clip(
        SceneOptions(
            width=640, height=360, seconds=4, gop=20, codec=codec, bitrate_bps=800_000, audio=audio, bframes=bframes
        )
    )  # fmt: skip


def sound_s(paths: Sequence[Path]) -> float:
    """Return the seconds of audio that decode."""
    heard_s = 0.0
    for path in paths:
        with av.open(str(path)) as container:
            heard_s += sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return heard_s


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("codec", "audio", "bframes"),
    [("h264", "", 0), ("h264", "pcm_alaw", 2), ("hevc", "aac", 0), ("mjpeg", "pcm_mulaw", 0)],
)
def test_no_frame_is_missing_or_duplicated_across_files(
    tmp_path: Path, codec: VideoName, audio: AudioName, bframes: int
) -> None:
    root = tmp_path / "recordings"
    source = clip(codec, audio=audio, bframes=bframes)

    async def record(url: str) -> dict[str, SegmentInfo]:
        async with capture(tmp_path, url) as child:
            await child.until(lambda: len(child.segments) >= 4)
            assert child.camera["recording"]["state"] == "recording"
            await child.stop()
            return child.segments

    with FakeRtspCamera(source) as camera:
        reported = asyncio.run(record(camera.url()))
    paths = by_time(root)
    assert len(paths) >= 4
    for path in paths:
        assert_decodes(path)
    numbers = stamps(paths)
    # The last ones may wait for an earlier one.
    assert_consecutive(numbers[: len(numbers) - bframes], source.frames)
    rows = [read_segment(path, root=root) for path in paths]
    if audio:
        assert sound_s(paths) > (rows[-1].end_ns - rows[0].start_ns) / 1e9 - 0.5
    for before, after in itertools.pairwise(rows):
        assert abs(after.start_ns - before.end_ns) < 100_000_000
        assert before == reported[before.path]
    assert {row.codec for row in rows} == {codec}
    assert {(row.audio_codec, row.audio_source) for row in rows} == {
        ("aac" if audio else "", audio if audio != "aac" else "")
    }


def tear(path: Path) -> None:
    """Append half of the last fragment again, as if the process was killed during a write."""
    last = read_recording(path).fragments[-1]
    data = path.read_bytes()
    with path.open("ab") as file:
        file.write(data[last.offset : last.offset + last.size_bytes // 2])


@pytest.mark.ffmpeg
def test_kill_9_loses_at_most_a_second_and_leaves_no_broken_file(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    dice = random.Random(11)
    lost_s = []

    async def record_and_kill(url: str) -> None:
        async with capture(tmp_path, url) as child:
            await child.until(lambda: child.segments and any(s.open for s in child.segments.values()))
            await asyncio.sleep(dice.uniform(0.5, 2.5))
            killed_ns = time.time_ns()
            child.process.kill()
            await asyncio.to_thread(child.process.wait)
        newest = by_time(root)[-1]
        tear(newest)
        lost_s.append((killed_ns - read_segment(newest, root=root).end_ns) / 1e9)

    async def record_on(url: str) -> None:
        async with capture(tmp_path, url) as child:
            await child.until(lambda: any(s.open for s in child.segments.values()))
            await child.stop()

    with FakeRtspCamera(clip()) as camera:
        for _ in range(8):
            asyncio.run(record_and_kill(camera.url()))
        asyncio.run(record_on(camera.url()))
    print("lost after kill -9, s:", [round(each, 2) for each in lost_s])
    assert max(lost_s) < 1.2  # a second that was being collected, and data in flight
    paths = by_time(root)
    assert len(paths) >= 9 and len(paths) == len(list(root.rglob("*.mp4")))
    for path in paths:
        assert read_recording(path).size_bytes == path.stat().st_size
        assert_decodes(path)
        assert_consecutive(stamps([path]), 100)


def test_recording_starts_and_stops_without_a_new_connection(tmp_path: Path) -> None:
    async def switch(url: str) -> None:
        async with capture(tmp_path, url, record="off") as child:
            await child.until(lambda: child.camera.get("state") == "live")
            assert child.camera["recording"]["state"] == "off"
            assert not (tmp_path / "recordings").exists()
            child.assign(url, "always")
            await child.until(lambda: child.segments)
            child.assign(url, "off")
            await child.until(lambda: not any(segment.open for segment in child.segments.values()))
            assert child.camera["reconnects"] == 0
            await child.stop()

    with FakeRtspCamera(clip()) as camera:
        asyncio.run(switch(camera.url()))
        assert camera.stats.connections == 1


@pytest.mark.ffmpeg
def test_recording_on_events_covers_their_surroundings_without_a_gap(tmp_path: Path) -> None:
    root = tmp_path / "recordings"
    source = clip(audio="pcm_alaw")
    wanted: list[tuple[int, int]] = []

    async def record(url: str) -> None:
        async with capture(tmp_path, url, record="events") as child:
            child.assign(url, "events", before_s=1)
            await child.until(lambda: child.camera.get("recording", {}).get("ring_s", 0) > 2)
            assert child.camera["recording"]["state"] == "waiting" and not root.exists()
            for after_s in (2, 0.5):
                happened_ns = time.time_ns()
                wanted.append((happened_ns - 10**9, happened_ns + int(after_s * 1e9)))
                child.assign(url, "events", wanted, before_s=1)
                await child.until(lambda: child.camera["recording"]["state"] == "recording")
                await child.until(lambda: child.camera["recording"]["state"] == "waiting")
                await child.until(lambda: not any(segment.open for segment in child.segments.values()))
                await asyncio.sleep(2.5)
            child.assign(url, "always")
            await child.until(lambda: child.camera["recording"]["state"] == "recording")
            assert child.camera["reconnects"] == 0
            await child.stop()

    with FakeRtspCamera(source) as camera:
        asyncio.run(record(camera.url()))
        assert camera.stats.connections == 1
    rows = [read_segment(path, root=root) for path in by_time(root)]
    for from_ns, until_ns in wanted:
        held = [row for row in rows if row.start_ns < until_ns and row.end_ns > from_ns]
        assert held[0].start_ns <= from_ns and held[-1].end_ns >= until_ns
        # A key frame each 0.8 s.
        assert held[0].start_ns > from_ns - 10**9 and held[-1].end_ns < until_ns + 2 * 10**9
        paths = [root / row.path for row in held]
        for path in paths:
            assert_decodes(path)
        assert_consecutive(stamps(paths), source.frames)
    ends = [row.end_ns for row in rows if row.start_ns < wanted[0][1]]
    # A gap between them.
    assert next(row.start_ns for row in rows if row.start_ns > wanted[0][1]) - max(ends) > 10**9


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_full_disk_is_reported_and_does_not_affect_live_video_and_recording_resumes(
    tmp_path: Path,
) -> None:
    root = tmp_path / "recordings"
    root.mkdir()
    script = f'mount -t tmpfs -o size=4m tmpfs "{root}" && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")

    async def fill(url: str) -> None:
        async with capture(tmp_path, url, before=before) as child:
            inside = Path(f"/proc/{child.process.pid}/root{root}")
            await child.until(lambda: child.segments)
            ballast = inside / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            await child.until(lambda: child.camera["recording"]["state"] == "failing")
            assert "disk is full" in child.camera["recording"]["error"]["message"]
            failures = child.camera["recording"]["failures"]
            await child.until(lambda: child.camera["recording"]["failures"] > failures)  # it retries
            assert child.camera["state"] == "live" and child.camera["fps"] > 20
            before_room = set(child.segments)
            for path in iter_paths(inside):
                assert read_recording(inside / path).size_bytes == (inside / path).stat().st_size
            ballast.unlink()
            await child.until(lambda: child.camera["recording"]["state"] == "recording")
            await child.until(lambda: set(child.segments) - before_room)
            assert child.camera["recording"]["error"] is None and child.camera["reconnects"] == 0
            await child.until(lambda: len(set(child.segments) - before_room) >= 2)
            for path in iter_paths(inside):
                segment = child.segments[path]
                if not segment.open:
                    assert read_segment(inside / path, root=inside) == segment
            await child.stop()

    with FakeRtspCamera(clip()) as camera:
        asyncio.run(fill(camera.url()))
