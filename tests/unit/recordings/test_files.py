"""Recordings, demuxed by libavformat and decoded by FFmpeg's program."""

import errno
import os
import shutil
from dataclasses import replace
from pathlib import Path

import av
import pytest

from ninjacam.core.packets import Codec, Flags, Kind, Packet, Track
from ninjacam.core.viewer_errors import for_viewers
from ninjacam.recordings.camera_directory import RENAMED_S
from ninjacam.recordings.reader import fragments, init_bytes, read_recording, read_segment
from ninjacam.testing.packets import audio_packets, in_arrival_order, joined, lost, paused, video_packets
from tests.harness.recorded import assert_decodes
from tests.unit.recordings.recording_support import (
    WALL_NS,
    Recorded,
    demuxed,
    encoded,
    stamped,
)

G711 = Track(Kind.AUDIO, Codec.PCMA, 8000, sample_rate_hz=8000, channels=1)
CODECS = [(Codec.H264, 0), (Codec.H264, 2), (Codec.H265, 0), (Codec.H265, 2), (Codec.MJPEG, 0)]

TAGS = {Codec.H264: "avc1", Codec.H265: "hvc1", Codec.MJPEG: "mp4v"}


def sizes(codec: Codec) -> dict[str, int]:
    return {"width_px": 320, "height_px": 240} if codec is Codec.MJPEG else {}


@pytest.mark.ffmpeg
@pytest.mark.parametrize(("codec", "b_frames"), CODECS)
def test_files_decode_without_warnings_and_contain_every_frame_once(
    tmp_path: Path, codec: Codec, b_frames: int
) -> None:
    packets = encoded(codec, 130, b_frames=b_frames, **sizes(codec))
    files = Recorded(tmp_path, period_s=2).feed(packets).close()
    assert len(files) == 3
    read = []
    for path in files:
        assert_decodes(path)
        found = demuxed(path)
        read += [(pts - dts, is_key) for pts, dts, is_key in found]
        assert found[0][1] == 0 and found[0][2]
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.codec_tag == TAGS[codec]
    assert read == [(packet.dts_offset, packet.is_key) for packet in packets]


@pytest.mark.parametrize(("codec", "b_frames"), CODECS)
def test_a_file_yields_the_same_row_as_the_writer(tmp_path: Path, codec: Codec, b_frames: int) -> None:
    recorded = Recorded(tmp_path, period_s=2, tracks=(G711,))
    video = encoded(codec, 130, b_frames=b_frames, **sizes(codec))
    files = recorded.feed(in_arrival_order(video, stamped(audio_packets(260)))).close()
    assert [read_segment(path, root=tmp_path) for path in files] == list(recorded.segments.values())
    first = recorded.segments[files[0].relative_to(tmp_path).as_posix()]
    assert first.path == "door/2023-11-14/22/13-20.mp4"
    assert (first.start_ns, first.codec, first.audio_codec, first.audio_source, first.open) == (
        WALL_NS + (packet_offset_ns(video[0])),
        codec.label,
        "aac",
        "pcm_alaw",
        False,
    )


def packet_offset_ns(packet: Packet) -> int:
    return packet.captured_ns - WALL_NS


def test_fragments_are_at_most_a_second_long_and_begin_at_key_frames_if_there_are_any(tmp_path: Path) -> None:
    packets = stamped(video_packets(250, gop=30))  # a key frame each 1.2 s
    (path,) = Recorded(tmp_path).feed(packets).close()
    found = fragments(path)
    assert [fragment.is_key for fragment in found[:6]] == [True, False] * 3
    assert all(fragment.duration_s <= 1 for fragment in found)
    assert sum(fragment.duration for fragment in found) == 250 * 3600
    assert [f.dts for f in found[1:]] == [f.dts + f.duration for f in found[:-1]]
    assert found[0].offset == len(init_bytes(path))
    assert found[-1].offset + found[-1].size_bytes == path.stat().st_size
    for fragment in found:
        assert fragment.start_ns == WALL_NS + fragment.dts * 1_000_000_000 // 90_000


def test_key_frames_in_quick_succession_share_a_fragment(tmp_path: Path) -> None:
    (path,) = Recorded(tmp_path).feed(stamped(video_packets(100, gop=1))).close()
    assert [fragment.duration_s for fragment in fragments(path)] == [pytest.approx(0.52)] * 7 + [
        pytest.approx(0.36)
    ]


def test_a_fractional_frame_rate_adds_up(tmp_path: Path) -> None:
    packets = stamped(video_packets(300, fps=29.97, gop=60))
    (path,) = Recorded(tmp_path).feed(packets).close()
    assert [pts for pts, _, _ in demuxed(path)] == [packet.pts for packet in packets]


def test_no_file_begins_without_a_key_frame(tmp_path: Path) -> None:
    packets = stamped(video_packets(100, gop=50))[10:]
    (path,) = Recorded(tmp_path).feed(packets).close()
    assert len(demuxed(path)) == 50


