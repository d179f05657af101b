"""A million broken inputs for each parser. A failure prints the input as a line for `tests/fuzzing/corpus.txt`."""

import os
import random
import resource
import time

import pytest

from tests.fuzzing.mutation import mutate
from tests.fuzzing.parsers import PARSERS

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1000000"))
MAX_INPUT_S = 1.0
MAX_GROWTH_KB = 256 * 1024
"""Maximum growth of this process: a parser may keep its largest input, but nothing for each input."""


@pytest.mark.parametrize("name", PARSERS)
def test_a_million_broken_inputs_end_in_typed_errors(name: str) -> None:
    parser, chance = PARSERS[name], random.Random(f"trial {name}")
    readable, slowest_s = 0, 0.0
    before_kb = _peak_kb()
    for _ in range(INPUTS):
        data = mutate(parser.pieces, chance)
        started_s = time.thread_time()
        try:
            readable += parser.read(data)
        except Exception:
            print(f"{name}: {data.hex()}")
            raise
        slowest_s = max(slowest_s, time.thread_time() - started_s)
    growth_kb = _peak_kb() - before_kb
    print(
        f"{name}: {INPUTS} inputs, {readable} readable, the slowest took {slowest_s * 1000:.1f} ms, "
        f"memory grew by {growth_kb} KB"
    )
    assert slowest_s < MAX_INPUT_S and growth_kb < MAX_GROWTH_KB


def _peak_kb() -> int:
    """Return the largest memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
