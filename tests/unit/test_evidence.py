"""docs/evidence.md and SECURITY.md name tests that exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("document", ["docs/evidence.md", "SECURITY.md"])
def test_each_named_test_exists(document: str) -> None:
    text = (ROOT / document).read_text()
    path, missing, count = "", [], 0
    for named, name in re.findall(r"`(?:((?:unit|integration|e2e|trials)/[\w/]+\.py)::)?(test_\w+)`", text):
        path = named or path  # those without a path are in the previous test's file
        count += 1
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE):
            missing.append(f"{path}::{name}")
    assert not missing
    assert count > 50


def test_each_claim_about_security_names_a_test() -> None:
    lines = (ROOT / "SECURITY.md").read_text().splitlines()
    claims = [line for line in lines if line.startswith("| ") and line != "| claim | tests |"]
    assert len(claims) > 20
    assert not [line for line in claims if "::test_" not in line]
