"""The code in docs/processors.md runs: every block, every processor on real images, every test."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Box, EventRecord, EventSnapshot, Processor, events
from ninjacam.core.processors import FunctionProcessor, ProcessorRegistry
from ninjacam.testing import frame
from ninjacam.vision.calling import call_event_processor, call_processor, close_processor, new_processor

ROOT = Path(__file__).parents[2]
MODELS, MEDIA = ROOT.parent / "shared" / "models", ROOT.parent / "shared" / "media"
TEXT = (ROOT / "docs" / "processors.md").read_text()


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> ProcessorRegistry:
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    return fresh


@pytest.fixture
def module(registry: ProcessorRegistry) -> ModuleType:
    made = ModuleType("documented")
    for source in re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        exec(compile(source, "processors.md", "exec"), made.__dict__)
    return made


@pytest.fixture
def created() -> Iterator[list[str]]:
    kinds: list[str] = []
    events.send_to(lambda camera, item: kinds.append(getattr(item, "kind", "")))
    yield kinds
    events.send_to(None)


def pictures() -> list[Any]:
    path = MEDIA / "one-by-one-person-detection.mp4"
    if not path.exists():
        return [np.full((360, 640, 3), value, np.uint8) for value in range(60, 90)]
    video = cv2.VideoCapture(str(path))
    return [video.read()[1] for _ in range(60)]


def run(registry: ProcessorRegistry, name: str, images: list[Any]) -> list[Any]:
    """Return its results for these images, called as a vision worker calls it."""
    entry = registry.get(name)
    assert entry is not None
    made = new_processor(entry, "gate").processor
    returned = [
        call_processor(made, name, frame(image, camera="gate", number=number), with_image=True)
        for number, image in enumerate(images)
    ]
    close_processor(made, name)
    return returned


@pytest.mark.usefixtures("module")
def test_each_processor_works_on_real_frames(registry: ProcessorRegistry, created: list[str]) -> None:
    names = {entry.name for entry in registry}
    drawers = {"edges", "outlines", "clock", "unreadable"}
    annotators = {"motion", "brightest", "brightness", "doorbell", "movement", "intruders", "dark"}
    assert names == drawers | annotators | {"faces", "blurred", "labels"}
    for name in drawers | annotators:
        for returned in run(registry, name, pictures()):
            assert returned.image.dtype == np.uint8
            assert (returned.annotation_set is not None) == (name in annotators)
    assert created == []


@pytest.mark.usefixtures("module")
def test_moving_things_are_blurred_and_the_rest_is_not(registry: ProcessorRegistry) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
    moving = noise.copy()
    moving[100:160, 200:260] = 255 - noise[100:160, 200:260] // 4
    found = run(registry, "movement", [noise] * 5 + [moving])[-1].result
    assert len(found.boxes) == 1
    entry = registry.get("blurred")
    assert entry is not None
    made = new_processor(entry, "gate").processor
    shown = call_processor(made, "blurred", frame(moving, results={"movement": found}), with_image=True).image
    assert shown[110:150, 210:250].std() < 10 < moving[110:150, 210:250].std()
    assert (shown[:80] == moving[:80]).all()


@pytest.mark.usefixtures("module")
def test_the_code_on_the_object_of_an_event_is_read(registry: ProcessorRegistry) -> None:
    code = cv2.resize(cv2.QRCodeEncoder.create().encode("parcel 17"), None, fx=6, fy=6, interpolation=0)
    image = np.full((720, 1280, 3), 255, np.uint8)
    image[300 : 300 + len(code), 400 : 400 + len(code)] = code[..., None]
    entry = registry.get("labels")
    assert entry is not None and not entry.has_view
    made = new_processor(entry, "gate").processor
    event = EventRecord(7, "gate", "parcel", "", datetime(2026, 12, 1, tzinfo=UTC))
    for box, expected in (((0.3, 0.4, 0.45, 0.65), {"text": "parcel 17"}), ((0.7, 0.1, 0.9, 0.3), None)):
        assert call_event_processor(made, "labels", event, EventSnapshot(image, box=box)) == expected


@pytest.mark.usefixtures("module")
def test_the_event_is_created_once(registry: ProcessorRegistry, created: list[str]) -> None:
    light, dark = np.full((90, 160), 200, np.uint8), np.zeros((90, 160), np.uint8)
    run(registry, "doorbell", [light, dark, dark, light, dark])
    assert created == ["covered", "covered"]


def test_the_documented_tests_pass(module: ModuleType) -> None:
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert len(tests) == 3
    for each in tests:
        each()


def test_a_real_network_finds_faces(module: ModuleType, registry: ProcessorRegistry) -> None:
    model = MODELS / "face_detection_yunet_2023mar.onnx"
    if not model.exists():
        pytest.skip("../shared/models has no YuNet.")
    module.Faces.model = str(model)
    for size in ((320, 240), (1280, 720)):  # cameras of two sizes, one instance each
        images = [cv2.resize(image, size) for image in pictures()[:3]]
        for returned in run(registry, "faces", images):
            assert returned.annotation_set is not None


def test_names_explained_on_the_page_exist(module: ModuleType) -> None:
    assert isinstance(module.edges, type(lambda: 0)) and issubclass(module.Motion, Processor)
    assert not isinstance(module.edges, FunctionProcessor) and module.Box is Box
    if cv2.__version__.startswith("5"):
        for gone in ("CascadeClassifier", "HOGDescriptor"):
            assert not hasattr(cv2, gone) and gone in TEXT
        for gone in ("readNetFromCaffe", "readNetFromDarknet"):
            assert not hasattr(cv2.dnn, gone) and gone in TEXT
