from typing import Any

import pytest
from django.test import override_settings

from ninjacam.front_door.mount import MountPoint, Target
from ninjacam.routes import ROUTES_BY_NAME

UUID = "1c9e6679-7425-40de-944b-e07fc1f90ae7"


def find(path: str, **scope: Any) -> Target | None:
    return MountPoint().find({"type": "http", "path": path, **scope})


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/cam/live/door/mjpeg", Target(ROUTES_BY_NAME["live-mjpeg"], "door")),
        ("/cam/live/front-door_2/snapshot.jpg", Target(ROUTES_BY_NAME["live-snapshot"], "front-door_2")),
        ("/cam/live/ws", Target(ROUTES_BY_NAME["live-ws"])),
        ("/cam/healthz", Target(ROUTES_BY_NAME["healthz"])),
        ("/cam/metrics", Target(ROUTES_BY_NAME["metrics"])),
        ("/cam/rec/door/hls.m3u8", Target(ROUTES_BY_NAME["rec-hls"], "door")),
        ("/cam/rec/door/clip.mp4", Target(ROUTES_BY_NAME["rec-clip"], "door")),
        ("/cam/rec/door/at.jpg", Target(ROUTES_BY_NAME["rec-at"], "door")),
        ("/cam/rec/door/segment/12.mp4", Target(ROUTES_BY_NAME["rec-segment"], "door", "12")),
        (f"/cam/rec/door/export/{UUID}.mp4", Target(ROUTES_BY_NAME["rec-export"], "door", UUID)),
        (f"/cam/rec/door/export/{UUID[:-1]}g.mp4", None),
        (f"/cam/rec/door/export/{UUID}.mp4.part", None),
        ("/cam/rec/door/export/../x.mp4", None),
        ("/cam/rec/door/segment/0.mp4", Target(None)),
        ("/cam/rec/door/segment/../1.mp4", None),
        ("/cam/rec/door/segment/\u0661.mp4", None),
        ("/cam/rec/door/segment/1.mp4\n", None),
        ("/live/door/mjpeg", None),
        ("/cam/live/door/mjpeg/", None),
        ("/cam/live/../mjpeg", None),
        ("/cam/live/Door/mjpeg", Target(None)),
        ("/cam/live/door/mjpeg\n", None),
        ("/cam/", None),
    ],
)
@override_settings(ROOT_URLCONF="tests.integration.live_site.urls")
def test_only_our_paths_below_the_mount_point_are_ours(path: str, target: Target | None) -> None:
    assert find(path) == target


@pytest.mark.parametrize(
    ("path", "is_ours"),
    [
        ("/rec/door/segment/0.mp4", True),
        ("/rec/door/segment/007.mp4", True),
        ("/rec/door/segment/99999999999999999999999.mp4", True),
        ("/rec/Door/at.jpg", True),
        ("/rec/-/hls.m3u8", True),
        (f"/rec/{51 * 'x'}/clip.mp4", True),
        (f"/rec/Door/export/{UUID}.mp4", True),
        ("/live/Door/snapshot.jpg", True),
        ("/rec/door/segment/x.mp4", False),
        ("/rec/door/at.jpg\n", False),
        ("/rec/", False),
        ("/live/door/", False),
        ("/replay/", False),
    ],
)
def test_our_paths_with_impossible_values_are_not_passed_to_django(path: str, is_ours: bool) -> None:
    assert find(path) == (Target(None) if is_ours else None)


@override_settings(ROOT_URLCONF="tests.integration.live_site.urls")
def test_a_script_name_of_the_server_is_taken_into_account() -> None:
    assert find("/site/cam/healthz", root_path="/site") == Target(ROUTES_BY_NAME["healthz"])
    assert find("/cam/healthz", root_path="/site") == Target(ROUTES_BY_NAME["healthz"])
    with override_settings(FORCE_SCRIPT_NAME="/forced"):
        assert find("/forced/cam/healthz", root_path="/site") == Target(ROUTES_BY_NAME["healthz"])


@override_settings(ROOT_URLCONF="django.contrib.auth.urls")
def test_a_project_without_our_urls_has_no_live_paths(caplog: pytest.LogCaptureFixture) -> None:
    assert find("/cam/healthz") is None
    assert "ninjacam.urls is not in the project's URLs" in caplog.text


@pytest.mark.parametrize(
    ("path", "owned"),
    [("/cam/", True), ("/cam/api/v1/me", True), ("/cam/nothing", True), ("/", False), ("/camera/", False)],
)
@override_settings(ROOT_URLCONF="tests.integration.live_site.urls")
def test_below_a_mount_point_every_path_is_ours(path: str, owned: bool) -> None:
    assert MountPoint().owns({"type": "http", "path": path}) is owned


@pytest.mark.parametrize(
    ("path", "owned"),
    [("/login/", True), ("/api/v1/me", True), ("/nothing", True), ("/admin/login/", False)],
)
@override_settings(ROOT_URLCONF="ninjacam.site.urls")
def test_at_the_root_other_views_are_not_ours(path: str, owned: bool) -> None:
    assert MountPoint().owns({"type": "http", "path": path}) is owned
