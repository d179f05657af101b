"""USB cameras: FFmpeg's V4L2 reader and the code above it, on an emulated device.

Test machines have neither a camera nor a kernel module for a virtual one. A small library (`v4l2_shim.c`, LD_PRELOAD)
therefore replaces the kernel: it answers open, stat and the ioctls as the driver uvcvideo does.
`trials/test_sources_usb_real.py` tests the driver itself.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.packets import VIDEO_CLOCK_HZ, Codec
from ninjacam.testing.scenes import SceneOptions, make_clip
from tests.harness.processes import ROOT
from tests.integration.source_support import config, record, stamps, steps, without_huffman_tables

DEVICE = "/dev/video251"
PICTURES = 50
pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")


@dataclass(frozen=True)
class Shim:
    """The compiled library, and the file with its camera's frames."""

    library: Path
    pictures: Path

    def run(self, *arguments: str, fault: str = "", after: int = 0, stdin: str = "") -> dict[str, Any]:
        """Run a Python process with access to the camera, and return the JSON that it prints."""
        environment = {
            **os.environ,
            "LD_PRELOAD": str(self.library),
            "SHIM_DEVICE": DEVICE,
            "SHIM_PICTURES": str(self.pictures),
            "SHIM_FAULT": fault,
            "SHIM_AFTER": str(after),
        }
        done = subprocess.run(
            [sys.executable, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def record(
        self, query: str = "", *, enough: int = 10_000, fault: str = "", after: int = 0
    ) -> dict[str, Any]:
        """Return the output of `main`."""
        module = "tests.integration.test_sources_usb"
        return self.run("-m", module, f"v4l2://{DEVICE}{query}", str(enough), fault=fault, after=after)

    def probe(self, fault: str = "") -> dict[str, Any]:
        """Return the message for the user who adds the camera."""
        question = json.dumps({"source": {"url": f"v4l2://{DEVICE}"}, "timeout_s": 10})
        return self.run("-m", "ninjacam.capture.probe", fault=fault, stdin=question)


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Shim:
    folder = tmp_path_factory.mktemp("shim")
    library, pictures = folder / "v4l2_shim.so", folder / "pictures"
    source = Path(__file__).with_name("v4l2_shim.c")
    subprocess.run(
        ["gcc", "-Wall", "-Wextra", "-O1", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True
    )
    clip = make_clip(SceneOptions(width=320, height=240, seconds=PICTURES / 25, codec="mjpeg"))
    pictures.write_bytes(b"".join(without_huffman_tables(unit.data) for unit in clip.video.units))
    return Shim(library, pictures)


def test_frames_arrive_in_order_at_the_requested_rate(shim: Shim) -> None:
    told = shim.record("?fps=25&size=320x240", enough=60)
    assert (told["error"], told["codec"], told["size"]) == (None, Codec.MJPEG.label, [320, 240])
    assert steps(told["stamps"], PICTURES) == {1}
    seconds = told["elapsed_pts"] / VIDEO_CLOCK_HZ
    # The device's own clock, independent of the machine's load.
    assert abs(seconds * 25 - (len(told["stamps"]) - 1)) < 0.1
    assert told["close_s"] < 1


def test_an_unplugged_camera_has_ended(shim: Shim) -> None:
    told = shim.record(fault="unplugged", after=20)
    assert told["error"][0] == "device" and f"The device {DEVICE} has disappeared" in told["error"][1]
    assert told["stamps"] == list(range(20))


def test_a_camera_that_freezes_is_stalled(shim: Shim) -> None:
    told = shim.record(fault="frozen", after=10)
    assert told["error"][0] == "stalled"
    assert told["stamps"] == list(range(10))


def test_adding_a_usb_camera_shows_its_frame(shim: Shim) -> None:
    told = shim.probe()
    assert (told["ok"], told["codec"], told["width"], told["height"]) == (True, "mjpeg", 320, 240)
    assert told["jpeg_base64"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("busy", "in use by another program: stop that program first"),
        ("forbidden", "add its user to the group 'video'"),
        ("yuyv", "does not provide MJPEG or H.264 video: choose another device or format"),
    ],
)
def test_adding_an_unreadable_device_reports_what_to_do(shim: Shim, fault: str, says: str) -> None:
    told = shim.probe(fault)
    assert not told["ok"] and told["error"]["code"] == "device" and says in told["error"]["message"]


def main(url: str, enough: str) -> None:
    """Record from `url` in this process, and print the result."""
    recording = record(config(url), int(enough))
    video = recording.video
    error = recording.error
    print(
        json.dumps(
            {
                "stamps": stamps(video),
                "elapsed_pts": video[-1].pts - video[0].pts,
                "codec": video[0].codec.label,
                "size": [video[0].width_px, video[0].height_px],
                "error": [error.code, error.message] if error else None,
                "close_s": recording.close_s,
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
