"""Each process of a recording product is killed twenty times."""

import statistics
from pathlib import Path

import pytest

from tests.e2e.test_deaths import kill_each_process


@pytest.mark.ffmpeg
def test_killing_each_process_twenty_times_costs_no_more_than_the_restarts(tmp_path: Path) -> None:
    lost_s = kill_each_process(tmp_path, 20)
    assert statistics.median(lost_s) < 1.1, "what was being collected, and no more"
    assert max(lost_s) < 3, "the same, while four processes start at once"
