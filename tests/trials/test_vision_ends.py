"""Vision workers are ended repeatedly while OpenCV runs in their threads."""

import os
import signal
import textwrap
from pathlib import Path

from tests.harness.cameras import FakeCamera
from tests.harness.processes import is_alive, wait_until
from tests.harness.server import Product
from tests.harness.viewers import MjpegViewer

TIMES = 20
SMALL = ("--size", "640x360", "--bitrate", "900000", "--gop", "25", "--gop-at-once")
CODE = """
    import cv2
    from ninjacam import processor

    @processor
    def blurred(frame):
        for _ in range(3):
            image = cv2.GaussianBlur(frame.image, (31, 31), 0)
        return image
"""


def test_no_worker_aborts_at_its_end(tmp_path: Path) -> None:
    (tmp_path / "cameras.py").write_text(textwrap.dedent(CODE))
    (tmp_path / "cameras.py").chmod(0o600)
    with FakeCamera(*SMALL) as camera, Product(tmp_path) as product:
        product.add_camera("door", camera.url())
        product.wait_for_state("door")
        with MjpegViewer(product.url("/live/door/mjpeg?view=blurred"), product.token) as viewer:
            for _ in range(TIMES):
                viewer.wait_live()
                seen = viewer.count
                wait_until(lambda n=seen: viewer.count > n + 5, 60, "pictures", processes=[product])  # type: ignore[misc]
                (pid,) = {child for child in product.pids("vision") if child}
                os.kill(pid, signal.SIGTERM)
                wait_until(lambda old=pid: not is_alive(old), 20, "the end of the worker")  # type: ignore[misc]
                wait_until(
                    lambda old=pid: [each for each in product.pids("vision") if each != old],  # type: ignore[misc]
                    20, "another worker", processes=[product],
                )  # fmt: skip
        assert "terminate called" not in product.output and "(-6)" not in product.output
