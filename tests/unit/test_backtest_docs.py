"""The code in docs/backtest.md runs, and the clip produces the documented result."""

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from ninjacam.core.processors import ProcessorRegistry
from ninjacam.management.commands.ninjacam_backtest import Command
from ninjacam.testing import run_processor
from tests.harness.backtests import ONE_BY_ONE
from tests.unit.backtest.clips import write_video

TEXT = (Path(__file__).parents[2] / "docs" / "backtest.md").read_text()


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr("ninjacam.core.processors.registry", ProcessorRegistry())
    made = ModuleType("documented")
    for source in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(source, "backtest.md", "exec"), made.__dict__)
    return made


def test_the_documented_test_passes_on_a_real_clip(module: Any) -> None:
    if not ONE_BY_ONE.exists():
        pytest.skip("../shared has no media.")
    module.CLIP = str(ONE_BY_ONE)
    module.test_the_clip_yields_ten_walkers()


def test_the_documented_processors_run(module: Any, tmp_path: Path) -> None:
    video = write_video(tmp_path / "v.mp4", 3)
    assert len(run_processor(module.brightness, video).values("brightness")) == 15
    assert run_processor(module.Walkers, video).events == []


def test_each_option_of_the_command_is_documented() -> None:
    parser = Command().create_parser("ninjacam", "backtest")
    options = {
        option for action in parser._actions for option in action.option_strings if option.startswith("--")
    }
    documented = set(re.findall(r"--[a-z]+", TEXT))
    ours = {
        "--file",
        "--camera",
        "--from",
        "--to",
        "--set",
        "--compare",
        "--json",
        "--html",
        "--processes",
        "--timeout",
        "--width",
    }
    assert ours <= options and ours <= documented
