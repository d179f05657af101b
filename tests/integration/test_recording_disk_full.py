"""A disk that is smaller than what the camera sends in a minute: the oldest makes room, and recording goes on."""

import os
import subprocess
import time
from datetime import datetime
from pathlib import Path

import pytest

from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_recording
from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_on_a_full_disk_the_oldest_makes_room_and_recording_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    root.mkdir(parents=True)
    script = f'mount -t tmpfs -o size=6m tmpfs "{root}" && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    small = ("--size", "640x360", "--bitrate", "4000000", "--gop", "25", "--gop-at-once")
    with FakeCamera(*small) as camera:
        product = Product(tmp_path / "data", environment={"NINJACAM_RETENTION": "free_bytes=1M"})
        product.command = [*before, *product.command]
        with product:
            product.add_camera("door", camera.url(), "--record", "always")

            def deleted() -> int:
                return int(product.status()["recordings"].get("deleted", 0))

            wait_until(lambda: deleted() >= 2, 90, "room was made twice", processes=[product])
            made_s = time.time()

            def goes_on() -> bool:
                status = product.status()
                recording = status["cameras"]["door"]["recording"]
                return recording["state"] == "recording" and last_s(product) > made_s + 1

            wait_until(goes_on, 30, "recording goes on", processes=[product])
            (event,) = product.client.get("/api/v1/events?kind=disk_full").json()["items"]
            assert event["camera"] is None and event["end"] is None
            figures = product.client.get("/metrics").text
            assert (
                "ninjacam_disk_full 1" in figures and 'ninjacam_events_total{kind="disk_full"} 1' in figures
            )
            assert 'ninjacam_recording_failing{camera="door"}' in figures
            inside = Path(f"/proc/{product.pid}/root{root}")
            paths = list(iter_paths(inside))
            assert paths and product.camera("door")["state"] == "live"
            for path in paths[:-1]:
                assert read_recording(inside / path).size_bytes == (inside / path).stat().st_size


def last_s(product: Product) -> float:
    """Unix time at which what is listed ends."""
    items = product.client.get("/api/v1/recordings?camera=door&limit=1").json()["items"]
    return datetime.fromisoformat(items[0]["end"]).timestamp() if items else 0.0
