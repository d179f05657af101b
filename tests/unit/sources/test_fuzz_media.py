"""A few packets of `make trials`' million, each time."""

import pytest

from tests.harness.fuzz_media import PARTS, run_fuzz


@pytest.mark.parametrize("name", PARTS)
def test_wrong_packets_do_no_harm_and_a_healthy_stream_passes(name: str) -> None:
    for seed in range(200):
        run_fuzz(name, seed)
