"""The example of docs/how-to/add-a-source.md works: its module, and its own test."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

TEXT = (Path(__file__).parents[2] / "docs/how-to/add-a-source.md").read_text()


def test_the_example_source_passes_its_own_test(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, test = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    jpegs = ModuleType("ninjacam.sources.jpegs")
    monkeypatch.setitem(sys.modules, jpegs.__name__, jpegs)
    exec(compile(module, "jpegs.py", "exec"), vars(jpegs))
    names: dict[str, object] = {}
    exec(compile(test, "test_jpegs.py", "exec"), names)
    (run,) = [value for name, value in names.items() if name.startswith("test_") and callable(value)]
    run()
