"""Zones on their way to a processor: the assignment of a vision worker, and recordings."""

import json
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from ninjacam import Frame, Zone
from ninjacam.core.processors import FunctionProcessor, Registration
from ninjacam.core.zones import Zones
from ninjacam.engine.kinds import KINDS, Situation
from ninjacam.engine.plan import make_plan
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.models import Camera, CameraZone
from ninjacam.processes import export_job
from ninjacam.sources.base import SourceConfig
from ninjacam.vision.calling import RecordedView

LAWN = Zone("lawn", "zone", [(0, 0.5), (1, 0.5), (1, 1), (0, 1)], inertia_s=2, preset="7")


def registration(function: Any) -> Any:
    entry = Registration("see", lambda: FunctionProcessor(function), ("*",), "cameras")
    return SimpleNamespace(current={"see": entry})


def paint(frame: Frame) -> None:
    frame.image[frame.zones.mask("lawn")] = 255


def test_the_assignment_of_a_vision_worker_contains_them() -> None:
    spec = CameraSpec("a", 1, "a", SourceConfig("rtsp://camera/1"), zones=(LAWN,))
    plan = make_plan([spec], {}, cameras_per_capture=16, vision_workers=1, place_of=lambda _: "")
    work = KINDS["vision"].work(Situation(WantedState((spec,)), plan, [], presets={"a": LAWN.preset}))
    (camera,) = json.loads(json.dumps(work["vision-1"]))["cameras"]
    assert [Zone(**each) for each in camera["zones"]] == [LAWN]
    capture = KINDS["capture"].work(Situation(WantedState((spec,)), plan, []))
    assert "zones" not in str(capture)


def test_a_view_of_a_recording_has_them() -> None:
    view = RecordedView("gate", "see", registration(paint), zones=Zones([LAWN]))
    drawn = view.draw(av.VideoFrame.from_ndarray(np.zeros((36, 64, 3), np.uint8), "bgr24"), 0, 0, 0.0)
    assert drawn[:18].max() < 10 and drawn[19:].min() == 255
    without = RecordedView("gate", "see", registration(paint))
    assert (
        without.draw(av.VideoFrame.from_ndarray(np.zeros((36, 64, 3), np.uint8), "bgr24"), 0, 0, 0).max() < 10
    )


@pytest.mark.django_db
def test_an_export_reads_them_from_the_database(camera: Camera, monkeypatch: pytest.MonkeyPatch) -> None:
    CameraZone.objects.create(camera=camera, name="lawn", points=[list(point) for point in LAWN.fractions])
    CameraZone.objects.create(camera=camera, name="broken", points="nonsense")
    found: dict[str, Zones] = {}

    class View:
        def __init__(self, slug: str, view: str, code: Any, options: Any, zones: Zones) -> None:
            found[slug] = zones

    code = SimpleNamespace(refresh=lambda: None)
    monkeypatch.setattr("ninjacam.vision.calling.RecordedView", View)
    monkeypatch.setattr("ninjacam.vision.code.ProcessorCode", lambda modules: code)
    monkeypatch.setattr("ninjacam.events.send_to", lambda receiver: None)
    for slug in ("door", "deleted"):
        export_job._load_view(slug, "see")
    assert list(found["door"]) == ["lawn"] and list(found["deleted"]) == []
