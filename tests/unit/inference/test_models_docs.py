"""docs/models.md: its code runs, and it names all decoders, models and options."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import load_command_class

from ninjacam.core.processors import ProcessorRegistry
from ninjacam.inference.catalogue import CATALOGUE
from ninjacam.inference.decoders.inputs import USUAL_INPUTS
from ninjacam.inference.engines import DEVICES
from ninjacam.inference.stored import describe_file, install
from ninjacam.testing import frame
from ninjacam.vision.calling import call_processor, new_processor
from tests.unit.inference.networks import MEDIA, MODELS
from tests.unit.inference.test_real_models import PERSON_S, frame_at

TEXT = (Path(__file__).parents[3] / "docs/models.md").read_text()


def test_the_processor_finds_a_person(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = MODELS / "yolox_nano.onnx"
    if not path.exists() or not MEDIA.exists():
        pytest.skip("../shared has no YOLOX or no media.")
    install(models_dir, path, "yolox-nano", *describe_file(path), lambda made: "")
    registry = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", registry)
    names: dict[str, Any] = {"__name__": "documented"}
    for source in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(source, "models.md", "exec"), names)
    (entry,) = registry
    made = new_processor(entry, "gate").processor
    returned = call_processor(
        made, "people", frame(frame_at("one-by-one-person-detection.mp4", PERSON_S)), with_image=False
    )
    assert returned.annotation_set is not None
    assert [each["label"] for each in returned.annotation_set] == ["person"]


def test_decoders_models_and_devices_are_documented() -> None:
    rows = set(re.findall(r"^\| `\"?([a-z0-9-]+)\"?` \|", TEXT, re.MULTILINE))
    assert rows >= {*USUAL_INPUTS, *DEVICES, *(entry.name for entry in CATALOGUE)}


def test_documented_commands_are_accepted() -> None:
    parser = load_command_class("ninjacam", "ninjacam_models").create_parser("ninjacam", "models")
    commands = re.findall(r"^ninjacam models (.*)$", TEXT, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        parser.parse_args(command.split())
    for option in re.findall(r"`(--[a-z-]+)", TEXT):
        assert option in parser._subparsers._group_actions[0].choices["add"].format_help()  # type: ignore[union-attr, index]
