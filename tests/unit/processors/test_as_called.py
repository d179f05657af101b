"""Each ready-made processor as a vision worker loads and calls it, with real models and real video."""

import sys
from collections.abc import Iterator
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import cv2
import pytest

from ninjacam import Zone
from ninjacam.core.processors import ProcessorRegistry, Registration
from ninjacam.core.ready_made import PACKAGE, READY_MADE
from ninjacam.core.results import Result
from ninjacam.inference.stored import describe_file, install
from ninjacam.testing import frame
from ninjacam.testing.frames import EPOCH
from ninjacam.vision.calling import call_processor, close_processor, new_processor
from ninjacam.vision.chains import preceding_views
from ninjacam.vision.code import ProcessorCode
from tests.unit.inference.networks import MEDIA, MODELS
from tests.unit.processors.conftest import Recorded

FILES = {"yolox-nano": "yolox_nano.onnx", "yunet": "face_detection_yunet_2023mar.onnx"}
VIDEO = MEDIA / "one-by-one-person-detection.mp4"
IMAGE_VIEWS = {"privacy", "clock"}
ZONES = [
    Zone("room", "zone", [(0.1, 0.1), (1, 0.1), (1, 1), (0.1, 1)], loitering_s=1),
    Zone("way", "line", [(0.5, 1), (0.5, 0)]),
    Zone("shelf", "mask", [(0, 0), (0.1, 0), (0.1, 0.1), (0, 0.1)]),
]

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(
        not VIDEO.exists() or not all((MODELS / file).exists() for file in FILES.values()),
        reason="../shared has no models or no media.",
    ),
]


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProcessorCode:
    models_dir = tmp_path / "models"
    monkeypatch.setattr("ninjacam.inference.location._find_models_dir", lambda: models_dir)
    for name, file in FILES.items():
        install(models_dir, MODELS / file, name, *describe_file(MODELS / file), lambda made: "")
    for name in READY_MADE:  # Loading replaces these.
        module = import_module(f"{PACKAGE}.{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))  # Loading adds a finder.
    made = ProcessorCode([], into=fresh)
    made.set_ready_made({name: ["gate"] for name in READY_MADE})
    made.refresh()
    return made


def images(count: int) -> Iterator[Any]:
    video = cv2.VideoCapture(str(VIDEO))
    video.set(cv2.CAP_PROP_POS_MSEC, 24_000)
    for _ in range(count):
        is_read, image = video.read()
        assert is_read
        yield image


@pytest.mark.parametrize("name", [name for name in READY_MADE if name != "text"])  # test_text.py
def test_it_works_with_default_options(code: ProcessorCode, recorded: Recorded, name: str) -> None:
    chain = [*preceding_views(code.current, name, "gate"), name]
    made = {}
    for each in chain:
        entry = code.current[each]
        assert isinstance(entry, Registration)
        made[each] = new_processor(entry, "gate").processor
    for number, image in enumerate(images(15)):
        results: dict[str, Result] = {}
        for each, processor in made.items():
            at = EPOCH + timedelta(seconds=number / 5)
            returned = call_processor(
                processor,
                each,
                frame(
                    image, camera="gate", number=number, captured_at=at, zones=ZONES, results=dict(results)
                ),
                with_image=True,
            )
            assert returned.result is not None and returned.image.shape[:2] == image.shape[:2]
            results[each] = returned.result
        assert (returned.annotation_set is None) == (name in IMAGE_VIEWS)
    for each, processor in made.items():
        close_processor(processor, each)
    if name in ("objects", "occupancy"):
        assert "person" in {item.kind for item in recorded.begun}
