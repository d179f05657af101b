"""The key frames of a recorded file, without the other frames."""

from pathlib import Path

import numpy as np
import pytest

from ninjacam.core.errors import DecodeError
from ninjacam.core.packets import Codec
from ninjacam.recordings.key_frames import find_key, iter_key_frames
from ninjacam.testing import stamp
from tests.harness.recordings import FRAME_NS, NOON_NS, encode_stamped, encode_tone, write_file

END_NS = NOON_NS + 60 * 10**9


def numbers(path: Path, start_ns: int = NOON_NS, end_ns: int = END_NS, **more: int) -> list[int | None]:
    return [
        stamp.read(each.frame.to_ndarray(format="gray").astype(np.uint8))
        for each in iter_key_frames(path, start_ns, end_ns, is_exact=False, **more)
    ]


@pytest.mark.parametrize("codec", [Codec.H264, Codec.H265])
@pytest.mark.parametrize("b_frames", [0, 2])
def test_each_key_frame_is_decoded_with_its_time(tmp_path: Path, codec: Codec, b_frames: int) -> None:
    made = write_file(tmp_path, encode_stamped(100, bframes=b_frames, codec=codec))
    assert numbers(made.path) == [0, 25, 50, 75]
    times = [each.captured_ns for each in iter_key_frames(made.path, NOON_NS, END_NS)]
    assert times == pytest.approx([NOON_NS + number * FRAME_NS for number in (0, 25, 50, 75)], abs=1000)


def test_files_with_audio_are_read(tmp_path: Path) -> None:
    assert numbers(write_file(tmp_path, encode_stamped(50), tone=encode_tone(2)).path) == [0, 25]


def test_the_span_and_the_step_choose(tmp_path: Path) -> None:
    path = write_file(tmp_path, encode_stamped(150)).path
    assert numbers(path, NOON_NS + 10**9, NOON_NS + 4 * 10**9) == [25, 50, 75]
    assert numbers(path, step_ns=1_900_000_000) == [0, 50, 100]


def test_a_damaged_key_frame_is_skipped(tmp_path: Path) -> None:
    made = write_file(tmp_path, encode_stamped(75))
    data = bytearray(made.path.read_bytes())
    second = [at for at in range(len(data)) if data[at : at + 4] == b"moof"][1]
    data[second + 8 : second + 400] = bytes(392)
    made.path.write_bytes(data)
    assert 0 in numbers(made.path)


def test_what_is_not_a_recording_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_bytes(b"no recording")
    with pytest.raises(DecodeError):
        list(iter_key_frames(tmp_path / "x.mp4", 0, 1))


@pytest.mark.parametrize(
    "head", [b"", b"\0\0\0\x10moof", b"\0\0\0\x08moof", b"\0\0\0\x18moof\0\0\0\x10traf\0\0\0\x08trun"]
)
def test_a_fragment_without_a_frame_is_an_error(head: bytes) -> None:
    with pytest.raises(DecodeError):
        find_key(head)
