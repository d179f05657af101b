"""Modules that modules of processors import: loaded again with them when they are saved."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import ProcessorRegistry, Registration
from ninjacam.vision.code import ModuleFile, ProcessorCode


class Project:
    """A directory of modules whose processors return what their helpers say."""

    def __init__(self, root: Path, registry: ProcessorRegistry) -> None:
        self.root = root
        self.registry = registry
        self.code = ProcessorCode([])

    def write(self, **sources: str) -> None:
        for name, source in sources.items():
            path = self.root.joinpath(*name.split("/")).with_suffix(".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(source)

    def load(self, *names: str) -> None:
        files = [ModuleFile(name, self.root.joinpath(*name.split(".")).with_suffix(".py")) for name in names]
        self.code = ProcessorCode(files, into=self.registry)
        self.code.refresh()

    def saved(self, **sources: str) -> None:
        self.write(**sources)
        assert self.code.changed()
        self.code.refresh()
        assert not self.code.changed()

    def answer(self, view: str) -> Any:
        entry = self.code.current[view]
        if isinstance(entry, ProcessorError):
            return entry.message
        assert isinstance(entry, Registration)
        return entry.make().process(None)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    # PYTHONDONTWRITEBYTECODE would hide that outdated bytecode is loaded.
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    before = set(sys.modules)
    yield Project(tmp_path, fresh)
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(tmp_path) in str(sys.modules[name].__file__):
            del sys.modules[name]


def cameras(imports: str, answer: str, view: str = "view") -> str:
    return f"from ninjacam import processor\n{imports}\n@processor({view!r})\ndef view(frame):\n    return {answer}\n"


def test_a_saved_helper_is_reloaded_even_within_the_same_second(project: Project) -> None:
    project.write(hx_cameras=cameras("import hx_helper", "hx_helper.WORD"), hx_helper="WORD = 'aa'\n")
    project.load("hx_cameras")
    assert project.answer("view") == "aa"
    for word in ("bb", "cc", "dd"):
        project.saved(hx_helper=f"WORD = '{word}'\n")
        assert project.answer("view") == word


def test_only_modules_that_depend_on_a_saved_helper_are_reloaded(project: Project) -> None:
    project.write(
        hy_first=cameras("from hy_pack import middle, other", "(middle.WORD, other)", "first"),
        hy_second=cameras("from hy_pack import other", "other", "second"),
        **{
            "hy_pack/__init__": "",
            "hy_pack/middle": "from .bottom import WORD\n",
            "hy_pack/bottom": "WORD = 1\n",
            "hy_pack/other": "",
        },
    )
    project.load("hy_first", "hy_second")
    before, second = project.answer("first"), project.code.current["second"]
    project.saved(**{"hy_pack/bottom": "WORD = 2\n"})
    assert project.answer("first") == (2, before[1]), "the helper between them, and not its neighbour"
    assert project.code.current["second"] is second
    project.saved(**{"hy_pack/__init__": "WORD = 3\n"})
    assert project.answer("first")[1] is not before[1], "a package is loaded again with its modules"


def test_an_error_in_a_helper_is_reported_for_the_modules_that_need_it_until_it_is_fixed(
    project: Project,
) -> None:
    project.write(hz_cameras=cameras("import hz_helper", "hz_helper.WORD"), hz_helper="WORD = 1\n")
    project.load("hz_cameras")
    project.saved(hz_helper="WORD = 1\nWORD = (\n")
    assert (
        project.answer("view")
        == "hz_cameras does not load: SyntaxError: '(' was never closed (hz_helper.py, line 2)"
    )
    assert "ninjacam/vision" not in project.code.errors["hz_cameras"]
    assert "hz_helper.py" in project.code.errors["hz_cameras"]
    project.saved(hz_helper="\n\nWORD = {}['x']\n")
    assert project.answer("view") == "hz_cameras does not load: KeyError: 'x' (hz_helper.py, line 3)"
    project.saved(hz_helper="WORD = 2\n")
    assert project.answer("view") == 2 and project.code.errors == {}


def test_a_missing_helper_is_awaited(project: Project) -> None:
    project.write(hw_cameras=cameras("import hw_helper", "hw_helper.WORD"))
    project.load("hw_cameras")
    assert "No module named 'hw_helper'" in project.code.errors["hw_cameras"]
    assert not project.code.changed()
    project.saved(hw_helper="WORD = 5\n")
    assert project.answer("view") == 5


def test_a_helper_imported_inside_a_function_is_watched(project: Project) -> None:
    code = cameras("", "late.WORD").replace("return", "from hv_tools import late; return")
    project.write(hv_cameras=code, **{"hv_tools/late": "WORD = 1\n"})
    project.load("hv_cameras")
    assert project.answer("view") == 1
    project.saved(**{"hv_tools/late": "WORD = 2\n"})
    assert project.answer("view") == 2


def test_earlier_imports_and_installed_packages_are_left_alone(project: Project) -> None:
    project.write(
        hu_cameras=cameras("import hu_models, random, json", "hu_models.WORD"),
        hu_models="WORD = 1\n",
        random="raise SystemExit('not the one that Python has')\n",
    )
    sys.path.insert(0, str(project.root))
    try:
        __import__("hu_models")
        project.load("hu_cameras")
    finally:
        sys.path.remove(str(project.root))
    assert project.code.errors == {}
    project.write(hu_models="WORD = 2\n")
    assert not project.code.changed(), "Django loads models once"


def test_a_helper_that_others_can_write_is_rejected(project: Project) -> None:
    project.write(ht_cameras=cameras("import ht_helper", "1"), ht_helper="")
    (project.root / "ht_helper.py").chmod(0o666)
    project.load("ht_cameras")
    assert "UnsafeCodeError: Other users can modify the file" in project.code.errors["ht_cameras"]
    (project.root / "ht_helper.py").chmod(0o600)
    project.code.refresh()
    assert project.answer("view") == 1
