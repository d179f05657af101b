"""The process that validates values of options, with models and validators that fail in every way."""

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from ninjacam.actions.child_processes import run_module

CODE = """
import ctypes, os, sys, time
from ninjacam import Frame, processor
from pydantic import BaseModel, field_validator

print("loaded")

class Look(BaseModel):
    width: int = 3
    text: str = ""

    @field_validator("text")
    @classmethod
    def check(cls, text):
        print("checking", text)
        sys.stdout.flush()
        if text == "hang":
            while True:
                pass
        if text == "exit":
            os._exit(3)
        if text == "segfault":
            ctypes.string_at(0)
        if text == "fork" and os.fork() == 0:
            time.sleep(3)
            os._exit(0)
        if text == "break":
            raise KeyError("a bug")
        return text

@processor
def draw(frame: Frame, options: Look):
    return None

@processor
def plain(frame: Frame):
    return None
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "ninjacam.site.settings")
    monkeypatch.setenv("NINJACAM_DATA", str(tmp_path))
    (tmp_path / "cameras.py").write_text(CODE)
    (tmp_path / "cameras.py").chmod(0o600)
    return tmp_path


def check(
    processor: str = "draw", timeout_s: float = 60, module: str = "ninjacam_data_cameras", **values: Any
) -> Any:
    question = {"module": module, "processor": processor, "values": values}
    printed = run_module(
        "ninjacam.processes.options_check", json.dumps(question).encode(), timeout_s, bare=False
    )
    return json.loads(printed) if printed else printed


def test_values_that_fit_are_returned_and_others_are_named(site: Path) -> None:
    assert check(width="x", text="한", gone=1) == {
        "values": {"width": 3, "text": "한"},
        "problems": {
            "width": "Input should be a valid integer, unable to parse string as an integer",
            "gone": "The processor has no such option.",
        },
    }


def test_options_of_a_ready_made_processor_are_checked(site: Path) -> None:
    answer = check("motion", module="ninjacam.processors.motion", min_area=0.5, end_after_s=-1)
    assert answer["values"]["min_area"] == 0.5 and answer["problems"].keys() == {"end_after_s"}


@pytest.mark.parametrize("text", ["exit", "segfault"])
def test_a_validator_that_ends_the_process_ends_only_that_one(site: Path, text: str) -> None:
    assert check(text=text) == b""


def test_a_validator_that_never_returns_is_ended(site: Path) -> None:
    started_s = time.monotonic()
    assert check(timeout_s=4, text="hang") is None
    assert time.monotonic() - started_s < 10
    running = subprocess.run(["ps", "axo", "args"], capture_output=True, text=True, check=True).stdout
    assert "-m ninjacam.processes.options_check" not in running


@pytest.mark.parametrize(
    ("processor", "values", "words"),
    [
        ("draw", {"text": "break"}, "draw: KeyError"),
        ("plain", {}, "no options any more"),
        ("other", {}, "no options any more"),
    ],
)
def test_other_failures_are_one_sentence(
    site: Path, processor: str, values: dict[str, Any], words: str
) -> None:
    assert words in check(processor, **values)["error"]


def test_a_module_that_does_not_load_is_one_sentence(site: Path) -> None:
    (site / "cameras.py").write_text("import nothing_of_this_name")
    assert "nothing_of_this_name" in check()["error"]
