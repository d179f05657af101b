"""Ready-made processors are loaded for the cameras that use them, and only then."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ninjacam.core.errors import ProcessorError
from ninjacam.core.processors import ProcessorRegistry, Registration
from ninjacam.core.ready_made import PACKAGE, READY_MADE
from ninjacam.vision.code import ModuleFile, ProcessorCode


@pytest.fixture
def code(monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessorCode]:
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    known = {name: sys.modules.get(f"{PACKAGE}.{name}") for name in READY_MADE}
    yield ProcessorCode([], into=fresh)
    for name, module in known.items():
        if module is not None:
            sys.modules[f"{PACKAGE}.{name}"] = module


def test_a_camera_that_uses_one_has_its_view(code: ProcessorCode) -> None:
    assert code.set_ready_made({"motion": ["gate", "yard"]})
    code.refresh()
    entry = code.current["motion"]
    assert isinstance(entry, Registration) and entry.cameras == ("gate", "yard")
    assert code.views("gate") == ["motion"] and code.views("door") == []
    assert entry.options is not None and entry.description
    assert not code.set_ready_made({"motion": ["yard", "gate"]}), "unchanged"


def test_another_camera_and_the_end_of_its_use(code: ProcessorCode) -> None:
    code.set_ready_made({"motion": ["gate"]})
    code.refresh()
    assert code.set_ready_made({"motion": ["door"]})
    code.refresh()
    assert code.views("door") == ["motion"] and code.views("gate") == []
    assert code.set_ready_made({})
    code.refresh()
    assert code.current == {} and code.files == []
    assert code.set_ready_made({"motion": ["door"]})
    code.refresh()
    assert code.views("door") == ["motion"], "loaded again"


@pytest.mark.parametrize("name", ["unknown", "../motion", "", "__init__"])
def test_unknown_names_load_nothing(code: ProcessorCode, name: str) -> None:
    code.set_ready_made({name: ["gate"]})
    code.refresh()
    assert code.files == [] and code.current == {}


@pytest.mark.parametrize("name", READY_MADE)
def test_each_loads_is_described_and_has_options_with_defaults(code: ProcessorCode, name: str) -> None:
    code.set_ready_made({name: ["gate"]})
    code.refresh()
    assert code.errors == {}
    entry = code.current[name]
    assert isinstance(entry, Registration) and entry.options is not None
    entry.options.model_validate_json("{}")


OWN = "from ninjacam import processor\n\n@processor\ndef {name}(frame):\n    return []\n"


def save(path: Path, name: str) -> None:
    """Write a module in which a processor of this name is defined."""
    path.write_text(OWN.format(name=name))


def module_of(code: ProcessorCode, name: str) -> str:
    entry = code.current[name]
    assert isinstance(entry, Registration)
    return entry.module


@pytest.mark.parametrize("is_own_first", [True, False])
def test_the_user_s_processor_replaces_a_ready_made_one_of_its_name_until_it_is_renamed(
    code: ProcessorCode, tmp_path: Path, is_own_first: bool, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "cameras.py"
    code.files = [ModuleFile("own_cameras", path)]
    code.set_ready_made({"clock": ["gate"], "motion": ["gate"]})
    if not is_own_first:
        code.refresh()
        assert module_of(code, "clock") == f"{PACKAGE}.clock"
    save(path, "clock")
    code.refresh()
    assert module_of(code, "clock") == "own_cameras" and code.errors == {}
    assert code.views("door") == ["clock"] and code.views("gate") == ["clock", "motion"]
    assert not code.changed()
    code.refresh()
    assert caplog.text.count("the ready-made processor clock is not used: own_cameras defines") == 1
    path.write_text("1 / 0\n" + OWN.format(name="clock"))
    code.refresh()
    assert isinstance(code.current["clock"], ProcessorError), "not the other one all of a sudden"
    save(path, "other")
    code.refresh()
    assert module_of(code, "clock") == f"{PACKAGE}.clock" and code.errors == {}
    assert code.views("gate") == ["clock", "motion", "other"] and not code.changed()
