"""A small, deterministic part of `make trials`, and inputs that once broke a parser."""

import random
from pathlib import Path

import pytest

from tests.fuzzing import parsers
from tests.fuzzing.mutation import mutate
from tests.fuzzing.parsers import PARSERS

ROUNDS = 400
CORPUS = Path(parsers.__file__).with_name("corpus.txt")


@pytest.mark.parametrize("name", PARSERS)
def test_a_parser_accepts_valid_input_and_raises_only_its_own_error_for_broken_input(name: str) -> None:
    parser, chance = PARSERS[name], random.Random(name)
    assert parser.read(b"".join(parser.pieces)) or name == "playlist" or "sps" in name
    readable = sum(parser.read(mutate(parser.pieces, chance)) for _ in range(ROUNDS))
    assert readable > 0  # not all faults are detected immediately


def test_input_that_once_broke_a_parser_no_longer_does() -> None:
    for line in CORPUS.read_text().splitlines():
        if not line.startswith("#"):
            name, _, data = line.partition(": ")
            PARSERS[name].read(bytes.fromhex(data))
