"""The table of the engine's children."""

import importlib.util
from dataclasses import replace

import pytest

from ninjacam.core.zones import Zone
from ninjacam.engine.kinds import KINDS, ProcessKind, Situation
from ninjacam.engine.plan import make_plan
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.sources.base import SourceConfig

CAMERAS = tuple(
    CameraSpec(slug, number, slug, SourceConfig("rtsp://camera/1")) for number, slug in enumerate("ab")
)


def situation(*, has_jobs: bool = False, quarantined: tuple[str, ...] = ()) -> Situation:
    plan = make_plan(CAMERAS, {}, cameras_per_capture=16, vision_workers=2, place_of=lambda _: "")
    entries = [{"camera": slug, "view": "edges"} for slug in quarantined]
    return Situation(WantedState(CAMERAS, has_jobs=has_jobs), plan, entries)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_has_an_entry_point_and_names_its_processes_after_itself(kind: ProcessKind) -> None:
    assert importlib.util.find_spec(kind.entry.module) is not None
    work = kind.work(situation(has_jobs=True))
    assert work
    assert all(name.partition("-")[0] == kind.name for name in work)


def test_the_process_that_first_decodes_camera_data_has_no_secrets() -> None:
    assert [kind.name for kind in KINDS.values() if kind.entry.bare] == ["capture"]
    assert not [kind.name for kind in KINDS.values() if kind.reads_cameras and not kind.entry.bare]


def test_the_export_worker_runs_while_it_is_wanted() -> None:
    assert KINDS["jobs"].work(situation()) == {}
    assert KINDS["jobs"].work(situation(has_jobs=True)) == {"jobs-1": {"cameras": []}}


def test_a_vision_worker_gets_the_quarantine_of_its_own_cameras() -> None:
    work = KINDS["vision"].work(situation(quarantined=("a",)))
    assert {name: each["quarantined"] for name, each in work.items()} == {
        "vision-1": [{"camera": "a", "view": "edges"}],
        "vision-2": [],
    }


@pytest.mark.parametrize(("preset", "names"), [("", ["any"]), ("1", ["any", "gate"]), ("2", ["any", "yard"])])
def test_a_vision_worker_gets_the_zones_of_the_preset_at_which_the_camera_is(
    preset: str, names: list[str]
) -> None:
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]
    zones = tuple(
        Zone(name, "zone", corners, preset=token)
        for name, token in (("any", ""), ("gate", "1"), ("yard", "2"))
    )
    before = situation()
    cameras = tuple(replace(camera, zones=zones) for camera in before.plan.vision["vision-1"])
    plan = replace(before.plan, vision={"vision-1": cameras})
    (camera,) = KINDS["vision"].work(replace(before, plan=plan, presets={"a": preset}))["vision-1"]["cameras"]
    assert [zone["name"] for zone in camera["zones"]] == names