def test_a_new_size_begins_a_new_file(tmp_path: Path) -> None:
    packets = stamped(joined(video_packets(50), video_packets(50, width_px=1280, height_px=720)))
    recorded = Recorded(tmp_path)
    first, second = recorded.feed(packets).close()
    assert [(s.width_px, s.height_px) for s in recorded.segments.values()] == [(640, 360), (1280, 720)]
    assert (len(demuxed(first)), len(demuxed(second))) == (50, 50)


def test_repeated_parameter_sets_begin_no_new_file(tmp_path: Path) -> None:
    packets = stamped(joined(video_packets(50), video_packets(50)))
    assert len(Recorded(tmp_path).feed(packets).close()) == 1


def test_a_short_loss_stays_in_the_file_and_a_long_one_begins_a_new_one(tmp_path: Path) -> None:
    assert len(Recorded(tmp_path / "a").feed(stamped(lost(video_packets(100), 30, 5))).close()) == 1
    first, second = Recorded(tmp_path / "b").feed(stamped(lost(video_packets(200), 30, 50))).close()
    assert len(demuxed(first)) == 30
    assert len(demuxed(second)) == 100  # from the key frame after the loss
    assert read_segment(first, root=tmp_path / "b").end_ns == WALL_NS + 1_200_000_000


def test_a_pause_of_the_video_is_not_a_gap(tmp_path: Path) -> None:
    (path,) = Recorded(tmp_path).feed(stamped(paused(video_packets(100), 30, 3))).close()
    assert fragments(path)[-1].end_ns == WALL_NS + 7_000_000_000


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_step_of_the_wall_clock_begins_a_new_file_at_the_next_key_frame(
    tmp_path: Path, seconds: int
) -> None:
    packets = stamped(video_packets(200, gop=50))
    later = [p._replace(captured_ns=p.captured_ns + seconds * 1_000_000_000) for p in packets[60:]]
    recorded = Recorded(tmp_path)
    first, second = recorded.feed([*packets[:60], *later]).close()
    rows = [read_segment(path, root=tmp_path) for path in (first, second)]
    assert rows[0].end_ns - rows[0].start_ns == 4_000_000_000
    assert rows[1].start_ns == later[40].captured_ns
    assert len(demuxed(first)) + len(demuxed(second)) == 200


