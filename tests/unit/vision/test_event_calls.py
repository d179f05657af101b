"""Processors with `when="events"`: declared, kept out of views, called with an event and its snapshot."""

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from ninjacam.backtest.chain import find_chain
from ninjacam.core.errors import ConfigError, EncodeError, InvalidError, ViewNotFoundError
from ninjacam.core.event_calls import EventSnapshot, box_in_pixels
from ninjacam.core.processors import Processor, ProcessorRegistry, Registration, processor
from ninjacam.core.results import MAX_EVENT_DATA_BYTES, Result, to_event_data
from ninjacam.inference.search_models import describe_search_model, install_search_model
from ninjacam.supervision.crash_record import RunningFile, read_last_words
from ninjacam.vision import event_calls
from ninjacam.vision.chains import preceding_views, resolve_chain
from ninjacam.vision.code import ModuleFile, ProcessorCode
from ninjacam.vision.event_calls import EventCalls
from tests.harness import color_words

CODE = """
from pydantic import BaseModel
from ninjacam import Processor, Result, processor

@processor
def edges(frame):
    return frame.gray

@processor(after="plates")
def later(frame):
    return []

@processor(when="events", kinds="car", labels=["red", "blue"])
class Plates(Processor):
    class Options(BaseModel):
        text: str = "AB"

    def setup(self, camera, options):
        self.text, self.calls = options.text, 0

    def process_event(self, event, snapshot):
        self.calls += 1
        if event.label == "bad":
            raise ValueError("unreadable")
        shape = list(snapshot.crop(0).shape)
        data = {"text": self.text, "calls": self.calls, "crop": shape, "camera": self.camera, "at": str(event.start)}
        return Result(data=data, values={"width": snapshot.width})

@processor(when="events")
def plain(event, snapshot):
    return {"mean": float(snapshot.image.mean()), "box": snapshot.box, "end": event.end is None}

@processor(when="events")
def nothing(event, snapshot):
    pass
"""


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> ProcessorRegistry:
    fresh = ProcessorRegistry()
    monkeypatch.setattr("ninjacam.core.processors.registry", fresh)
    return fresh


@pytest.fixture
def code(registry: ProcessorRegistry, tmp_path: Path) -> Iterator[ProcessorCode]:
    path = tmp_path / "event_cams.py"
    path.write_text(CODE)
    path.chmod(0o600)
    yield ProcessorCode([ModuleFile("event_cams", path)], into=registry)
    sys.modules.pop("event_cams", None)


@pytest.fixture
def phases() -> list[str]:
    return []


@pytest.fixture
def calls(code: ProcessorCode, tmp_path: Path, phases: list[str]) -> EventCalls:
    return EventCalls(code, RunningFile(tmp_path / "events.running"), phases.append)


def question(path: Path, name: str = "plates", **changes: Any) -> dict[str, Any]:
    snapshot = path / "7.jpg"
    cv2.imwrite(str(snapshot), np.full((100, 200, 3), 128, np.uint8))
    event = {
        "id": 7, "camera": "gate", "kind": "car", "label": "red", "start_ns": 10**18, "end_ns": None, "score": 0.5,
        "track": 3, "box": [0.25, 0.2, 0.5, 0.6], "zones": ["drive"], "colors": ["red"], "data": {},
    }  # fmt: skip
    asked = {"processor": name, "options": {}, "ready_made": {}, "snapshot": str(snapshot), "captured_ns": 5}
    return {**asked, "event": event, **changes}


def test_a_class_gets_the_event_its_crop_and_its_options_and_keeps_its_state(
    calls: EventCalls, tmp_path: Path, phases: list[str]
) -> None:
    expected = {
        "text": "AB", "calls": 1, "crop": [40, 50, 3], "camera": "gate", "at": "2001-09-09 01:46:40+00:00",
        "width": 200.0,
    }  # fmt: skip
    assert calls.answer(question(tmp_path)) == {"result": expected}
    assert calls.answer(question(tmp_path))["result"]["calls"] == 2
    changed = calls.answer(question(tmp_path, options={"text": "CD"}))["result"]
    assert (changed["text"], changed["calls"]) == ("CD", 1)
    assert phases == ["setup", "call", "call", "call", "setup", "call"], "the third one is close()"


