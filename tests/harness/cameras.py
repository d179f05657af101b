"""Cameras as processes of their own, which can be frozen, killed and brought back."""

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
    """Why there is no GStreamer RTSP server for the system's python3; empty: there is."""
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
        """Start, or start again on the same port, and wait until it listens."""
        self._state.unlink(missing_ok=True)
        super().start()
        wait_until(self._state.exists, 30, f"{self.name} listening", processes=[self])
        return self

    def url(self, stream: int = 0) -> str:
        return f"rtsp://127.0.0.1:{self.port}/cam{stream}"

    def state(self) -> dict[str, Any]:
        """{"pid", "connects", "open", "loop", ...}: "connects" counts since its start, "open" is now."""
        state: dict[str, Any] = json.loads(self._state.read_text())
        return state

    def restart(self) -> None:
        """Kill it without a word, and bring it back on the same port."""
        self.kill()
        self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, traceback)
        self._directory.cleanup()


class GstCamera(_CameraProcess):
    """GStreamer's RTSP server: a camera that nobody here wrote. 720p25, stamped. `codec`: encoded live if not H.264.

    `clip`: H.264 as `clips.stamped_annexb` makes it; None: that.
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
    """`ninjacam.testing.camera` as a process. `options`: more of its command line."""

    def __init__(self, *options: str, streams: int = 1, port: int | None = None) -> None:
        port = port or free_port()
        command = python("-m", "ninjacam.testing.camera", "--port", str(port), "--streams", str(streams))
        command += ["--cache", str(cache_dir()), *options]
        super().__init__("fake camera", command, port, streams, control=True)

    def order(self, **order: object) -> None:
        """Fields of Faults and "stream", or "op" (`ninjacam.testing.camera.__main__`). Waits until it is obeyed."""
        answers = self.output.count("\n")
        self.send_line(json.dumps(order))
        wait_until(lambda: self.output.count("\n") > answers, 10, "answer to an order", processes=[self])
        last = self.output.splitlines()[-1]
        assert json.loads(last) == {"ok": True}, last