def test_an_interrupted_camera_begins_a_new_file_in_the_same_second(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.feed(stamped(video_packets(25)))
    recorded.recorder.flush()
    paths = recorded.feed(stamped(video_packets(25))).close()
    assert [path.name for path in paths] == ["13-20.mp4", "13-20-1.mp4"]


@pytest.mark.parametrize("seed", range(6))
def test_nonsensical_times_break_nothing(tmp_path: Path, seed: int) -> None:
    packets = stamped(video_packets(120, gop=10, bframes=seed % 3))
    for at in range(7 + seed, 120, 11):
        offset = (-(10**9), 10**15, 0, -5, 90_000 * 5, -90_000)[(at + seed) % 6]
        packets[at] = packets[at]._replace(pts=max(0, packets[at].pts + offset), dts_offset=seed * 777)
        packets[at - 1] = packets[at - 1]._replace(data=b"" if seed % 2 else packets[at - 1].data)
    for path in Recorded(tmp_path).feed(packets).close():
        assert read_recording(path).size_bytes == path.stat().st_size
        times = [dts for _, dts, _ in demuxed(path)]
        assert times == sorted(set(times))


def test_without_parameter_sets_nothing_is_written_and_it_is_reported(tmp_path: Path) -> None:
    packets = [p._replace(data=b"\0\0\0\1\x65nothing") for p in stamped(video_packets(60))]
    recorded = Recorded(tmp_path)
    assert recorded.feed(packets).close() == []
    assert recorded.files.error is not None and "parameter sets" in str(recorded.files.error)
    assert not list(tmp_path.rglob("*.mp4"))


@pytest.mark.ffmpeg
@pytest.mark.parametrize("codec", [Codec.PCMA, Codec.PCMU])
def test_g711_becomes_aac_without_loss(tmp_path: Path, codec: Codec) -> None:
    sound = [packet._replace(codec=codec) for packet in stamped(audio_packets(500))]
    recorded = Recorded(tmp_path, period_s=4, tracks=(replace(G711, codec=codec),))
    files = recorded.feed(in_arrival_order(encoded(Codec.H264, 250), sound)).close()
    assert len(files) == 3
    frames = 0
    for path in files:
        assert_decodes(path)
        found = [dts for _, dts, _ in demuxed(path, "audio")]
        assert found == list(range(0, 1024 * len(found), 1024))
        frames += len(found)
    assert 500 * 160 / 1024 <= frames <= 500 * 160 / 1024 + len(files)  # the last one of each is padded
    assert {segment.audio_source for segment in recorded.segments.values()} == {codec.label}


@pytest.mark.ffmpeg
def test_aac_is_kept_unchanged_and_in_sync(tmp_path: Path) -> None:
    config = bytes.fromhex("1408")  # AAC-LC, 16 kHz, mono
    silence = _aac_silence()
    sound = [
        Packet(
            Kind.AUDIO, Codec.AAC, silence, number * 1024 + 10**9,
            1_000_000_000_000 + number * 64_000_000 + 200_000_000, 16_000, 1024, flags=Flags.KEY,
            captured_ns=WALL_NS + 200_000_000 + number * 64_000_000,
        )
        for number in range(60)
    ]  # fmt: skip
    track = Track(Kind.AUDIO, Codec.AAC, 16_000, config, sample_rate_hz=16_000, channels=1)
    recorded = Recorded(tmp_path, tracks=(track,))
    (path,) = recorded.feed(in_arrival_order(encoded(Codec.H264, 100), sound)).close()
    assert_decodes(path)
    assert [dts for _, dts, _ in demuxed(path, "audio")] == [3200 + 1024 * n for n in range(60)]
    (segment,) = recorded.segments.values()
    assert (segment.audio_codec, segment.audio_source) == ("aac", "")


def _aac_silence() -> bytes:
    encoder = av.CodecContext.create("aac", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.layout, encoder.format = 16_000, "mono", "fltp"
    frame = av.AudioFrame(format="fltp", layout="mono", samples=1024)
    frame.planes[0].update(bytes(4096))
    frame.sample_rate = 16_000
    made = []
    for number in range(5):
        frame.pts = number * 1024
        made += encoder.encode(frame)
    return bytes(made[-1])


def test_audio_that_starts_later_begins_a_new_file(tmp_path: Path) -> None:
    sound = stamped(audio_packets(300))[100:]
    recorded = Recorded(tmp_path, tracks=(G711,))
    recorded.feed(in_arrival_order(stamped(video_packets(150)), sound)).close()
    assert [segment.audio_codec for segment in recorded.segments.values()] == ["", "aac"]


def test_a_full_disk_leaves_complete_files_and_is_reported_and_recording_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded = Recorded(tmp_path)
    packets = stamped(video_packets(250))
    recorded.feed(packets[:60])
    write = os.write

    def full(descriptor: int, data: memoryview) -> int:
        if len(data) > 100:
            return write(descriptor, data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    recorded.feed(packets[60:100])
    assert recorded.files.error is not None and "disk is full" in str(recorded.files.error)
    monkeypatch.undo()
    recorded.clock.advance(2)
    paths = recorded.feed(packets[100:]).close()
    assert len(paths) == 2
    for path in paths:
        assert read_recording(path).size_bytes == path.stat().st_size
    assert sorted(tmp_path.rglob("*.mp4")) == sorted(paths)
    assert recorded.files.error is None
    assert len(demuxed(paths[1])) >= 100


def test_a_renamed_camera_never_writes_into_the_directory_of_the_next_one(tmp_path: Path) -> None:
    """The engine receives the new name a moment later, and a new file may begin meanwhile."""
    packets = encoded(Codec.H264, 200)
    recorded = Recorded(tmp_path, period_s=2)
    recorded.feed(packets[:40])
    (tmp_path / "door").rename(tmp_path / "front")
    (tmp_path / "door").mkdir()  # of a new camera
    recorded.feed(packets[40:140])
    assert not list(tmp_path.glob("door/**/*.mp4")) and len(list(tmp_path.glob("front/**/*.mp4"))) == 3
    recorded.clock.advance(RENAMED_S + 1)
    recorded.feed(packets[140:]).close()
    assert list(tmp_path.glob("door/**/*.mp4")), (
        "the directory was moved by hand, and the camera kept its name"
    )


def test_recording_continues_after_its_directory_was_deleted(tmp_path: Path) -> None:
    packets = encoded(Codec.H264, 140)
    recorded = Recorded(tmp_path, period_s=2)
    recorded.feed(packets[:40])
    shutil.rmtree(tmp_path / "door")
    recorded.feed(packets[40:]).close()
    assert list(tmp_path.glob("door/**/*.mp4"))


@pytest.mark.parametrize(
    ("number", "code", "for_viewer"),
    [
        (errno.ENOSPC, "disk_full", "the disk of the server is full"),
        (errno.EIO, "recording", "cannot be recorded"),
    ],
)
def test_a_full_disk_is_reported_to_viewers_and_in_detail_to_users_who_configure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str, for_viewer: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ninjacam.recordings.files.create_segment", refuse)
    recorded = Recorded(tmp_path)
    recorded.feed(encoded(Codec.H264, 60))
    error = recorded.files.error
    assert error is not None and error.code == code and "resumes by itself" in error.message
    shown = for_viewers(error.as_dict())
    assert shown is not None and for_viewer in shown["message"] and str(tmp_path) not in shown["message"]
