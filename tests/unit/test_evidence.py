"""docs/evidence.md names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_test_that_is_named_exists() -> None:
    text = (ROOT / "docs" / "evidence.md").read_text()
    path, missing, count = "", [], 0
    for named, name in re.findall(r"`(?:((?:unit|integration|e2e)/[\w/]+\.py)::)?(test_\w+)`", text):
        path = named or path  # those without a path lie where the one before does
        count += 1
        if not re.search(rf"^(async )?def {name}\(", (ROOT / "tests" / path).read_text(), re.MULTILINE):
            missing.append(f"{path}::{name}")
    assert not missing
    assert count > 60
