"""The models of ../shared/models on real video: what they find, and that both engines find the same."""

from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Box, load_model
from ninjacam.inference import loading, onnx_runtime, opening
from tests.unit.inference.networks import MEDIA, MODELS

PERSON_S, EMPTY_S, FACE_S = 24, 48, 68.8
"""Seconds of one-by-one-person-detection.mp4."""
PERSON = Box(357, 32, 528, 411, "person")
FILES = {
    "yolox": "yolox_nano.onnx",
    "nanodet": "object_detection_nanodet_2022nov.onnx",
    "yunet": "face_detection_yunet_2023mar.onnx",
}


def model(name: str) -> Any:
    path = MODELS / FILES[name]
    if not path.exists():
        pytest.skip(f"../shared/models has no {path.name}.")
    return load_model(path)


def frame_at(file: str, second: float) -> Any:
    path = MEDIA / file
    if not path.exists():
        pytest.skip(f"../shared/media has no {file}.")
    video = cv2.VideoCapture(str(path))
    video.set(cv2.CAP_PROP_POS_MSEC, second * 1000)
    is_read, image = video.read()
    assert is_read
    return image


def overlap(one: Any, other: Any) -> float:
    """Return intersection over union of two boxes."""
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(0.0, width) * max(0.0, height)
    areas = [(each.right - each.left) * (each.bottom - each.top) for each in (one, other)]
    return float(shared / (sum(areas) - shared))


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
def test_persons_are_found(name: str, engine: str) -> None:
    """A frame in which one person stands in the room, and one of the empty room."""
    detect = model(name)
    found = detect(frame_at("one-by-one-person-detection.mp4", PERSON_S), labels=["person"])
    assert len(found) == 1 and found[0].score > 0.5 and overlap(found[0], PERSON) > 0.7
    assert detect(frame_at("one-by-one-person-detection.mp4", EMPTY_S), labels=["person"]) == []


@pytest.mark.parametrize("name", ["yolox", "nanodet"])
def test_both_engines_find_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = frame_at("vtest.avi", 20)
    expected = model(name)(image, score=0.45)
    loading._loaded.clear()
    monkeypatch.setattr(onnx_runtime, "find_devices", lambda: ())
    found = model(name)(image, score=0.45)
    assert len(expected) >= 3 and len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        assert one.label == other.label and one.score == pytest.approx(other.score, abs=0.01)
        assert overlap(one, other) > 0.97


def test_padding_that_is_left_out_changes_nothing(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = frame_at("vtest.avi", 20)
    found = model("yolox")(image, score=0.45)
    loading._loaded.clear()
    monkeypatch.setattr(opening, "with_free_size", lambda content: None)
    expected = model("yolox")(image, score=0.45)
    assert len(expected) >= 3 and len(found) == len(expected)
    for one, other in zip(expected, found, strict=True):
        assert one.label == other.label and one.score == pytest.approx(other.score, abs=0.05)
        assert overlap(one, other) > 0.9


def test_faces_have_landmarks_inside_their_boxes() -> None:
    detect = model("yunet")
    found = detect.detect(frame_at("one-by-one-person-detection.mp4", FACE_S))
    assert len(found.boxes) == len(found.keypoints) == 1
    (box,), (face,) = found.boxes, found.keypoints
    assert box.label == "face" and box.score > 0.6
    eyes, mouth = np.array(face.points[:2]), np.array(face.points[3:])
    assert eyes.shape == mouth.shape == (2, 2) and eyes[:, 1].max() < mouth[:, 1].min()
    for x, y in face.points:
        assert box.left <= x <= box.right and box.top <= y <= box.bottom


@pytest.mark.parametrize("size", [(320, 180), (1920, 1080), (300, 900)])
def test_the_size_of_the_image_does_not_matter(size: tuple[int, int]) -> None:
    image = frame_at("one-by-one-person-detection.mp4", PERSON_S)
    scaled = cv2.resize(image, (size[0], round(size[0] * image.shape[0] / image.shape[1])))
    (found,) = model("yolox")(scaled, labels=["person"])
    factor = image.shape[1] / size[0]
    back = Box(found.left * factor, found.top * factor, found.right * factor, found.bottom * factor)
    assert overlap(back, PERSON) > 0.7