def test_a_function_gets_them_too_and_may_return_nothing(calls: EventCalls, tmp_path: Path) -> None:
    result = calls.answer(question(tmp_path, "plain"))["result"]
    assert result["box"] == [50, 20, 100, 60] and result["end"] and 126 < result["mean"] < 130
    assert calls.answer(question(tmp_path, "nothing")) == {"result": None}


def test_failures_are_answers(calls: EventCalls, tmp_path: Path) -> None:
    bad = question(tmp_path)
    bad["event"]["label"] = "bad"
    error = calls.answer(bad)["error"]
    assert (
        "ValueError: unreadable (event_cams.py, line" in error["message"]
        and "Traceback" in error["traceback"]
    )
    assert "No processor of events" in calls.answer(question(tmp_path, "gone"))["error"]["message"]
    assert "No processor of events" in calls.answer(question(tmp_path, "edges"))["error"]["message"]
    missing = calls.answer(question(tmp_path, snapshot=str(tmp_path / "none.jpg")))
    assert missing["error"]["code"] == "decode"
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8garbage")
    assert (
        calls.answer(question(tmp_path, snapshot=str(tmp_path / "broken.jpg")))["error"]["code"] == "decode"
    )
    assert "result" in calls.answer(question(tmp_path)), "later calls work"


def test_saved_code_and_a_broken_module_apply_to_the_next_call(
    calls: EventCalls, code: ProcessorCode, tmp_path: Path
) -> None:
    calls.answer(question(tmp_path))
    path = tmp_path / "event_cams.py"
    path.write_text(CODE.replace('"AB"', '"new default"'))
    assert calls.answer(question(tmp_path))["result"]["text"] == "new default"
    path.write_text(CODE + "\nboom boom")
    assert "does not load" in calls.answer(question(tmp_path))["error"]["message"]


def test_instances_are_bounded(calls: EventCalls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_calls, "MAX_INSTANCES", 2)
    for camera in ("a", "b", "c", "a"):
        asked = question(tmp_path)
        asked["event"]["camera"] = camera
        assert calls.answer(asked)["result"]["calls"] == 1
    assert len(calls._kept) == 2
    calls.close()
    assert not calls._kept


def test_user_code_that_runs_is_in_the_crash_record(
    code: ProcessorCode, tmp_path: Path, registry: ProcessorRegistry
) -> None:
    path, seen = tmp_path / "events.running", []
    calls = EventCalls(code, RunningFile(path), lambda phase: seen.append(read_last_words(path).running))
    module_code = CODE + "\n\n@processor(when='events')\ndef spy(event, snapshot):\n    look()\n"
    (tmp_path / "event_cams.py").write_text(module_code)
    code.refresh()
    sys.modules["event_cams"].look = lambda: seen.append(read_last_words(path).running)  # type: ignore[attr-defined]
    calls.answer(question(tmp_path, "spy"))
    assert seen[-1] == [("gate", "spy")] and read_last_words(path).running == []


def test_processors_of_events_have_no_view(code: ProcessorCode) -> None:
    code.refresh()
    assert code.views("gate") == ["edges", "later"]
    described = {each["name"]: each for each in code.describe()}
    assert described["plates"]["when"] == "events" and described["edges"]["when"] == "watched"
    assert (described["plates"]["kinds"], described["plates"]["labels"]) == (["car"], ["red", "blue"])
    with pytest.raises(ViewNotFoundError):
        resolve_chain(code.current, "plates", "gate")
    assert preceding_views(code.current, "later", "gate") == []
    with pytest.raises(InvalidError, match="events instead of frames"):
        find_chain(code.current, "plates", "gate")


def test_one_that_does_not_load_has_no_view_either(code: ProcessorCode, tmp_path: Path) -> None:
    code.refresh()
    (tmp_path / "event_cams.py").write_text("boom boom")
    code.refresh()
    assert code.views("gate") == ["edges", "later"]


@pytest.mark.parametrize(
    "arguments",
    [{"fps": 5}, {"width_px": 640}, {"record": True}, {"after": "x"}, {"warm_up_s": 0}],
)
def test_settings_of_frames_are_refused(registry: ProcessorRegistry, arguments: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="receives no frames"):
        processor(when="events", **arguments)


