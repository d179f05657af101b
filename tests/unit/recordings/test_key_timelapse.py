"""Timelapses of key frames as recorded, verified with the numbers in the frames and with FFmpeg's programs."""

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ninjacam.recordings.export import (
    ExportSpec,
    FormatChangesError,
    MadeFile,
    NothingRecordedError,
)
from ninjacam.recordings.key_timelapse import export_key_frames
from ninjacam.testing import stamp
from tests.harness.recorded import assert_decodes
from tests.harness.recordings import NOON_NS, Made, encode_stamped, write_file, write_files
from tests.unit.recordings.test_export import S_NS, pictures

FRAME_S = 0.04


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Made]:
    """Record 8 s in files of 2 s, with a key frame every second."""
    return write_files(tmp_path_factory.mktemp("recordings"), encode_stamped(200), 2)


def lapse(
    files: Sequence[Made], output: Path, *, start_s: float = 0, end_s: float = 8, **values: Any
) -> MadeFile:
    shares: list[float] = []
    spec = ExportSpec(
        kind="key_frames", camera="door", paths=tuple(str(each.path) for each in files), output=str(output),
        start_ns=NOON_NS + round(start_s * S_NS), end_ns=NOON_NS + round(end_s * S_NS), **values,
    )  # fmt: skip
    made = export_key_frames(spec, shares.append)
    assert all(0 <= share <= 1 for share in shares) and shares == sorted(shares)
    assert made.sha256 == hashlib.sha256(output.read_bytes()).hexdigest()
    return made


def numbers(path: Path) -> list[int | None]:
    return [stamp.read(luma) for _, luma in pictures(path)]


def probe(path: Path) -> dict[str, Any]:
    done = subprocess.run(
        ["ffprobe", "-v", "error", "-show_streams", "-show_format", "-show_packets", "-of", "json", str(path)],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == b""
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.ffmpeg
@pytest.mark.parametrize(
    ("speed", "fps", "expected"),
    [
        (10, 10, range(0, 200, 25)),
        (20, 10, range(0, 200, 50)),
        (30, 10, [0, 75, 150]),
        (5, 10, range(0, 200, 25)),
    ],
)
@pytest.mark.parametrize("bframes", [0, 2])
def test_it_has_the_first_key_frame_of_each_step_at_its_time(
    tmp_path: Path, speed: int, fps: int, expected: Sequence[int], bframes: int
) -> None:
    files = write_files(tmp_path, encode_stamped(200, bframes=bframes), 2)
    lapse(files, tmp_path / "lapse.mp4", speed=float(speed), fps=fps)
    assert_decodes(tmp_path / "lapse.mp4")
    shown = pictures(tmp_path / "lapse.mp4")
    assert [stamp.read(luma) for _, luma in shown] == list(expected)
    assert [at_s for at_s, _ in shown] == pytest.approx([number * FRAME_S / speed for number in expected])
    found = probe(tmp_path / "lapse.mp4")
    assert len(found["packets"]) == len(expected) and all("K" in each["flags"] for each in found["packets"])
    assert float(found["format"]["duration"]) == pytest.approx(
        expected[-1] * FRAME_S / speed + 1 / fps, abs=0.01
    )


@pytest.mark.ffmpeg
def test_frames_are_copied_without_a_change(files: list[Made], tmp_path: Path) -> None:
    lapse(files, tmp_path / "lapse.mp4", speed=10.0, fps=10)
    taken = {each["size"] for each in probe(tmp_path / "lapse.mp4")["packets"]}
    recorded = {
        packet["size"] for each in files for packet in probe(each.path)["packets"] if "K" in packet["flags"]
    }
    assert taken == recorded
    before = pictures(files[0].path)[0][1]
    assert (pictures(tmp_path / "lapse.mp4")[0][1] == before).all()


def test_gaps_take_no_time_and_only_the_span_counts(tmp_path: Path) -> None:
    made = [write_file(tmp_path, encode_stamped(50, first=first)) for first in (0, 5000, 10_000)]
    lapse(made, tmp_path / "lapse.mp4", start_s=1, end_s=401, speed=5.0, fps=10)
    assert numbers(tmp_path / "lapse.mp4") == [25, 5000, 5025, 10_000]
    assert pictures(tmp_path / "lapse.mp4")[-1][0] == pytest.approx(3 / 5, abs=0.11)


def test_a_missing_file_is_a_gap_and_nothing_else_is_an_error(files: list[Made], tmp_path: Path) -> None:
    some = [write_file(tmp_path, encode_stamped(50, first=first)) for first in (0, 50, 100)]
    some[1].path.unlink()
    lapse(some, tmp_path / "lapse.mp4", speed=10.0, fps=10)
    assert numbers(tmp_path / "lapse.mp4") == [0, 25, 100, 125]
    with pytest.raises(NothingRecordedError):
        lapse(files, tmp_path / "none.mp4", start_s=0.5, end_s=0.9, speed=10.0, fps=10)
    assert not (tmp_path / "none.mp4").exists()


def test_a_change_of_the_format_says_where_to_split(files: list[Made], tmp_path: Path) -> None:
    other = write_file(tmp_path, encode_stamped(25, size=(320, 240), first=200))
    with pytest.raises(FormatChangesError, match="Export the time before"):
        lapse([*files, other], tmp_path / "lapse.mp4", end_s=9, speed=10.0, fps=10)
    assert not (tmp_path / "lapse.mp4").exists()
