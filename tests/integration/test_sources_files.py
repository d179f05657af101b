"""Files as cameras: in real time, in a loop, and only from allowed directories. Missing USB cameras."""

import gc
import threading
import time
from itertools import pairwise
from pathlib import Path

import av
import pytest

from ninjacam.core import errors
from ninjacam.core.packets import Codec, Flags
from ninjacam.sources.registry import runs_native_code
from ninjacam.testing.clips import Clip
from ninjacam.testing.scenes import SceneOptions, VideoName, make_clip
from tests.harness.fair_clock import fair_s
from tests.harness.processes import wait_until
from tests.integration.source_support import config, decode, record, stamps, steps, write_file


def clip_of(codec: VideoName = "h264", **changes: object) -> Clip:
    options = {"width": 320, "height": 240, "seconds": 1, "gop": 10, "bitrate_bps": 300_000, **changes}
    return make_clip(SceneOptions(codec=codec, **options))  # type: ignore[arg-type]  # a test's own


@pytest.mark.parametrize(("codec", "name"), [("h264", "a.mp4"), ("hevc", "a.mp4"), ("mjpeg", "a.mkv")])
def test_a_file_loops_without_a_gap_and_in_real_time(codec: VideoName, name: str, tmp_path: Path) -> None:
    clip = clip_of(codec)
    write_file(clip, tmp_path / name)
    settings = config(f"file:{name}", files_dir=str(tmp_path))
    assert runs_native_code(settings)
    started_s, fairly_started_s = time.monotonic(), fair_s()
    recording = record(settings, 60)
    assert time.monotonic() - started_s >= 2.2 and fair_s() - fairly_started_s <= 4
    assert steps(stamps(recording.video), clip.frames) == {1}
    pts = [packet.pts for packet in recording.video]
    assert {b - a for a, b in pairwise(pts)} == {3600}
    assert [index for index, packet in enumerate(recording.video) if packet.flags & Flags.DISCONT] == [25, 50]
    assert recording.video[25].is_key
    assert recording.close_s < 1


def test_a_raw_stream_without_timestamps_plays_too(tmp_path: Path) -> None:
    clip = clip_of()
    (tmp_path / "a.h264").write_bytes(clip.annexb())
    recording = record(config("file:a.h264", files_dir=str(tmp_path)), 40)
    assert steps(stamps(recording.video), clip.frames) == {1}
    assert [packet.pts for packet in recording.video] == [3600 * n for n in range(len(recording.video))]


def test_bframes_keep_their_order(tmp_path: Path) -> None:
    clip = clip_of(bframes=2)
    write_file(clip, tmp_path / "a.mp4")
    recording = record(config("file:a.mp4", files_dir=str(tmp_path)), 60)
    decoded = recording.decoding_times()
    assert decoded == sorted(decoded)
    assert len(decode(recording.video)) == len(recording.video)


def test_a_file_played_once_ends(tmp_path: Path) -> None:
    write_file(clip_of(), tmp_path / "a.mp4", silence=True)
    recording = record(config("file:a.mp4", files_dir=str(tmp_path), loop=False), 500)
    assert isinstance(recording.error, errors.SourceEndedError)
    assert len(recording.video) == 25
    assert {packet.codec for packet in recording.audio} == {Codec.AAC}


def test_no_packet_outlives_its_container(tmp_path: Path) -> None:
    """A USB camera's packet is memory of the driver. Freeing it after the container closed crashes the process."""
    write_file(make_clip(SceneOptions(width=160, height=120, seconds=1)), tmp_path / "film.mp4")
    gc.collect()
    gc.disable()
    try:
        record(config("file:film.mp4", files_dir=str(tmp_path)), 5)
        wait_until(
            lambda: not any(t.name.startswith("ffmpeg-") for t in threading.enumerate()), 10, "its end"
        )
        assert not [each for each in gc.get_objects() if isinstance(each, av.Packet)]
    finally:
        gc.enable()


@pytest.mark.parametrize(
    "url", ["file:../secret.mp4", "file:///etc/passwd", "file:link.mp4", "file:%2e%2e/secret.mp4"]
)
def test_files_elsewhere_are_forbidden(url: str, tmp_path: Path) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (allowed / "link.mp4").symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(errors.ForbiddenAddressError):
        record(config(url, files_dir=str(allowed)))
    with pytest.raises(errors.ForbiddenAddressError):
        record(config(url))


def test_missing_files_and_files_without_video_have_their_own_errors(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("This is not a video. " * 100)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    with pytest.raises(errors.StreamNotFoundError):
        record(config("file:nothing.mp4", files_dir=str(tmp_path)))
    for name in ("text.mp4", "list.m3u8"):
        with pytest.raises(errors.SourceError):
            record(config(f"file:{name}", files_dir=str(tmp_path)))


def test_a_missing_usb_camera_is_reported() -> None:
    with pytest.raises(errors.DeviceError, match="plug the camera in"):
        record(config("v4l2:///dev/video987"))
    for url in (
        "v4l2:///etc/passwd",
        "v4l2://host/dev/video0",
        "v4l2:///dev/video0?exec=sh",
        "v4l2:///dev/video0/../x",
    ):
        with pytest.raises(errors.ConfigError):
            record(config(url))
