"""A million packets for each parser of media: see `tests.harness.fuzz_media`. Seeds that failed once are kept there."""

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
