"""Frames and parts of videos."""

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ninjacam.backtest.parts import MAX_PARTS, RecordedFile, split
from ninjacam.backtest.reading import ReadAhead, RecordedFrame, iter_frames
from ninjacam.backtest.video import FILE_STARTS_NS, NS, RAW_FPS, VideoPart, find_length_ns
from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Packet
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, write_files
from tests.unit.backtest.clips import FPS, write_video


def times(frames: "list[RecordedFrame]") -> list[float]:
    return [round((each.captured_ns - FILE_STARTS_NS) / NS, 3) for each in frames]


@pytest.mark.parametrize("b_frames", [0, 2])
def test_each_frame_of_a_file_is_read_once_with_its_time(tmp_path: Path, b_frames: int) -> None:
    video = write_video(tmp_path / "v.mp4", 3, b_frames=b_frames)
    frames = list(iter_frames(VideoPart((str(video),))))
    assert [each.number for each in frames] == list(range(3 * FPS))
    assert times(frames) == [number / FPS for number in range(3 * FPS)]
    assert [round(each.pts_s, 3) for each in frames] == times(frames)
    assert find_length_ns(video) == 3 * NS


def test_a_part_begins_with_its_warm_up_and_ends_before_its_end(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 5, b_frames=2)
    at = [FILE_STARTS_NS + each * NS // 10 for each in (15, 25, 40)]
    part = VideoPart((str(video),), warm_up_ns=at[0], start_ns=at[1], end_ns=at[2])
    frames = list(iter_frames(part))
    assert times(frames) == [number / FPS for number in range(15, 40)]
    assert [each.is_warm_up for each in frames] == [True] * 10 + [False] * 15


def test_recordings_are_read_with_their_capture_times_and_a_gap(tmp_path: Path) -> None:
    packets = encode_stamped(100, gop=25)
    late = [each._replace(captured_ns=each.captured_ns + 60 * NS) for each in packets[50:]]
    made = write_files(tmp_path, packets[:50], 1) + write_files(tmp_path, late, 1)
    paths = tuple(str(each.path) for each in made)
    part = VideoPart(paths, is_recorded=True, start_ns=NOON_NS + 10 * FRAME_NS, end_ns=NOON_NS + 70 * NS)
    captured = [each.captured_ns for each in iter_frames(part)]
    expected = [*range(10, 50), *(number + 60 * RAW_FPS for number in range(50, 100))]
    assert captured == pytest.approx([NOON_NS + number * FRAME_NS for number in expected], abs=20_000)


def test_files_without_times_have_a_constant_frame_rate(tmp_path: Path) -> None:
    packets: list[Packet] = encode_stamped(20)
    (tmp_path / "v.h264").write_bytes(b"".join(each.data for each in packets))
    frames = list(iter_frames(VideoPart((str(tmp_path / "v.h264"),))))
    assert times(frames) == [round(number / RAW_FPS, 3) for number in range(20)]


@pytest.mark.parametrize("content", [b"", b"no video", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"])
def test_files_that_are_not_videos_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "v.mp4").write_bytes(content)
    with pytest.raises(DecodeError, match="cannot be read as a video"):
        list(iter_frames(VideoPart((str(tmp_path / "v.mp4"),))))
    with pytest.raises(DecodeError, match=r"No file “x\.mp4”"):
        find_length_ns(tmp_path / "x.mp4")


def test_frames_are_scaled_to_the_width_of_a_smaller_stream(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 1)
    for width_px, size in ((160, (160, 90)), (100, (100, 56)), (1000, (320, 180))):
        frames = list(iter_frames(VideoPart((str(video),), width_px=width_px)))
        assert {(each.frame.width, each.frame.height) for each in frames} == {size}
        assert times(frames) == [number / FPS for number in range(FPS)]


def test_a_torn_file_ends_where_it_is_torn(tmp_path: Path) -> None:
    (made,) = write_files(tmp_path, encode_stamped(100), 10)
    made.path.write_bytes(made.path.read_bytes()[: made.segment.size_bytes * 2 // 3])
    part = VideoPart((str(made.path),), is_recorded=True, start_ns=NOON_NS, end_ns=NOON_NS + 10 * NS)
    assert 25 <= len(list(iter_frames(part))) < 100


def test_a_still_scene_is_not_decoded_for_processors_that_wait_for_motion(tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 40, (25, 30), gop=20)
    frames = list(iter_frames(VideoPart((str(video),)), examines=True, skips_still=True))
    still = [each for each in times(frames) if 10 < each < 25]
    assert len(still) < 20 < len([each for each in times(frames) if 25 <= each < 30])
    awake = {round(each.captured_ns - FILE_STARTS_NS) / NS for each in frames if each.is_awake}
    assert {26.0, 27.0, 28.0} <= awake
    assert any(each.motion for each in frames)


def test_an_exception_of_the_decoder_reaches_the_caller_and_closing_early_ends_the_thread(
    tmp_path: Path,
) -> None:
    with (
        pytest.raises(DecodeError),
        closing(ReadAhead(iter_frames(VideoPart((str(tmp_path / "missing"),))))) as ahead,
    ):
        list(ahead)
    video = write_video(tmp_path / "v.mp4", 5)
    ahead = ReadAhead(iter_frames(VideoPart((str(video),))))
    assert next(iter(ahead)).number == 0
    ahead.close()
    assert not ahead._thread.is_alive()


def test_a_video_is_split_only_if_the_processor_permits_it() -> None:
    whole = VideoPart(("v.mp4",), end_ns=FILE_STARTS_NS + 150 * NS)
    assert split(whole, None) == [whole]
    parts = split(whole, 5.0)
    spans = [
        tuple((each - FILE_STARTS_NS) // NS for each in (part.warm_up_ns, part.start_ns, part.end_ns))
        for part in parts
    ]
    assert spans == [(0, 0, 60), (55, 60, 120), (115, 120, 150)]


def test_parts_have_the_files_that_they_need_and_gaps_have_none() -> None:
    files = [
        RecordedFile(name, at * NS, (at + 60) * NS) for name, at in (("a", 1000), ("b", 1060), ("c", 4000))
    ]
    whole = VideoPart(("a", "b", "c"), is_recorded=True, start_ns=1000 * NS, end_ns=4060 * NS)
    parts = split(whole, 10.0, files)
    assert [(part.paths, part.start_ns // NS) for part in parts] == [
        (("a", "b"), 1000), (("b",), 1100), (("c",), 4000),
    ]  # fmt: skip
    assert replace(parts[0], paths=whole.paths).starts_ns == whole.starts_ns


def test_the_number_of_parts_is_bounded() -> None:
    whole = VideoPart(("v.mp4",), end_ns=FILE_STARTS_NS + 32 * 86_400 * NS)
    assert len(split(whole, 0.0)) <= MAX_PARTS
