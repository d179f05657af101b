"""USB scenarios inside the virtual machine: `python -m tests.trials.usb_scenes PICTURES RESULT`.

Writes one JSON object with the result of each scene. The machine may be emulated, so time limits are wide.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from ninjacam.capture.camera import CameraCapture
from ninjacam.core.errors import SourceError
from ninjacam.core.packets import VIDEO_CLOCK_HZ, CameraState
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.registry import open_source
from tests.harness.processes import Process, python, wait_until
from tests.harness.usb_webcam import NAME
from tests.integration.source_support import config, record, stamps

_PATIENT_S = 60.0
Told = dict[str, Any]


def device_of(name: str, node: int = 0) -> Path | None:
    """Return the device file of a device's `node`. A webcam has two: the second one is for metadata."""
    for device in Path("/sys/class/video4linux").iterdir():
        is_it = (device / "name").read_text().startswith(name)
        if is_it and int((device / "index").read_text()) == node:
            return Path("/dev", device.name)
    return None


@contextmanager
def webcam(pictures: str, fault: str = "", after: int = 0) -> Iterator[tuple[Process, str]]:
    """Yield a connected webcam and the URL of its device. Disconnect it afterwards."""
    command = python("-m", "tests.harness.usb_webcam", pictures, fault, str(after))
    with Process("webcam", command) as process:
        path = wait_until(lambda: device_of(NAME), _PATIENT_S, "the webcam's device", processes=[process])
        wait_until(path.exists, _PATIENT_S, "its device file")
        yield process, f"v4l2://{path}"
    wait_until(lambda: not path.exists(), _PATIENT_S, "the webcam's device to go")


def patient(url: str) -> SourceConfig:
    return config(url, open_timeout_s=_PATIENT_S, read_timeout_s=6.0)


def error_of(error: BaseException | None) -> list[str] | None:
    return [error.code, error.message] if isinstance(error, SourceError) else None


def recorded(url: str, enough: int = 10_000) -> Told:
    recording = record(patient(url), enough, timeout_s=_PATIENT_S)
    video = recording.video
    steps_s = [(after.pts - before.pts) / VIDEO_CLOCK_HZ for before, after in pairwise(video)]
    return {
        "stamps": stamps(video),
        "step_s": statistics.median(steps_s),
        "codec": video[0].codec.label,
        "size": [video[0].width_px, video[0].height_px],
        "error": error_of(recording.error),
        "close_s": recording.close_s,
    }


def refusal(url: str) -> list[str] | None:
    """Return the error when opening it; None: no error."""

    async def open_once() -> None:
        source = await open_source(patient(url))
        await source.close()

    try:
        asyncio.run(open_once())
    except SourceError as error:
        return error_of(error)
    return None


def shown(url: str) -> Told:
    """Return the message for the user who adds the camera."""
    question = json.dumps({"source": {"url": url, "open_timeout_s": _PATIENT_S}, "timeout_s": _PATIENT_S})
    command = python("-m", "ninjacam.capture.probe")
    done = subprocess.run(command, input=question, capture_output=True, text=True, check=True)
    told: Told = json.loads(done.stdout)
    return told


def busy(url: str) -> list[str] | None:
    async def open_twice() -> list[str] | None:
        first = await open_source(patient(url))
        refused = await asyncio.to_thread(refusal, url)
        await first.close()
        return refused

    return asyncio.run(open_twice())


async def plugged_in_again(pictures: str) -> Told:
    """Unplug and reconnect a camera of the capture process.

    Return its error while unplugged, and its frames afterwards.
    """

    async def until(condition: Callable[[], bool]) -> None:
        deadline_s = time.monotonic() + _PATIENT_S
        while not condition():
            assert time.monotonic() < deadline_s, (camera.state, camera.error)
            await asyncio.sleep(0.02)

    with tempfile.TemporaryDirectory() as directory:
        with webcam(pictures, "unplugged", 20) as (_, url):
            camera = CameraCapture(
                slug="usb",
                camera_id=1,
                source=patient(url),
                revision="1",
                run_dir=Path(directory),
                on_change=lambda: None,
            )
            running = asyncio.create_task(camera.run())
            await until(lambda: camera.state is CameraState.LIVE)
            await until(lambda: camera.state is CameraState.RECONNECTING)
            error = error_of(camera.error)
        with webcam(pictures) as (_, again):
            await until(lambda: camera.state is CameraState.LIVE)
            await camera.stop()
            await running
    return {"error": error, "same_device": again == url}


def main(pictures: str, result: str) -> None:
    told: Told = {
        "raw": refusal(f"v4l2://{device_of('vivid-000')}"),
        "output": refusal(f"v4l2://{device_of('vivid-001')}"),
    }
    with webcam(pictures) as (process, url):
        told["shown"] = shown(url)
        told["asked"] = recorded(url + "?fps=15&size=320x240", 60)
        told["streams"] = process.output.splitlines()
        told["busy"] = busy(url)
        told["second node"] = refusal(f"v4l2://{device_of(NAME, 1)}")
    with webcam(pictures, "unplugged", 20) as (_, url):
        told["unplugged"] = recorded(url)
    with webcam(pictures, "frozen", 20) as (_, url):
        told["frozen"] = recorded(url)
        told["started again"] = recorded(url, 20)
    told["plugged in again"] = asyncio.run(plugged_in_again(pictures))
    Path(result).write_text(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
