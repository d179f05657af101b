"""The ready-made processor `text`: with a fake reader, and with real networks where rapidocr is installed."""

import json
import sys
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import Any

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from ninjacam import EventRecord, EventSnapshot
from ninjacam.core.errors import ConfigError, ProcessorError
from ninjacam.core.processors import Registration, registry
from ninjacam.core.results import MAX_EVENT_DATA_BYTES, to_event_data
from ninjacam.processors import text
from ninjacam.processors.text import FoundText, TextOptions
from ninjacam.vision.calling import call_event_processor, new_processor

needs_rapidocr = pytest.mark.skipif(
    find_spec("rapidocr") is None, reason="rapidocr is not installed: pip install 'ninjacam[text]'"
)
EVENT = EventRecord(7, "gate", "car", "car", datetime(2026, 12, 1, tzinfo=UTC))
BOX = (0.3, 0.4, 0.7, 0.6)


class FakeReader:
    found: tuple[FoundText, ...] = (FoundText("AB 1234", 0.97), FoundText("TAXI", 0.8), FoundText("~", 0.2))
    shapes: list[tuple[int, ...]]

    def read(self, image: Any) -> list[FoundText]:
        self.shapes.append(image.shape)
        return list(self.found)


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> FakeReader:
    made = FakeReader()
    made.shapes = []
    monkeypatch.setattr(text, "TextReader", lambda: made)
    return made


def read(
    options: dict[str, Any] | None = None, image: Any = None, box: Any = BOX, event: EventRecord = EVENT
) -> Any:
    entry = registry.get("text")
    assert isinstance(entry, Registration)
    made = new_processor(entry, "gate", options).processor
    shown = np.zeros((100, 200, 3), np.uint8) if image is None else image
    return call_event_processor(made, "text", event, EventSnapshot(shown, box=box))


def test_good_texts_are_stored_with_their_scores(reader: FakeReader) -> None:
    assert read() == {"texts": ["AB 1234", "TAXI"], "scores": [0.97, 0.8]}
    assert read({"min_score": 0.9}) == {"texts": ["AB 1234"], "scores": [0.97]}
    assert read({"min_score": 0.99}) is None


def test_only_the_object_is_read_unless_the_option_is_off_or_there_is_none(reader: FakeReader) -> None:
    read()
    read({"crop": False})
    read(box=None)
    assert reader.shapes == [(36, 96, 3), (100, 200, 3), (100, 200, 3)]


def test_a_pattern_keeps_the_matching_part(reader: FakeReader) -> None:
    reader.found = (FoundText("D  AB 1234 x", 0.9), FoundText("TAXI", 0.8), FoundText("", 0.9))
    assert read({"pattern": r"[A-Z]{2} ?\d{4}"}) == {"texts": ["AB 1234"], "scores": [0.9]}
    assert read({"pattern": "x*"}) is None, "an empty match does not count"


def test_a_pattern_that_takes_too_long_is_an_error(
    reader: FakeReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text, "MATCH_S", 0.05)
    reader.found = (FoundText("a" * 90 + "b", 0.9),)
    with pytest.raises(ProcessorError, match="takes too long"):
        read({"pattern": "(a|aa)+$"})
    assert read({"pattern": "ab"}) == {"texts": ["ab"], "scores": [0.9]}, "the limit is off again"


@pytest.mark.parametrize("pattern", ["(", "x" * 201, "[z-a]"])
def test_invalid_patterns_are_refused(pattern: str) -> None:
    with pytest.raises(ValidationError):
        TextOptions.model_validate({"pattern": pattern})


def test_kinds_select_events(reader: FakeReader) -> None:
    assert read({"kinds": ["truck"]}) is None and not reader.shapes
    assert read({"kinds": ["truck", "car"]}) is not None


def test_control_characters_and_long_texts_fit_into_an_event(reader: FakeReader) -> None:
    many = [FoundText(f"{number}\0\u202e" + "한" * 400, 0.7 + number / 1000) for number in range(90)]
    reader.found = (*many, FoundText("plate", 0.99))
    stored = read()
    assert stored["texts"][-1] == "plate" and len(json.dumps(stored)) <= MAX_EVENT_DATA_BYTES
    assert to_event_data(stored) == stored and not any(
        each in "".join(stored["texts"]) for each in "\0\u202e"
    )
    reader.found = tuple(FoundText(f"{number}", 0.9) for number in range(50))
    assert len(read()["texts"]) == text.MAX_TEXTS


def test_a_missing_package_is_one_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(ProcessorError) as raised:
        read()
    assert raised.value.message == (
        "text: The package rapidocr is not installed. Install it with: pip install 'ninjacam[text]'."
    )
    assert not raised.value.traceback
    with pytest.raises(ConfigError):
        text.TextReader()


@needs_rapidocr
def test_a_plate_on_a_car_is_read_by_real_networks() -> None:
    image = np.full((720, 1280, 3), 90, np.uint8)
    cv2.rectangle(image, (560, 380), (720, 412), (240, 240, 240), -1)
    cv2.putText(image, "AB 1234 C", (568, 404), cv2.FONT_HERSHEY_SIMPLEX, 0.8, (20, 20, 20), 2)
    cv2.putText(image, "2026-12-01 CAMERA", (20, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, (255, 255, 255), 2)
    stored = read({"pattern": r"[A-Z]{2} ?\d{4} ?[A-Z]"}, image)
    (plate,) = stored["texts"]
    assert plate.replace(" ", "") == "AB1234C" and stored["scores"][0] > 0.7
    whole = read({"crop": False}, image)
    assert any("CAMERA" in each for each in whole["texts"]), "the clock is outside of the object"


@needs_rapidocr
def test_real_networks_find_nothing_where_there_is_nothing() -> None:
    assert read(image=np.full((90, 160, 3), 120, np.uint8)) is None
    assert read(image=np.zeros((1, 1, 3), np.uint8)) is None
