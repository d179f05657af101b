"""The ready-made processor `privacy`."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam import Box, Zone, load_model
from ninjacam.core.errors import ModelError
from ninjacam.core.options import fit_options
from ninjacam.processors import privacy
from ninjacam.processors.privacy import Privacy, PrivacyOptions
from ninjacam.testing import frame
from tests.unit.inference.networks import MEDIA, MODELS

NOISE = np.random.default_rng(1).integers(0, 255, (180, 320, 3), np.uint8)
BEGIN = datetime(2026, 11, 30, tzinfo=UTC)
YOLOX, VIDEO = MODELS / "yolox_nano.onnx", MEDIA / "one-by-one-person-detection.mp4"
PERSON = Box(100, 50, 140, 150, "person", 0.8)
STYLES = ["pixels", "blur", "black"]


class Model:
    """Returns the boxes that the test sets, and counts its calls."""

    def __init__(self) -> None:
        self.boxes: list[Box] = [PERSON]
        self.calls: list[dict[str, Any]] = []
        self.error: Exception | None = None

    def __call__(self, image: Any, **parameters: Any) -> list[Box]:
        self.calls.append(parameters)
        if self.error:
            raise self.error
        return self.boxes


@pytest.fixture
def models(monkeypatch: pytest.MonkeyPatch) -> dict[str, Model]:
    made = {"yolox-nano": Model(), "yunet": Model()}
    monkeypatch.setattr(privacy, "load_model", made.__getitem__)
    return made


def show(processor: Any, second: float = 0.0, image: Any = NOISE, zones: Any = ()) -> Any:
    return processor.process(
        frame(image, camera="gate", captured_at=BEGIN + timedelta(seconds=second), zones=zones)
    )


def is_shown(image: Any, rows: slice, columns: slice) -> bool:
    return bool((image[rows, columns] == NOISE[rows, columns]).all())


@pytest.mark.parametrize("style", STYLES)
def test_a_person_is_hidden_with_a_margin_and_the_rest_is_shown(
    start: Callable[..., Any], models: dict[str, Model], style: str
) -> None:
    shown = show(start(Privacy, style=style, margin=25))
    hidden = shown[25:175, 90:150]
    assert hidden.astype(int).std() < 25 < NOISE[25:175, 90:150].std()
    assert (
        abs(np.corrcoef(hidden.ravel(), NOISE[25:175, 90:150].ravel())[0, 1] if style != "black" else 0) < 0.3
    )
    assert is_shown(shown, slice(0, 180), slice(0, 85)) and is_shown(shown, slice(0, 180), slice(155, 320))
    assert models["yolox-nano"].calls == [{"score": 0.25, "labels": ["person"]}]
    assert models["yunet"].calls == []


@pytest.mark.parametrize("style", STYLES)
def test_large_objects_have_large_blocks(
    start: Callable[..., Any], models: dict[str, Model], style: str
) -> None:
    """A face that fills the image has too few blocks to be recognized."""
    models["yolox-nano"].boxes = [Box(20, 0, 300, 180, "person")]
    shown = show(start(Privacy, style=style))[:, 20:300]
    small = cv2.resize(shown, (7, 5), interpolation=cv2.INTER_AREA)
    again = cv2.resize(small, (280, 180), interpolation=cv2.INTER_LINEAR)
    assert np.abs(again.astype(int) - shown).mean() < 8, "a few numbers describe it"


def test_frames_between_detections_are_hidden_too(
    start: Callable[..., Any], models: dict[str, Model]
) -> None:
    processor = start(Privacy, detections_per_s=5)
    for number in range(50):
        shown = show(processor, number / 25)
        assert not is_shown(shown, slice(60, 140), slice(105, 135))
    assert 9 <= len(models["yolox-nano"].calls) <= 11


def test_a_place_stays_hidden_for_some_time_and_is_then_shown(
    start: Callable[..., Any], models: dict[str, Model]
) -> None:
    processor = start(Privacy, keep_s=1)
    show(processor)
    models["yolox-nano"].boxes = []
    shown = [show(processor, number / 5) for number in range(1, 10)]
    assert [is_shown(image, slice(0, 180), slice(0, 320)) for image in shown] == [False] * 5 + [True] * 4


def test_masks_are_hidden_and_other_zones_are_not(
    start: Callable[..., Any], models: dict[str, Model]
) -> None:
    zones = [
        Zone("window", "mask", [(0, 0), (0.25, 0), (0.25, 0.5), (0, 0.5)]),
        Zone("yard", "zone", [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]),
    ]
    shown = show(start(Privacy, persons=False), zones=zones)
    assert not is_shown(shown, slice(0, 90), slice(0, 80)) and is_shown(shown, slice(0, 180), slice(81, 320))
    assert shown[:90, :80].std() < 30
    assert not models["yolox-nano"].calls
    assert is_shown(show(start(Privacy, masks=False), zones=zones), slice(0, 90), slice(0, 80))


def test_faces_are_hidden_by_their_own_model(start: Callable[..., Any], models: dict[str, Model]) -> None:
    models["yunet"].boxes = [Box(-30, -20, 20, 30, "face"), Box(-30, -30, -20, -20, "face")]
    shown = show(start(Privacy, persons=False, faces=True))
    assert not is_shown(shown, slice(0, 30), slice(0, 20)) and is_shown(shown, slice(50, 180), slice(50, 320))
    assert models["yunet"].calls == [{"score": 0.25}]


def test_an_error_of_the_model_is_raised_instead_of_an_image(
    start: Callable[..., Any], models: dict[str, Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    processor = start(Privacy)
    models["yolox-nano"].error = ModelError("The model fails.")
    for second in range(3):
        with pytest.raises(ModelError):
            show(processor, second)
    monkeypatch.setattr(privacy, "load_model", load_model)
    with pytest.raises(ModelError):
        start(Privacy, model="none-such")


def test_frames_of_another_size_are_examined_at_once(
    start: Callable[..., Any], models: dict[str, Model]
) -> None:
    processor = start(Privacy)
    show(processor)
    show(processor, 0.01, NOISE[:90, :160])
    assert len(models["yolox-nano"].calls) == 2


def test_kept_boxes_are_bounded(start: Callable[..., Any], models: dict[str, Model]) -> None:
    models["yolox-nano"].boxes = [PERSON] * 100
    processor = start(Privacy, keep_s=10)
    for second in range(10):
        show(processor, second)
    assert len(processor.boxes) == privacy.MAX_KEPT


def test_options_that_hide_nothing_are_refused() -> None:
    fitted = fit_options(PrivacyOptions, {"persons": False, "masks": False})
    assert fitted.problems and fitted.values["persons"] and fitted.values["masks"]


@pytest.mark.skipif(not (YOLOX.exists() and VIDEO.exists()), reason="../shared has no YOLOX or no media.")
@pytest.mark.parametrize("style", STYLES)
def test_a_detector_finds_no_person_in_the_view_of_a_real_video(
    start: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, style: str
) -> None:
    detector = load_model(YOLOX)
    monkeypatch.setattr(privacy, "load_model", lambda name: detector)
    processor = start(Privacy, style=style)
    video = cv2.VideoCapture(str(VIDEO))
    video.set(cv2.CAP_PROP_POS_MSEC, 20_000)
    found: list[tuple[int, int]] = []
    for number in range(60):
        is_read, image = video.read()
        assert is_read
        before = image.copy()
        shown = show(processor, number / 10, image)
        if number % 6 == 5:
            found.append(tuple(len(detector(each, labels=["person"], score=0.4)) for each in (before, shown)))  # type: ignore[arg-type]
    assert sum(before for before, _ in found) >= 5
    assert sum(shown for _, shown in found) == 0
