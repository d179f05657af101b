"""Each recipe of docs/cookbook.md runs, and does what it promises."""

import re
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from django.core import mail
from django.db import connection

from ninjacam import EventRecord, EventSnapshot, Frame, Result, Zone, events
from ninjacam.core.annotations import Box
from ninjacam.core.options import options_model_of
from ninjacam.core.processors import ProcessorRegistry
from ninjacam.core.results import to_event_data
from ninjacam.models import Camera
from ninjacam.testing import frame, run_processor

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "cookbook.md").read_text()
MEDIA, MODELS = ROOT.parent / "shared" / "media", ROOT.parent / "shared" / "models"
START = datetime(2026, 11, 30, 12, tzinfo=UTC)
WHOLE = [(0, 0), (1, 0), (1, 1), (0, 1)]
RIGHT_HALF = [(0.5, 0), (1, 0), (1, 1), (0.5, 1)]


def blocks() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The app of recipe 5, whose model the page defines."""
    from django.apps import apps

    (source,) = (block for block in blocks() if "class Passage(" in block)
    made = ModuleType("shop.models")
    meta = "(models.Model):\n    class Meta:\n        app_label = 'shop'\n"
    source = source.replace("(models.Model):", meta)
    monkeypatch.setattr(apps, "all_models", {**apps.all_models, "shop": {}})
    exec(compile(source, "cookbook.md", "exec"), made.__dict__)
    monkeypatch.setitem(sys.modules, "shop", ModuleType("shop"))
    monkeypatch.setitem(sys.modules, "shop.models", made)
    return made


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch, shop: ModuleType) -> ModuleType:
    monkeypatch.setattr("ninjacam.core.processors.registry", ProcessorRegistry())
    made = ModuleType("cookbook")
    for source in blocks():
        if "class Passage(" not in source:
            exec(compile(source, "cookbook.md", "exec"), made.__dict__)
    return made


def make(processor: Any, options: dict[str, Any] | None = None) -> Any:
    made = processor()
    model = options_model_of(processor)
    made.setup("gate", model(**(options or {})) if model else None)
    return made


def walk(seconds: float = 8, *, fps: int = 10, zones: Iterable[Zone] = ()) -> Iterator[Frame]:
    """Yield frames in which a bright rectangle moves from left to right from 2 to 6 s, and then stops."""
    noise = np.random.default_rng(1)
    shapes = list(zones)
    for number in range(round(seconds * fps)):
        image = noise.integers(60, 64, (360, 640), np.uint8)
        at_s = number / fps
        if at_s >= 2:
            x = 20 + round(120 * (min(at_s, 6) - 2))
            image[200:300, x : x + 60] = 220
        yield frame(
            image, camera="gate", number=number, captured_at=START + timedelta(seconds=at_s), zones=shapes
        )


def still(image: np.ndarray, at_s: float = 0, zones: Iterable[Zone] = (), **others: Any) -> Frame:
    return frame(
        image, camera="gate", captured_at=START + timedelta(seconds=at_s), zones=list(zones), **others
    )


class FakeDetector:
    """Takes the place of a network: finds these boxes."""

    def __init__(self) -> None:
        self.boxes: list[Box] = []

    def __call__(self, image: np.ndarray, **_: Any) -> list[Box]:
        return self.boxes


@pytest.fixture
def detector(module: ModuleType) -> FakeDetector:
    made = FakeDetector()
    vars(module)["load_model"] = lambda name: made
    return made


def test_there_are_thirteen_recipes_and_the_registry_accepts_all(module: ModuleType) -> None:
    assert len(re.findall(r"^## \d+\. ", TEXT, re.MULTILINE)) == 13
    from ninjacam.core import processors

    assert {each.name for each in processors.registry} == {
        "motion_in_zones", "people_counter", "reader", "people", "private", "passages", "heat_map", "parking",
        "timelapse", "loitering", "lamp", "gauge", "plates",
    }  # fmt: skip


def test_1_motion_counts_only_in_zones_and_without_zones_everywhere(module: ModuleType) -> None:
    everywhere, right = make(module.MotionInZones), make(module.MotionInZones)
    zone = Zone("lawn", "zone", RIGHT_HALF)
    found = [everywhere.process(each) for each in walk()]
    in_zone = [right.process(each) for each in walk(zones=[zone])]
    assert sum(map(bool, found)) > sum(map(bool, in_zone)) > 5
    assert all((box.left + box.right) / 2 >= 320 for boxes in in_zone for box in boxes)


def test_2_people_are_counted_in_both_directions(module: ModuleType, detector: FakeDetector) -> None:
    counter = make(module.PeopleCounter)
    door = [Zone("door", "line", [(0.5, 1), (0.5, 0)])]
    image = np.zeros((360, 640, 3), np.uint8)
    values = {}
    for number, x in enumerate([*range(100, 500, 20), *range(500, 100, -20)]):
        detector.boxes = [Box(x, 100, x + 50, 200, "person", score=0.9)]
        result = counter.process(still(image, number / 5, door, number=number))
        values = dict(result.values)
    assert values == {"in": 1, "out": 1} and result.annotations[0].track == 1


def test_2_people_are_counted_in_real_video(module: ModuleType) -> None:
    clip, weights = MEDIA / "one-by-one-person-detection.mp4", MODELS / "yolox_nano.onnx"
    if not (clip.exists() and weights.exists()):
        pytest.skip("../shared has no videos or models.")
    from ninjacam import load_model

    labels = (MODELS / "coco80.txt").read_text().split("\n")[:80]
    vars(module)["load_model"] = lambda name: load_model(str(weights), decoder="yolox", labels=labels)
    door = Zone("door", "line", [(0.5, 1), (0.5, 0)])
    run = run_processor(module.PeopleCounter, clip, zones=[door], end_s=20)
    assert not run.errors
    assert run.values("in")[-1] + run.values("out")[-1] >= 1


def test_3_slow_code_delays_no_frame_and_each_text_is_one_event(
    module: ModuleType, created: list[Any]
) -> None:
    code = cv2.copyMakeBorder(
        cv2.resize(cv2.QRCodeEncoder.create().encode("parcel 17"), None, fx=6, fy=6, interpolation=0),
        40, 40, 40, 40, cv2.BORDER_CONSTANT, value=255,
    )  # fmt: skip
    image = np.full((360, 640), 255, np.uint8)
    image[: code.shape[0], : code.shape[1]] = code
    reader = make(module.Reader)
    seen = []
    for number in range(5):
        seen = reader.process(still(image, number / 5, number=number))
        reader.job.result()
    reader.close()
    assert [(event.kind, event.label) for event in created] == [("text", "parcel 17")]
    assert seen[0].text == "parcel 17"


def test_3_while_the_thread_works_frames_return_at_once(module: ModuleType, created: list[Any]) -> None:
    from threading import Event

    release = Event()
    calls: list[int] = []

    def wait(image: np.ndarray) -> str:
        calls.append(1)
        release.wait(30)
        return ""

    vars(module)["read_slowly"] = wait
    reader = make(module.Reader)
    for number in range(5):
        assert reader.process(still(np.zeros((36, 64), np.uint8), number=number)) == []
    release.set()
    reader.close()
    assert len(calls) <= 1


def test_4_people_are_unrecognizable_and_the_rest_is_unchanged(module: ModuleType) -> None:
    image = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
    boxes = [Box(-20, 100, 60, 250, "person"), Box(600, 300, 700, 400, "person")]
    shown = still(image, results={"people": Result(annotations=boxes)})
    before = shown.image.copy()
    module.private(shown)
    for rows, columns in ((slice(100, 250), slice(0, 60)), (slice(300, 360), slice(600, 640))):
        assert len(np.unique(shown.image[rows, columns].reshape(-1, 3), axis=0)) <= 36
    assert (shown.image[:, 70:590] == before[:, 70:590]).all()


@pytest.mark.django_db(transaction=True)
def test_5_each_visit_is_a_row(module: ModuleType, shop: ModuleType) -> None:
    with connection.schema_editor() as editor:
        editor.create_model(shop.Passage)
    try:
        passages = make(module.Passages)
        for each in walk(16):
            passages.process(each)
        (row,) = shop.Passage.objects.all()
        assert row.camera == "gate" and 3 < row.seconds < 9
        assert START < row.started_at < START + timedelta(seconds=4)
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(shop.Passage)


@pytest.mark.django_db(transaction=True)
def test_6_an_event_sends_an_e_mail(module: ModuleType) -> None:
    from ninjacam.signals import event_begun

    Camera.objects.create(slug="gate", name="Gate", url="rtsp://127.0.0.1/")
    module.connect()
    try:
        events.create("gate", "person", label="Ada", start=START)
        events.create("gate", "motion", start=START)
        module.mail_thread.shutdown(wait=True)
    finally:
        assert event_begun.disconnect(dispatch_uid="mail")
    (message,) = mail.outbox
    assert message.subject == "Ada at gate" and "/cam/cameras/gate/" in message.body


def test_7_the_map_is_red_where_things_move(module: ModuleType) -> None:
    heat_map = make(module.HeatMap)
    for each in walk():
        image = heat_map.process(each)
    moved, quiet = (
        image[220:280, 505:555].reshape(-1, 3).mean(0),
        image[20:100, 100:300].reshape(-1, 3).mean(0),
    )
    assert image.dtype == np.uint8 and image.shape == (360, 640, 3)
    assert quiet[0] > 80 > quiet[2] and moved[2] > quiet[2] + 20


def test_8_spaces_with_a_vehicle_are_taken(module: ModuleType, detector: FakeDetector) -> None:
    zones = [Zone("left", "zone", [(0, 0), (0.5, 0), (0.5, 1), (0, 1)]), Zone("right", "zone", RIGHT_HALF)]
    parking = make(module.Parking)
    detector.boxes = [Box(400, 100, 600, 300, "car")]
    result = parking.process(still(np.zeros((360, 640, 3), np.uint8), zones=zones))
    assert dict(result.values) == {"free": 1, "taken": 1}
    assert {each.label: each.color for each in result.annotations} == {"left": "#2ca02c", "right": "#d62728"}


def test_9_one_image_a_minute_and_no_more_than_allowed(module: ModuleType, tmp_path: Path) -> None:
    module.Timelapse.directory, module.Timelapse.max_files = tmp_path, 3
    timelapse = make(module.Timelapse)
    for number in range(5 * 60 + 1):
        timelapse.process(still(np.full((36, 64, 3), 90, np.uint8), number))
    names = sorted(path.name for path in (tmp_path / "gate").iterdir())
    assert names == [f"2026-11-30 12-0{minute}-00.jpg" for minute in (3, 4, 5)]
    saved = cv2.imread(str(tmp_path / "gate" / names[0]))
    assert saved is not None and saved.shape == (36, 64, 3)


def test_10_loitering_is_reported_once(module: ModuleType, created: list[Any]) -> None:
    zone = Zone("entrance", "zone", WHOLE, loitering_s=4)
    loitering = make(module.Loitering)
    inside = [loitering.process(each).values["inside"] for each in walk(14, zones=[zone])]
    assert [event.kind for event in created] == ["loitering"] and max(inside) == 1


def test_11_a_red_lamp_is_one_event_until_it_is_off(module: ModuleType, created: list[Any]) -> None:
    zone = Zone("lamp", "zone", [(0.4, 0.4), (0.6, 0.4), (0.6, 0.6), (0.4, 0.6)])
    red = np.zeros((360, 640, 3), np.uint8)
    red[:] = (20, 20, 230)
    green = np.zeros((360, 640, 3), np.uint8)
    green[:] = (20, 230, 20)
    lamp = make(module.Lamp)
    shown = [green, red, red, red, green, green]
    values = [lamp.process(still(image, number, [zone])).values["red"] for number, image in enumerate(shown)]
    assert values == [False, True, True, True, False, False]
    begun, ended = created
    assert begun.kind == "lamp" and begun.key == ended.key
    assert ended.end_ns - begun.start_ns == 3 * 10**9


@pytest.mark.parametrize("value", [0.5, 2.5, 5.0, 8.75])
def test_12_the_needle_is_read(module: ModuleType, value: float) -> None:
    image = np.full((400, 600, 3), 240, np.uint8)
    cv2.circle(image, (300, 200), 150, (40, 40, 40), 6)
    angle = np.deg2rad(-135 + 27 * value)
    tip = (round(300 + 120 * np.sin(angle)), round(200 - 120 * np.cos(angle)))
    cv2.line(image, (300, 200), tip, (10, 10, 10), 5)
    zone = Zone("gauge", "zone", [(0.25, 0.125), (0.75, 0.125), (0.75, 0.875), (0.25, 0.875)])
    result = make(module.Gauge).process(still(image, zones=[zone]))
    assert result.values["value"] == pytest.approx(value, abs=0.1)


def plate_snapshot() -> EventSnapshot:
    image = np.full((720, 1280, 3), 90, np.uint8)
    cv2.rectangle(image, (540, 370), (740, 420), (240, 240, 240), -1)
    cv2.putText(image, "AB 1234 C", (556, 405), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (20, 20, 20), 2)
    return EventSnapshot(image, box=(0.3, 0.4, 0.7, 0.7))


def test_13_plates_of_events_are_read(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []

    class Engine:
        def __call__(self, image: np.ndarray) -> Any:
            shapes.append(image.shape)
            texts = ("AB 1234", "TAXI") if len(shapes) == 1 else None
            return SimpleNamespace(txts=texts, scores=texts and (0.97, 0.8))

    fake = ModuleType("rapidocr")
    vars(fake)["RapidOCR"] = Engine
    monkeypatch.setitem(sys.modules, "rapidocr", fake)
    plates, event = make(module.Plates), EventRecord(7, "gate", "car", "car", START)
    stored = [to_event_data(plates.process_event(event, plate_snapshot())) for _ in range(2)]
    assert stored == [{"texts": ["AB 1234", "TAXI"], "best": 0.97}, None]
    assert shapes[0][1] < 800, "only the object"


@pytest.mark.skipif(
    find_spec("rapidocr") is None, reason="rapidocr is not installed: pip install 'ninjacam[text]'"
)
def test_13_plates_of_events_are_read_by_real_networks(module: ModuleType) -> None:
    event = EventRecord(7, "gate", "car", "car", START)
    stored = to_event_data(make(module.Plates).process_event(event, plate_snapshot()))
    assert stored is not None and "AB1234C" in [text.replace(" ", "") for text in stored["texts"]]
