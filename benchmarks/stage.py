"""The setup of the measurements: one camera of 720p25, and the product with four ASGI workers and an overlay."""

import contextlib
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.clips import stamped_annexb
from ninjacam.capture.camera import RELAX_AFTER_S
from ninjacam.capture.liveness import STALLED_AFTER_S
from ninjacam.conf import Settings
from tests.harness.cameras import FakeCamera, GstCamera, gstreamer_missing
from tests.harness.server import Product

WORKERS = 4
MJPEG_QUALITY = next(int(each.default) for each in fields(Settings) if each.name == "mjpeg_quality")  # type: ignore[arg-type]
CAMERA = "door"
VIEW = "overlay"
OVERLAY = '''\
import datetime

import cv2

from ninjacam import Frame, processor


@processor
def overlay(frame: Frame):
    """The time, as the blog's way draws it."""
    text = datetime.datetime.now().isoformat(timespec="milliseconds")
    cv2.putText(frame.image, text, (20, frame.height - 30), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 255, 0), 2)
    return frame.image
'''

AT_EASE_S = RELAX_AFTER_S + STALLED_AFTER_S
"""Seconds after which a camera without viewers is read in beats. The second of these intervals is measured."""
Camera = GstCamera | FakeCamera
Figures = dict[str, Any]
"""The results of a job, by name."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Durations of the measurements. `warm_up_s` precedes each window of `window_s`."""

    warm_up_s: float = 3.0
    window_s: float = 10.0
    seed_warm_up_s: float = 24.0
    """The blog's way opens a camera for each viewer, and catches up afterwards."""
    seed_second_viewers: int = 4
    second_viewers: int = 12
    passthrough_viewers: int = 50
    idle_cameras: int = 16
    idle_window_s: float = 16.0
    one_camera_window_s: float = 20.0
    starts: int = 5
    thread_viewers: int = 30
    memory_warm_up_viewers: int = 400
    memory_viewers: int = 1000
    browser_window_s: float = 8.0
    wall_cameras: int = 16
    stream_switches: int = 60
    index_days: int = 30
    deaths: int = 20
    seeks: int = 40
    export_minutes: int = 10
    attack_s: float = 8.0
    ptz_presses: int = 100
    talks: int = 60
    publishers: int = 16
    motion_cameras: int = 40


QUICK = Plan(
    warm_up_s=2.0,
    window_s=5.0,
    seed_warm_up_s=10.0,
    seed_second_viewers=2,
    idle_window_s=8.0,
    one_camera_window_s=8.0,
    starts=3,
    memory_warm_up_viewers=200,
    memory_viewers=400,
    browser_window_s=4.0,
    stream_switches=6,
    index_days=3,
    deaths=5,
    seeks=10,
    attack_s=4.0,
)


def make_camera(mounts: int = 1, height_px: int = 720) -> Camera:
    """Return GStreamer's camera, or the project's if it is not available.

    Both send encoded video on the same schedule.
    """
    clip = stamped_annexb(height_px)
    if gstreamer_missing():
        return FakeCamera("--clip", str(clip), streams=mounts)
    return GstCamera(streams=mounts, clip=clip)


def loop_of(camera: Camera) -> int:
    """Return the number of frames in the camera's clip. Stamps count modulo this."""
    return int(camera.state()["loop"])


@contextlib.contextmanager
def make_product(environment: Mapping[str, str] | None = None) -> Iterator[Product]:
    """`environment`: added to the parent's environment."""
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        data = Path(directory) / "data"
        data.mkdir(mode=0o700)
        (data / "cameras.py").write_text(OVERLAY)
        with Product(data, workers=WORKERS, environment=environment) as product:
            yield product


def add_cameras(product: Product, urls: dict[str, str], **fields: str) -> None:
    """Add cameras with the API, faster than with commands, and wait until all are live. `fields`: additional fields."""
    for slug, url in urls.items():
        answer = product.client.post("/api/v1/cameras", json_body={"slug": slug, "url": url, **fields})
        if answer.status != 201:
            raise RuntimeError(f"Camera {slug} was not added: {answer.status} {answer.text}")
    for slug in urls:
        product.wait_for_state(slug, timeout_s=30)


class Stage:
    """The product and its camera, started on first use. Use it in a `with` block."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._stack = contextlib.ExitStack()
        self._camera: Camera | None = None
        self._product: Product | None = None

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop both. They restart on the next use."""
        self._product = self._camera = None
        self._stack.close()

    @property
    def camera(self) -> Camera:
        if self._camera is None:
            camera = make_camera()
            self._stack.enter_context(camera)
            self._camera = camera
        return self._camera

    @property
    def product(self) -> Product:
        if self._product is None:
            camera = self.camera
            self._product = self._stack.enter_context(make_product())
            add_cameras(self._product, {CAMERA: camera.url()})
            time.sleep(2)  # exclude the work of the start
        return self._product

    @property
    def mjpeg_url(self) -> str:
        return self.product.url(f"/live/{CAMERA}/mjpeg?view={VIEW}")
