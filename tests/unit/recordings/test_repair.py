"""Truncated, hostile and foreign files."""

import random
import resource
from pathlib import Path

import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.recordings.reader import fragments, read_recording, read_segment
from ninjacam.recordings.repair import repair_file, repair_newest
from ninjacam.testing.packets import audio_packets, in_arrival_order, video_packets
from tests.unit.recordings.recording_support import Recorded, stamped
from tests.unit.recordings.test_files import G711


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Return three fragments with audio, about 3 KB."""
    packets = in_arrival_order(
        stamped(video_packets(12, fps=5, gop=5, size_bytes=40)), stamped(audio_packets(120))
    )
    (path,) = Recorded(tmp_path, tracks=(G711,)).feed(packets).close()
    return path


def test_a_tail_truncated_at_any_byte_is_repaired(recording: Path) -> None:
    whole = recording.read_bytes()
    ends = [fragment.offset + fragment.size_bytes for fragment in fragments(recording)]
    assert ends[-1] == len(whole)
    for size in range(len(whole)):
        recording.write_bytes(whole[:size])
        kept = max((end for end in ends if end <= size), default=0)
        assert repair_file(recording) == (size not in ends)
        assert recording.exists() == (kept > 0)
        if kept:
            assert recording.read_bytes() == whole[:kept]


def test_a_repair_needs_no_free_disk_space(recording: Path) -> None:
    whole = recording.read_bytes()
    last = fragments(recording)[-1]
    recording.write_bytes(whole[:-1])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))  # no byte is written, as on a full disk
    try:
        assert repair_file(recording)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert recording.read_bytes() == whole[: last.offset]


def test_zeros_after_a_power_cut_are_removed(recording: Path) -> None:
    whole = recording.read_bytes()
    last = fragments(recording)[-1]
    recording.write_bytes(whole[: last.offset] + bytes(len(whole) - last.offset + 4096))
    assert repair_file(recording)
    assert recording.read_bytes() == whole[: last.offset]


def test_a_file_that_is_being_written_is_not_truncated(tmp_path: Path) -> None:
    recorded = Recorded(tmp_path)
    recorded.feed(stamped(video_packets(60)))
    (path,) = tmp_path.rglob("*.mp4")
    with path.open("ab") as file:
        file.write(b"x" * 100_000)
    assert not repair_file(path)
    recorded.close()
    assert repair_file(path)


def test_a_foreign_file_is_left_alone(recording: Path) -> None:
    recording.write_bytes(b"my holiday, in a place where recordings lie")
    with pytest.raises(DecodeError):
        repair_file(recording)
    assert recording.exists()
    root = recording.parents[3]
    assert repair_newest(root, "door") == []
    assert recording.exists()


def test_the_newest_file_of_a_camera_is_repaired_and_its_row_reported(recording: Path) -> None:
    root = recording.parents[3]
    with recording.open("ab") as file:
        file.write(b"\0\0\1\0moof torn")
    assert repair_newest(root, "door") == [read_segment(recording, root=root)]
    assert read_recording(recording).size_bytes == recording.stat().st_size
    assert repair_newest(root, "nobody") == []


def test_a_file_that_is_still_growing_is_read_up_to_its_last_complete_fragment(recording: Path) -> None:
    found = fragments(recording)
    with recording.open("ab") as file:
        file.write(b"\0\0\0\x20prft half")
    assert fragments(recording) == found


def test_no_damage_raises_anything_but_our_error(recording: Path) -> None:
    whole = recording.read_bytes()
    dice = random.Random(7)
    for _ in range(3000):
        data = bytearray(whole)
        for _ in range(dice.randint(1, 6)):
            at = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    data[at] = dice.randrange(256)
                case 1:
                    data[at : at + 4] = dice.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\0\0\0\1", b"moof"))
                case _:
                    del data[at : at + dice.randint(1, 40)]
        recording.write_bytes(data)
        try:
            for fragment in fragments(recording):
                assert 0 <= fragment.offset < fragment.offset + fragment.size_bytes <= len(data)
        except DecodeError:
            pass


@pytest.mark.parametrize("name", ["missing.mp4", "."])
def test_an_unreadable_file_raises_our_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(DecodeError):
        read_recording(tmp_path / name)


def test_only_files_in_the_layout_of_recordings_make_rows(recording: Path, tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="not in the recordings directory"):
        read_segment(recording, root=tmp_path / "elsewhere")
    moved = recording.rename(tmp_path / "holiday.mp4")
    with pytest.raises(DecodeError, match="name of a recording"):
        read_segment(moved, root=tmp_path)
