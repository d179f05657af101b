"""Cameras as separate processes, which can be stopped, killed and restarted."""

import functools
import json
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from benchmarks.clips import cache_dir, stamped_annexb
from tests.harness.processes import ROOT, Process, free_port, python, wait_until

SYSTEM_PYTHON = "/usr/bin/python3"


@functools.cache
def gstreamer_missing() -> str:
    """Return the reason why the system's python3 has no GStreamer RTSP server; empty if it has one."""
    probe = (
        "import gi\ngi.require_version('Gst', '1.0')\ngi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst\nGst.init(None)\n"
        "assert all(Gst.ElementFactory.find(n) for n in ('appsrc', 'h264parse', 'rtph264pay'))"
    )
    try:
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", probe], capture_output=True, text=True, timeout=30, check=False
        )
    except OSError as error:
        return str(error)
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


class _CameraProcess(Process):
    def __init__(
        self, name: str, command: list[str], port: int, streams: int, *, control: bool = False
    ) -> None:
        self.port = port
        self.streams = streams
        self._directory = tempfile.TemporaryDirectory(prefix="camera-")
        self._state = Path(self._directory.name) / "state.json"
        super().__init__(name, [*command, "--state", str(self._state)], control=control)

    def start(self) -> Self:
        """Start, or restart on the same port, and wait until the camera listens."""
        self._state.unlink(missing_ok=True)
        super().start()
        wait_until(self._state.exists, 30, f"{self.name} listening", processes=[self])
        return self

    def url(self, stream: int = 0) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam{stream}"

    def state(self) -> dict[str, Any]:
        """Return {"pid", "connects", "open", "loop", ...}. "connects" counts since the start; "open" is current."""
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def restart(self) -> None:
        """Kill the camera and restart it on the same port."""
        self.kill()
        self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._directory.cleanup()


class GstCamera(_CameraProcess):
    """GStreamer's RTSP server, an independent implementation. 720p25, stamped.

    `codec`: encoded live if not H.264. `clip`: H.264 from `clips.stamped_annexb`; None: the default clip.
    """

    def __init__(
        self,
        *,
        streams: int = 1,
        port: int | None = None,
        user: str = "",
        password: str = "",
        digest: bool = False,
        codec: Literal["h264", "h265", "mjpeg"] = "h264",
        clip: Path | None = None,
    ) -> None:
        port = port or free_port()
        command = [
            SYSTEM_PYTHON,
            str(ROOT / "benchmarks/gst_camera.py"),
            str(port),
            str(clip or stamped_annexb()),
        ]
        command += ["--streams", str(streams), "--codec", codec]
        if user:
            command += ["--user", user, "--password", password, *(["--digest"] if digest else [])]
        super().__init__("GStreamer camera", command, port, streams)


class FakeCamera(_CameraProcess):
    """`ninjacam.testing.camera` as a process. `options`: additional command-line options."""

    def __init__(self, *options: str, streams: int = 1, port: int | None = None) -> None:
        port = port or free_port()
        command = python("-m", "ninjacam.testing.camera", "--port", str(port), "--streams", str(streams))
        command += ["--cache", str(cache_dir()), *options]
        super().__init__("fake camera", command, port, streams, control=True)

    def order(self, **order: object) -> None:
        """Send fields of Faults with "stream", or "op" (`ninjacam.testing.camera.__main__`).

        Waits until they are applied.
        """
        answers = self.output.count("\n")
        self.send_line(json.dumps(order))
        wait_until(lambda: self.output.count("\n") > answers, 10, "answer to an order", processes=[self])
        last = self.output.splitlines()[-1]
        assert json.loads(last) == {"ok": True}, last
