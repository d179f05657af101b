"""docs/ready-made.md has a section for each ready-made processor, with its options, and each is linked."""

import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.ready_made import PACKAGE, READY_MADE

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "ready-made.md").read_text()
SECTIONS = {
    part.partition("\n")[0]: part.partition("\n")[2]
    for part in re.split(r"^## ", TEXT, flags=re.MULTILINE)[1:]
}


def shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(value) or "all"
    return str(value)


def test_each_processor_has_a_section_in_the_order_of_the_list() -> None:
    assert list(SECTIONS) == list(READY_MADE)
    overview = re.findall(r"^\| \[`(\w+)`\]\(#(\w+)\) \|", TEXT, re.MULTILINE)
    assert overview == [(name, name) for name in READY_MADE]


@pytest.mark.parametrize("name", READY_MADE)
def test_a_section_lists_the_options_with_their_defaults(name: str) -> None:
    options = import_module(f"{PACKAGE}.{name}").__dict__
    (model,) = [
        value
        for key, value in options.items()
        if key.endswith("Options") and getattr(value, "__module__", "") == f"{PACKAGE}.{name}"
    ]
    expected = [
        f"| `{option}` | {shown(field.default)} | {field.description} |"
        for option, field in model.model_fields.items()
    ]
    assert re.findall(r"^\| `.*\|$", SECTIONS[name], re.MULTILINE) == expected


@pytest.mark.parametrize("name", READY_MADE)
def test_the_kinds_of_events_are_documented(name: str) -> None:
    source = (ROOT / "src" / "ninjacam" / "processors" / f"{name}.py").read_text()
    kinds = re.findall(r'(?:events\.(?:begin|create)\(|_Alarm\()\s*(?:self\.)?camera,\s*"(\w+)"', source)
    for kind in kinds:
        assert f"`{kind}`" in SECTIONS[name]


def test_descriptions_are_short() -> None:
    assert all(len(text) <= 90 for text in READY_MADE.values())


def test_the_page_is_linked() -> None:
    assert "ready-made.md" in (ROOT / "docs" / "processors.md").read_text()
    assert "docs/ready-made.md" in (ROOT / "README.md").read_text()
