from pathlib import Path

import av
import pytest

from ninjacam.core.packets import Codec
from ninjacam.testing.clips import load_clip, read_clip, write_clip
from ninjacam.testing.scenes import AudioName, SceneOptions, make_clip
from tests.unit.testing.decoding import luma_planes

SMALL = SceneOptions(width=320, height=180, seconds=1, gop=10, bitrate_bps=300_000)


def test_a_clip_has_the_requested_shape() -> None:
    clip = make_clip(SMALL)
    assert (clip.frames, clip.fps, clip.duration_s) == (25, 25.0, 1.0)
    assert [number for number, unit in enumerate(clip.video.units) if unit.key] == [0, 10, 20]
    assert [plane.shape for plane in luma_planes(clip)] == [(180, 320)] * 25


def test_b_frames_are_presented_in_a_different_order_than_sent() -> None:
    clip = make_clip(SceneOptions(width=320, height=180, seconds=1, gop=10, bframes=2, bitrate_bps=300_000))
    shown = [unit.pts_s for unit in clip.video.units]
    assert shown != sorted(shown)
    assert sorted(shown) == pytest.approx([number / 25 for number in range(25)])


@pytest.mark.parametrize(
    ("name", "codec"), [("aac", Codec.AAC), ("pcm_alaw", Codec.PCMA), ("pcm_mulaw", Codec.PCMU)]
)
def test_audio_lasts_as_long_as_the_video(name: AudioName, codec: Codec) -> None:
    options = SceneOptions(width=320, height=180, seconds=1, codec="mjpeg", audio=name)
    clip = make_clip(options)
    assert clip.tracks[1].codec is codec
    assert 0.8 < clip.tracks[1].units[-1].sent_s < 1


def test_cached_clip_equals_the_encoded_one(tmp_path: Path) -> None:
    first = make_clip(SMALL, cache_dir=tmp_path)
    again = make_clip(SMALL, cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    assert again.tracks == first.tracks


def test_different_options_give_a_different_clip(tmp_path: Path) -> None:
    make_clip(SMALL, cache_dir=tmp_path)
    make_clip(SceneOptions(width=320, height=180, seconds=1, gop=5, bitrate_bps=300_000), cache_dir=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_cached_clip_is_identical(tmp_path: Path) -> None:
    clip = make_clip(SMALL)
    write_clip(clip, tmp_path / "one.clip")
    assert read_clip(tmp_path / "one.clip").tracks == clip.tracks


def test_elementary_streams_and_mp4_are_read_as_annexb(tmp_path: Path) -> None:
    clip = make_clip(SMALL)
    raw, mp4 = tmp_path / "scene.h264", tmp_path / "scene.mp4"
    raw.write_bytes(clip.annexb())
    with av.open(str(raw)) as source, av.open(str(mp4), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts = packet.dts = number * 48_000  # the raw demuxer counts in 1/1,200,000 s
                packet.stream = stream
                target.mux(packet)
    for path in (raw, mp4):
        loaded = load_clip(path, fps=25)
        assert loaded.frames == 25
        assert loaded.fps == pytest.approx(25, abs=0.01)
        assert loaded.video.units[0].data.startswith(b"\0\0\0\1")
        assert (loaded.video.width_px, loaded.video.height_px) == (320, 180)