def test_filters_need_events_and_classes_need_the_method(registry: ProcessorRegistry) -> None:
    with pytest.raises(ConfigError, match="kinds"):
        processor(kinds="car")

    with pytest.raises(ConfigError, match="process_event"):

        @processor(when="events")
        class Wrong(Processor):
            def process(self, frame: Any) -> Any: ...

    @processor(when="events")
    class Right(Processor):
        def process_event(self, event: Any, snapshot: Any) -> Any: ...

    entry = registry.get("right")
    assert isinstance(entry, Registration) and not entry.has_view and (entry.kinds, entry.labels) == ((), ())


@pytest.mark.parametrize(
    ("returned", "stored"),
    [
        (None, None),
        (Result(), {}),
        ({"a": 1}, {"a": 1}),
        (Result(data={"a": (1, 2)}, values={"n": np.float32(0.5)}), {"a": [1, 2], "n": 0.5}),
        (Result(values={"n": 1}), {"n": 1.0}),
    ],
)
def test_what_is_stored(returned: Any, stored: Any) -> None:
    assert to_event_data(returned) == stored


@pytest.mark.parametrize(
    "returned",
    [
        [1],
        "text",
        np.zeros((2, 2)),
        Result(data=[1]),
        Result(annotations=[]),
        Result(image=np.zeros((2, 2))),
        {"a": float("nan")},
        {"a": object()},
        {"a": "\0"},
        {"a": "x" * MAX_EVENT_DATA_BYTES},
        {"a": [[[[[[[[[1]]]]]]]]]},
        Result(values={"Not a name": 1}),
    ],
)
def test_what_cannot_be_stored_is_refused(returned: Any) -> None:
    with pytest.raises(EncodeError):
        to_event_data(returned)


@pytest.mark.parametrize(
    ("box", "margin", "expected"),
    [
        ((0.25, 0.2, 0.5, 0.6), 0, (50, 20, 100, 60)),
        ((0.25, 0.2, 0.5, 0.6), 0.1, (45, 15, 105, 65)),
        ((0, 0, 1, 1), 0.5, (0, 0, 200, 100)),
        ((0.5, 0.5, 0.5, 0.5), 0, (100, 50, 101, 51)),
        ((1, 1, 1, 1), 0, (199, 99, 200, 100)),
        ((0.5, 0.6, 0.25, 0.2), 0, (50, 20, 100, 60)),
    ],
)
def test_boxes_stay_inside_of_the_image(box: Any, margin: float, expected: Any) -> None:
    assert box_in_pixels(box, 200, 100, margin) == expected


def test_a_snapshot_without_an_object_is_its_own_crop() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    snapshot = EventSnapshot(image, captured_ns=1_000_000_000)
    crop = snapshot.crop()
    crop[:] = 9
    assert snapshot.box is None and crop.shape == image.shape and not image.any()
    assert snapshot.captured_at.timestamp() == 1


def test_a_snapshot_is_mapped_to_a_vector_without_loading_user_code(
    calls: EventCalls, tmp_path: Path, phases: list[str]
) -> None:
    files = color_words.write_files(tmp_path / "files")
    spec = describe_search_model(*files, "clip")
    tried = {"dimensions": color_words.VECTOR, "engine": "x"}
    model = install_search_model(tmp_path / "models", files, "colors", spec, lambda made: tried)
    image = np.full((200, 400, 3), (0, 255, 0), np.uint8)
    image[60:110, 100:150] = (0, 0, 255)
    cv2.imwrite(str(tmp_path / "7.jpg"), image)
    asked = {"search_model": model.as_dict(), "snapshot": str(tmp_path / "7.jpg"), "camera": "gate"}
    whole, around = (
        np.frombuffer(base64.b64decode(calls.answer({**asked, "box": box})["result"]), "<f2")
        for box in (None, [0.25, 0.3, 0.375, 0.55])
    )
    assert len(whole) == color_words.VECTOR and around[0] > whole[0] + 0.1, "the object is red"
    assert phases == ["setup", "call", "call"], "the network was loaded once"
    assert "event_cams" not in sys.modules
    missing = calls.answer({**asked, "box": None, "snapshot": str(tmp_path / "none.jpg")})
    assert missing["error"]["code"] == "decode"
    (model.directory / "image.onnx").write_bytes(color_words.image_network(vector=5))
    (tmp_path / "models" / "colors").rename(tmp_path / "models" / "other")
    moved = {**model.as_dict(), "directory": str(tmp_path / "models" / "other")}
    assert calls.answer({**asked, "search_model": moved, "box": None})["error"]["code"] == "model"
