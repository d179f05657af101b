"""Ready-made processors are loaded for the cameras that use them, and only then."""

import sys
from collections.abc import Iterator

import pytest

from ninjacam.core.processors import ProcessorRegistry, Registration
from ninjacam.core.ready_made import PACKAGE, READY_MADE
from ninjacam.vision.code import ProcessorCode


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
