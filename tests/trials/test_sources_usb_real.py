"""USB cameras with the real kernel driver: uvcvideo in a virtual machine, with a webcam on its USB port.

The kernel, its drivers and the product's code are real. The webcam is a program that implements USB
(`harness/usb_webcam.py`). All scenes (`usb_scenes.py`) run in one start of the machine, and each test checks one of
them.
"""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.usb_webcam import SIZES
from tests.harness.virtual_machine import UnavailableError, find_kernel, run_in_vm
from tests.integration.source_support import steps, without_huffman_tables

PICTURES = 50
MODULES = ("vhci_hcd", "uvcvideo", "vivid n_devs=2 node_types=0x1,0x100")
"""A virtual USB port and its webcam's driver; a camera with raw video only and an output that is not a camera."""


@pytest.fixture(scope="module")
def told(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the results of the scenes."""
    assert pytestconfig.cache is not None
    try:
        kernel = find_kernel(pytestconfig.cache.mkdir("kernel"), MODULES)
    except UnavailableError as why:
        pytest.skip(str(why))
    share = tmp_path_factory.mktemp("usb")
    write_pictures(share / "pictures")
    result = share / "result.json"
    command = [sys.executable, "-m", "tests.trials.usb_scenes", str(share / "pictures"), str(result)]
    run_in_vm(kernel, command, share, timeout_s=400)
    scenes: dict[str, Any] = json.loads(result.read_text())
    return scenes


def write_pictures(directory: Path) -> None:
    for width, height in SIZES:
        folder = directory / f"{width}x{height}"
        folder.mkdir(parents=True)
        clip = make_clip(SceneOptions(width=width, height=height, seconds=PICTURES / 25, codec="mjpeg"))
        for number, unit in enumerate(clip.video.units):
            (folder / f"{number:03}.jpg").write_bytes(without_huffman_tables(unit.data))


def test_frames_arrive_in_order_at_the_requested_size_and_rate(told: dict[str, Any]) -> None:
    asked = told["asked"]
    assert told["streams"][1] == "streams 320x240 15"
    assert (asked["error"], asked["codec"], asked["size"]) == (None, "mjpeg", [320, 240])
    assert steps(asked["stamps"], PICTURES) == {1} and len(asked["stamps"]) >= 60
    assert asked["step_s"] == pytest.approx(1 / 15, rel=0.15)
    assert asked["close_s"] < 2


def test_adding_a_usb_camera_shows_its_frame(told: dict[str, Any]) -> None:
    shown = told["shown"]
    assert told["streams"][0] == "streams 640x480 30", "as the camera does of itself, but MJPEG"
    assert (shown["ok"], shown["codec"], shown["width"], shown["height"]) == (True, "mjpeg", 640, 480)
    assert shown["jpeg_base64"]


def test_an_unplugged_camera_has_ended(told: dict[str, Any]) -> None:
    unplugged = told["unplugged"]
    assert unplugged["error"][0] == "device" and "it was unplugged" in unplugged["error"][1]
    assert unplugged["stamps"] == list(range(20))


def test_a_frozen_camera_is_stalled_and_can_be_restarted(told: dict[str, Any]) -> None:
    frozen, again = told["frozen"], told["started again"]
    assert frozen["error"][0] == "stalled" and frozen["stamps"] == list(range(20))
    assert again["error"] is None and steps(again["stamps"], PICTURES) == {1}


def test_a_replugged_camera_is_live_again(told: dict[str, Any]) -> None:
    again = told["plugged in again"]
    assert again["error"][0] == "device" and again["same_device"]


@pytest.mark.parametrize(
    ("scene", "says"),
    [
        ("busy", "in use by another program: stop that program first"),
        ("raw", "does not provide MJPEG or H.264 video: choose another device or format"),
        ("second node", "does not provide MJPEG or H.264 video: choose another device or format"),
        ("output", "There is no camera at /dev/video"),
    ],
)
def test_an_unreadable_device_reports_what_to_do(told: dict[str, Any], scene: str, says: str) -> None:
    code, message = told[scene]
    assert code == "device" and says in message
