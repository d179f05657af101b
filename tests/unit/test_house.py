"""`make house` reports violations of its rules."""

from pathlib import Path

import pytest

pytest.importorskip("radon", reason="`make house` needs the dependency group “check”.")

from tools import house


def test_a_function_with_too_many_branches_is_reported_with_its_place() -> None:
    body = "".join(f"    if value == {number}:\n        return {number}\n" for number in range(15))
    sources = {"a.py": f"def choose(value):\n{body}", "b.py": "def plain(value):\n    return value\n"}
    assert house.find_long_functions(sources).findings == ["a.py:1 choose: 16"]


def test_a_method_is_counted_separately_from_its_class() -> None:
    methods = "".join(f"    def m{number}(self, x):\n        return 1 if x else 2\n" for number in range(20))
    assert house.find_long_functions({"a.py": f"class A:\n{methods}"}).findings == []


def test_a_class_that_assigns_too_many_attributes_is_reported() -> None:
    lines = "".join(f"        self.a{number} = {number}\n" for number in range(21))
    nested = "class Few:\n    x: int = 0\n"
    sources = {"a.py": f"class Large:\n    def __init__(self):\n{lines}{nested}"}
    assert house.find_large_classes(sources).findings == ["a.py:1 Large: 21"]


def test_modules_that_import_each_other_are_a_cycle_of_any_length() -> None:
    imports = {"a": ["b"], "b": ["c"], "c": ["a"], "d": ["a"], "e": []}
    assert house.find_import_cycles(imports).findings == ["a <-> b <-> c"]


def test_a_class_name_used_twice_is_reported_unless_django_requires_it() -> None:
    sources = {
        "a.py": "class Segment: ...\nclass Command: ...\nclass _Own: ...\n",
        "b.py": "class Segment: ...\nclass Command: ...\nclass _Own: ...\n",
    }
    assert house.find_duplicate_classes(sources).findings == ["Segment: a.py:1, b.py:1"]


def test_a_banned_phrase_is_found_across_a_line_break_unless_the_guide_allows_it_there() -> None:
    bans = house.read_bans("```banned\n\\bgoes on\\b :: continues :: src/old/*\nMOST_\\w+ :: MAX_x\n```\n")
    texts = {"src/a.py": "# It goes\n# on.\nMOST_X = 1\n", "src/old/b.py": "# It goes on.\n"}
    assert house.find_banned(texts, bans).findings == [
        "src/a.py:1 “goes # on”: continues",
        "src/a.py:3 “MOST_X”: MAX_x",
    ]


@pytest.mark.parametrize("guide", ["no block", "```banned\nword without a replacement\n```\n"])
def test_a_style_guide_without_a_usable_list_is_an_error(guide: str) -> None:
    with pytest.raises(ValueError, match="style guide"):
        house.read_bans(guide)


def test_the_style_guide_of_the_project_can_be_read() -> None:
    bans = house.read_bans((house.ROOT / "docs/style.md").read_text("utf-8"))
    assert house.find_banned({"a.py": "MOST_POINTS = 3"}, bans).findings


def test_a_suite_above_its_limit_is_reported(tmp_path: Path) -> None:
    report = tmp_path / "unit.xml"
    case = '<testcase classname="a" name="test_b" time="2.5"/>'
    report.write_text(f'<testsuites><testsuite time="901">{case}</testsuite></testsuites>')
    metric = house.measure_tests([report])
    assert metric.findings == ["901 s for 1 tests; at most 900 s"]
    assert metric.notes[1] == "   2.5 s a::test_b"


def test_the_report_fails_only_above_a_limit_and_shortens_long_lists() -> None:
    metrics = [house.Metric("good"), house.Metric("bad", ["a:1 x", "a:2 y"], ["noted"])]
    assert list(house.format_report(metrics, shown=1)) == [
        "ok   good: 0",
        "FAIL bad: 2",
        "       a:1 x",
        "       … 1 more (show them with --all)",
        "       noted",
    ]
