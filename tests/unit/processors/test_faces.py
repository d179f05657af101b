"""The ready-made processor `faces`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Box, Keypoints, load_model
from ninjacam.processors import faces
from ninjacam.processors.faces import Faces
from ninjacam.testing import frame
from tests.unit.inference.networks import MEDIA, MODELS
from tests.unit.processors.conftest import Recorded

IMAGE = np.zeros((90, 160, 3), np.uint8)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
YUNET = MODELS / "face_detection_yunet_2023mar.onnx"
VIDEO = MEDIA / "one-by-one-person-detection.mp4"


class Model:
    """Finds one face of this width from second 1 to 4."""

    def __init__(self, width_px: float) -> None:
        self.width_px, self.second, self.min_score = width_px, 0.0, 0.0

    def detect(self, image: Any, *, score: float) -> Any:
        self.min_score = score
        if not 1 <= self.second < 4:
            return SimpleNamespace(boxes=[], keypoints=[])
        left = 20 + 4 * self.second
        box = Box(left, 20, left + self.width_px, 40, "face", 0.9)
        return SimpleNamespace(boxes=[box], keypoints=[Keypoints([(left + 2, 25)] * 5, (), "face", 0.9)])


def play(processor: Any, model: Model, seconds: int = 10) -> list[Any]:
    returned = []
    for number in range(seconds * 5):
        model.second = number / 5
        made = frame(IMAGE, camera="gate", captured_at=BEGIN + timedelta(seconds=model.second))
        returned.append(processor.process(made))
    return returned


def test_a_face_is_one_event_and_has_keypoints(
    start: Callable[..., Any], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(16)
    monkeypatch.setattr(faces, "load_model", lambda name: model)
    returned = play(start(Faces), model)
    assert [(item.kind, item.label) for item in recorded.begun] == [("face", "face")]
    assert len(recorded.ended) == 1
    kinds = [{type(each) for each in result.annotations} for result in returned]
    assert {Box, Keypoints} in kinds and kinds[-1] == set()
    assert model.min_score == faces.CONTINUE_SCORE


def test_small_faces_do_not_count(
    start: Callable[..., Any], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Model(7)
    monkeypatch.setattr(faces, "load_model", lambda name: model)
    returned = play(start(Faces, min_width=5), model)
    assert not recorded.items and not any(result.annotations for result in returned)


@pytest.mark.skipif(not (YUNET.exists() and VIDEO.exists()), reason="../shared has no YuNet or no media.")
def test_a_face_of_a_real_video_is_found(
    start: Callable[..., Any], recorded: Recorded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces, "load_model", lambda name: load_model(YUNET))
    processor = start(Faces)
    video = cv2.VideoCapture(str(VIDEO))
    video.set(cv2.CAP_PROP_POS_MSEC, 9_000)
    found = []
    for number in range(70):  # 10 fps
        is_read, image = video.read()
        assert is_read
        at = BEGIN + timedelta(seconds=number / 10)
        if number % 2 == 0:
            found.append(processor.process(frame(image, camera="gate", captured_at=at)))
    assert [item.kind for item in recorded.begun] == ["face"]
    assert any(isinstance(each, Keypoints) for result in found for each in result.annotations)
