from collections.abc import Collection, Mapping
from dataclasses import replace

from ninjacam.engine.engine import _place_of
from ninjacam.engine.kinds import KINDS, Situation
from ninjacam.engine.plan import OWN_CAPTURE, PUBLISHED_CAPTURE, ProcessPlan, make_plan
from ninjacam.engine.specs import CameraSpec, StreamSpec, WantedState
from ninjacam.sources.base import SourceConfig


def cameras(*slugs: str, scheme: str = "rtsp", enabled: bool = True) -> list[CameraSpec]:
    return [
        CameraSpec(slug, number, slug, SourceConfig(f"{scheme}://camera/{slug}"), enabled, "1")
        for number, slug in enumerate(slugs)
    ]


def plan(
    wanted: list[CameraSpec],
    running: Mapping[str, Collection[str]] | None = None,
    *,
    per_capture: int = 2,
    workers: int = 2,
) -> ProcessPlan:
    return make_plan(
        wanted,
        running or {},
        cameras_per_capture=per_capture,
        vision_workers=workers,
        place_of=lambda camera: {"rtsp": "", "push": PUBLISHED_CAPTURE}.get(
            camera.source.url.partition(":")[0], f"{OWN_CAPTURE}{camera.slug}"
        ),
    )


def held(mapping: Mapping[str, tuple[CameraSpec, ...]]) -> dict[str, list[str]]:
    return {name: [camera.slug for camera in cameras] for name, cameras in mapping.items()}


def test_cameras_share_capture_processes_up_to_the_limit() -> None:
    assert held(plan(cameras("a", "b", "c", "d", "e")).capture) == {
        "capture-1": ["a", "b"],
        "capture-2": ["c", "d"],
        "capture-3": ["e"],
    }


def test_a_camera_with_native_code_has_its_own_process() -> None:
    assert held(plan([*cameras("a"), *cameras("f", scheme="srt")]).capture) == {
        "capture-1": ["a"],
        "capture-own-f": ["f"],
    }


def test_running_cameras_stay_in_their_process() -> None:
    running = {"capture-2": ["c", "d"], "vision-2": ["c"], "vision-1": ["d"]}
    made = plan(cameras("a", "b", "c", "d"), running)
    assert held(made.capture)["capture-2"] == ["c", "d"]
    assert held(made.vision) == {"vision-1": ["d", "a"], "vision-2": ["c", "b"]} or (
        "c" in held(made.vision)["vision-2"] and "d" in held(made.vision)["vision-1"]
    )


def test_a_free_slot_is_filled_before_a_process_is_added() -> None:
    assert held(plan(cameras("a", "x", "c"), {"capture-1": ["a", "b"], "capture-2": ["c"]}).capture) == {
        "capture-1": ["a", "x"],
        "capture-2": ["c"],
    }


def test_disabled_cameras_have_no_process() -> None:
    made = plan(cameras("a", enabled=False))
    assert made.capture == {}
    assert held(made.vision) == {"vision-1": []}, "one worker stays, to know the processors"


def test_a_camera_that_cannot_run_is_not_assigned() -> None:
    broken = replace(
        cameras("a")[0], error={"code": "config", "message": "The key is lost.", "retryable": False}
    )
    assert plan([broken]).capture == {}


def test_no_more_vision_workers_than_cameras() -> None:
    assert list(plan(cameras("a"), workers=4).vision) == ["vision-1"]


def test_a_camera_that_changes_to_native_code_moves() -> None:
    assert held(plan(cameras("a", scheme="http"), {"capture-1": ["a"]}).capture) == {"capture-own-a": ["a"]}


def test_the_work_of_a_camera_contains_its_usable_streams() -> None:
    good = StreamSpec("sub", SourceConfig("rtsp://camera/2"), "r2", width_px=640)
    bad = StreamSpec("broken", SourceConfig("rtsp://camera/3"), error={"code": "config", "message": ""})
    camera = replace(
        cameras("a")[0], streams=(good, bad), width_px=1920, record_stream="sub", detect_stream="sub"
    )
    situation = Situation(WantedState((camera,)), plan([camera]), [])
    (capture,) = KINDS["capture"].work(situation)["capture-1"]["cameras"]
    assert [(each["name"], each["revision"]) for each in capture["streams"]] == [("sub", "r2")]
    assert capture["record_stream"] == "sub"
    (vision,) = KINDS["vision"].work(situation)["vision-1"]["cameras"]
    assert vision["streams"] == [{"name": "main", "width_px": 1920}, {"name": "sub", "width_px": 640}]
    assert vision["detect_stream"] == "sub"


def test_a_camera_gets_its_own_process_if_one_of_its_streams_needs_it() -> None:
    native = StreamSpec("sub", SourceConfig("http://camera/video.m3u8"))
    plain = cameras("a")[0]
    assert _place_of(plain) == ""
    assert _place_of(replace(plain, streams=(native,))) == f"{OWN_CAPTURE}a"
