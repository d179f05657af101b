"""Processors that wait for motion, in the running product."""

import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer

FPS, STILL_S, MOVING_S = 25, 12, 2
WATCH = """
from ninjacam import Processor, events, processor

@processor(when="motion", fps=10)
class Watch(Processor):
    def setup(self, camera, options):
        self.moves = False

    def process(self, frame):
        if frame.motion and not self.moves:
            events.create(frame.camera, "moved", start=frame.captured_at)
        self.moves = bool(frame.motion)
        return []
"""


def make_clip(path: Path) -> None:
    """Return a clip of a noisy scene through which a person walks at the end."""
    rng = np.random.default_rng(1)
    scene = cv2.blur(rng.integers(40, 200, (180, 320), np.uint8), (5, 5))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast", "crf": "26"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 180, "yuv420p", 2 * FPS
        stream.codec_context.max_b_frames = 0
        for number in range((STILL_S + MOVING_S) * FPS):
            image = np.clip(scene + rng.normal(0, 2, scene.shape), 0, 255).astype(np.uint8)
            left = (number - STILL_S * FPS) * 5
            if left >= 0:
                cv2.rectangle(image, (left, 60), (left + 30, 140), 20, -1)
            frame = av.VideoFrame.from_ndarray(cv2.cvtColor(image, cv2.COLOR_GRAY2BGR), format="bgr24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    data = tmp_path_factory.mktemp("attention")
    clip = tmp_path_factory.mktemp("clip") / "clip.mp4"
    make_clip(clip)
    data.joinpath("cameras.py").write_text(WATCH)
    with FakeCamera("--clip", str(clip)) as camera, Product(data, workers=1) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        yield product


def view(product: Product) -> dict[str, object]:
    items = product.client.get("/api/v1/cameras/door/views").json()["items"]
    return next(each for each in items if each["view"] == "watch")


def count_events(product: Product) -> int:
    return len(product.client.get("/api/v1/events?camera=door&kind=moved").json()["items"])


def test_motion_wakes_the_processor_and_frames_of_the_still_scene_are_not_decoded(product: Product) -> None:
    loop_s = STILL_S + MOVING_S
    states = set()
    end_s = time.monotonic() + 3.5 * loop_s
    while time.monotonic() < end_s:
        states.add(view(product)["state"])
        time.sleep(0.5)
    assert states == {"running", "waiting"}
    assert 2 <= count_events(product) <= 5, (
        "one for each time that someone walks by, and one where the clip loops"
    )
    share = view(product)["skipped_share"]
    assert isinstance(share, float) and 0.25 < share < 0.8


def test_viewers_get_every_frame(product: Product) -> None:
    wait_until(lambda: view(product)["state"] == "waiting", 20, "a still scene", processes=[product])
    with MjpegViewer(product.url("/live/door/mjpeg?view=watch"), product.token) as viewer:
        wait_until(lambda: viewer.count >= 30, 8, "ten frames per second of the view")
        assert view(product)["state"] == "running"
    wait_until(
        lambda: view(product)["state"] == "waiting", 20, "nobody watches any more", processes=[product]
    )
