"""The modules that run as programs."""

import ast
from pathlib import Path

import pytest

import ninjacam

PACKAGE = Path(ninjacam.__file__).parent
PROGRAMS = sorted(
    str(path.relative_to(PACKAGE))
    for path in PACKAGE.rglob("*.py")
    if 'if __name__ == "__main__"' in path.read_text() and "testing" not in path.parts
)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_files_of_each_program_are_private(program: str) -> None:
    tree = ast.parse((PACKAGE / program).read_text())
    (main,) = (each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == "main")
    called = {
        each.func.id
        for each in ast.walk(main)
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Name)
    }
    assert "keep_files_private" in called


def test_all_programs_are_found() -> None:
    assert len(PROGRAMS) > 10
