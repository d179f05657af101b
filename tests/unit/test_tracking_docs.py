"""The code in docs/tracking.md runs on a synthetic video and produces the documented results."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from ninjacam import Frame
from ninjacam.core.processors import ProcessorRegistry
from ninjacam.testing import frame

TEXT = (Path(__file__).parents[2] / "docs" / "tracking.md").read_text()
START = datetime(2026, 11, 30, 12, tzinfo=UTC)


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setattr("ninjacam.core.processors.registry", ProcessorRegistry())
    made = ModuleType("documented")
    for source in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(source, "tracking.md", "exec"), made.__dict__)
    made.Visitors.directory = tmp_path
    return made


def video(seconds: float, since_s: float = 0) -> Iterator[Frame]:
    """Yield 10 frames per second in which a bright rectangle moves to the right, from second 2 to second 6."""
    noise = np.random.default_rng(1)
    for number in range(round(since_s * 10), round((since_s + seconds) * 10)):
        image = noise.integers(60, 64, (360, 640), np.uint8)
        if 20 <= number < 60:
            x = 20 + 14 * (number - 20)
            image[200:300, x : x + 50] = 220
        yield frame(image, camera="gate", number=number, captured_at=START + timedelta(seconds=number / 10))


def make(processor: Any) -> Any:
    made = processor()
    made.setup("gate", None)
    return made


def test_the_object_has_one_track_with_a_trail(module: ModuleType) -> None:
    moving = make(module.Moving)
    boxes = [box for each in video(8) for box in moving.process(each)]
    assert {box.track for box in boxes} == {1} and len(boxes) > 30
    assert len(boxes[-1].trail) == 32


def test_the_crossing_is_printed(module: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    gate = make(module.Gate)
    for each in video(8):
        gate.process(each)
    assert (gate.counter.forward, gate.counter.backward) == (1, 0)
    assert capsys.readouterr().out.endswith("moving 1 forward\n")


def test_the_zone_counts_the_object(module: ModuleType) -> None:
    doorstep = make(module.Doorstep)
    counts = []
    for each in video(9):
        doorstep.process(each)
        counts.append(len(doorstep.zone.inside))
    assert max(counts) == 1 and counts[-1] == 0


def test_the_visit_is_one_event_with_a_picture_also_after_a_restart(
    module: ModuleType, created: list[Any], tmp_path: Path
) -> None:
    visitors = make(module.Visitors)
    for each in video(5):
        visitors.process(each)
    assert json.loads((tmp_path / "gate.json").read_text())["next_id"] == 2
    assert not (tmp_path / "gate.new").exists()
    visitors = make(module.Visitors)
    for each in video(9, since_s=5):
        visitors.process(each)
    assert [event.kind for event in created] == ["visit"]
    assert (tmp_path / "gate-1.jpg").stat().st_size > 5000 and not (tmp_path / "gate-2.jpg").exists()
