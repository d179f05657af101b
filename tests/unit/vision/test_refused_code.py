"""Code that other users can write is not run."""

from pathlib import Path

import pytest

from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import Registration, registry
from ninjacam.vision.code import ModuleFile, ProcessorCode

CODE = """
from ninjacam import processor

@processor
def edges(frame):
    return frame.image
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "cameras.py"
    path.write_text(CODE)
    path.chmod(0o666)
    return path


def made(path: Path) -> ProcessorCode:
    code = ProcessorCode([ModuleFile("refused_cameras", path)], into=registry)
    code.refresh()
    return code


def test_unsafe_code_is_rejected_and_the_error_says_what_to_do(path: Path) -> None:
    code = made(path)
    assert "edges" not in code.current
    assert f"chmod go-w {path}" in code.errors["refused_cameras"]
    assert not code.changed()


def test_code_is_loaded_once_its_mode_is_safe_and_unloaded_when_it_is_not(path: Path) -> None:
    code = made(path)
    for loose, tight in ((path, 0o600), (path.parent, 0o700)):
        loose.chmod(tight)
        assert code.changed()
        code.refresh()
        assert isinstance(code.current["edges"], Registration) and code.errors == {}
        assert not code.changed()
        loose.chmod(0o777)
        assert code.changed()
        code.refresh()
        error = code.current["edges"]
        assert isinstance(error, ProcessorError) and "Other users can modify" in error.message
        loose.chmod(tight)
