"""A disk smaller than a minute of the camera's video: the oldest files are deleted, and recording continues."""

import os
import subprocess
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ninjacam.core.packets import Codec
from ninjacam.recordings.layout import iter_paths
from ninjacam.recordings.reader import read_recording
from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until
from tests.harness.server import Product
from tests.unit.recordings.recording_support import Recorded, encoded, stamped


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_on_a_full_disk_the_oldest_recordings_make_room_and_recording_continues(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    root.mkdir(parents=True)
    script = f'mount -t tmpfs -o size=6m tmpfs "{root}" && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    small = ("--size", "640x360", "--bitrate", "8000000", "--gop", "25", "--gop-at-once")
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

            wait_until(goes_on, 30, "recording continues", processes=[product])
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


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a file system")
def test_a_disk_filled_by_other_files_raises_an_alarm_and_keeps_the_recordings(tmp_path: Path) -> None:
    root = tmp_path / "data" / "recordings"
    root.mkdir(parents=True)
    script = f'mount -t tmpfs -o size=24m tmpfs "{root}" && exec "$@"'
    before = ["unshare", "-m", "sh", "-c", script, "sh"]
    if subprocess.run([*before, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespaces here")
    small = ("--size", "320x240", "--bitrate", "800000", "--gop", "25", "--gop-at-once")
    with FakeCamera(*small) as camera:
        product = Product(tmp_path / "data", environment={"NINJACAM_RETENTION": "free_bytes=8M"})
        product.command = [*before, *product.command]
        with product:
            inside = Path(f"/proc/{product.pid}/root{root}")
            made = Recorded(inside, period_s=2)
            made.feed(stamped(encoded(Codec.H264, 1200), time.time_ns() - 600 * 10**9))
            old = made.close()
            product.add_camera("door", camera.url(), "--record", "always")

            def recordings() -> dict[str, Any]:
                held: dict[str, Any] = product.status()["recordings"]
                return held

            wait_until(
                lambda: recordings().get("used_bytes", 0) > sum(path.stat().st_size for path in old),
                60, "the files are listed", processes=[product],
            )  # fmt: skip
            used_bytes = recordings()["used_bytes"]
            (inside / "somebody's.log").write_bytes(bytes(disk_free(inside) - (2 << 20)))
            wait_until(lambda: recordings()["disk_low"], 60, "the alarm", processes=[product])
            wait_until(
                lambda: recordings()["used_bytes"] + recordings()["deleted_bytes"] > used_bytes + (1 << 19),
                90, "recording continues", processes=[product],
            )  # fmt: skip
            held = recordings()
            recorded_bytes = held["used_bytes"] + held["deleted_bytes"] - used_bytes
            largest = max(path.stat().st_size for path in old if path.exists())
            assert held["deleted_bytes"] <= recorded_bytes + largest
            assert any(path.exists() for path in old)

            def alarms() -> list[dict[str, Any]]:
                items: list[dict[str, Any]] = product.client.get("/api/v1/events?kind=disk_low").json()[
                    "items"
                ]
                return items

            (event,) = wait_until(alarms, 10, "the event", processes=[product])
            assert event["camera"] is None and "Free some space" in event["label"]
            assert "ninjacam_disk_low 1" in product.client.get("/metrics").text
            assert "Other files fill the disk" in product.cli("doctor", check=False)


def disk_free(directory: Path) -> int:
    status = os.statvfs(directory)
    return status.f_bavail * status.f_frsize


def last_s(product: Product) -> float:
    """Return the Unix time at which the listed recordings end."""
    items = product.client.get("/api/v1/recordings?camera=door&limit=1").json()["items"]
    return datetime.fromisoformat(items[0]["end"]).timestamp() if items else 0.0
