"""Recordings after a power cut."""

from pathlib import Path

import pytest

from ninjacam.recordings.reader import read_recording, read_segment
from ninjacam.recordings.repair import repair_newest
from ninjacam.testing.camera import FakeRtspCamera
from tests.harness.power_cut import cut_power, loop_missing
from tests.harness.recorded import assert_consecutive, assert_decodes, by_time, stamps
from tests.integration.test_recording import clip


@pytest.mark.ffmpeg
def test_a_power_cut_loses_at_most_a_second_and_leaves_no_broken_file(tmp_path: Path) -> None:
    why = loop_missing(tmp_path)
    if why:
        pytest.skip(why)
    with FakeRtspCamera(clip()) as camera:
        root, cut_ns = cut_power(tmp_path / "cut", camera.url(), 0.7)
    for segment in repair_newest(root, "door"):
        assert read_recording(root / segment.path).size_bytes == (root / segment.path).stat().st_size
    paths = by_time(root)
    assert len(paths) >= 3
    lost_s = (cut_ns - read_segment(paths[-1], root=root).end_ns) / 1e9
    assert lost_s < 1.5  # the second that was being collected, and data in flight to the disk
    for path in paths:
        assert_decodes(path)
    assert_consecutive(stamps(paths), 100)
