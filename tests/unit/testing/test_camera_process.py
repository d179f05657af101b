"""The fake camera as a process, and what a user's project gets by the pytest plugin."""

import os
import subprocess
import sys
from pathlib import Path

import av
import pytest

from tests.harness.cameras import FakeCamera
from tests.harness.processes import wait_until

SMALL = ("--size", "320x180", "--seconds", "1", "--gop", "5", "--bitrate", "300000")


def test_the_process_serves_and_reports_its_state_and_obeys_orders() -> None:
    with FakeCamera(*SMALL, streams=2) as camera:
        with av.open(
            camera.url(1), options={"rtsp_transport": "tcp", "analyzeduration": "200000"}, timeout=5
        ) as opened:
            assert next(opened.decode(video=0)).width == 320
            assert (camera.state()["connects"], camera.state()["open"]) == (1, 1)
            camera.order(op="drop")
            wait_until(lambda: camera.state()["open"] == 0, 5, "closed connections")
        camera.order(stream="/cam0", describe_status=503)
        with pytest.raises(av.HTTPServerError):
            av.open(camera.url(0), timeout=5)
        with pytest.raises(AssertionError, match="No such fault"):
            camera.order(colour="blue")


def test_the_process_restarts_on_its_port_and_stops_on_sigterm() -> None:
    with FakeCamera(*SMALL) as camera:
        first = camera.pid
        camera.restart()
        assert camera.pid != first
        assert camera.state()["connects"] == 0
        assert camera.terminate() < 2
        assert camera.returncode == 0


def test_a_taken_port_is_reported_in_one_readable_sentence() -> None:
    with FakeCamera(*SMALL) as camera:
        command = [sys.executable, "-m", "ninjacam.testing.camera", "--port", str(camera.port), *SMALL]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("The camera cannot start:")
    assert done.stderr.count("\n") == 1


def test_the_fixtures_work_in_another_project(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["ninjacam.testing.pytest_plugin"]\n')
    (tmp_path / "test_mine.py").write_text(
        "def test_mine(rtsp_camera, clock):\n"
        "    assert rtsp_camera.url().startswith('rtsp://127.0.0.1:')\n"
        "    clock.advance(1)\n"
    )
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "PYTEST"))
    }
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # Loading those of our own suite takes seconds.
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:django",
        "-p",
        "no:cacheprovider",
        "test_mine.py",
    ]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
