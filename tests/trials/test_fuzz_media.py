"""A million packets for each media parser: see `tests.harness.fuzz_media`, which also lists seeds that failed once."""

import pytest

from tests.harness.fuzz_media import PARTS, run_fuzz

PACKETS = 1_000_000


@pytest.mark.parametrize("name", PARTS)
def test_a_million_packets_do_no_harm(name: str) -> None:
    packets = seed = 0
    while packets < PACKETS:
        try:
            packets += run_fuzz(name, seed)
        except Exception as error:
            raise AssertionError(f"run_fuzz({name!r}, {seed}) fails; keep the seed") from error
        seed += 1
