"""Measure networks on each engine: duration, CPU, memory and start, each in a separate process. One thread."""

import importlib.metadata
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.stage import Figures, Plan
from tests.harness.processes import python, run

MODELS = Path(__file__).resolve().parents[2] / "shared/models"
VIDEO = Path(__file__).resolve().parents[2] / "shared/media/one-by-one-person-detection.mp4"
FILES = {
    "yolox-nano": "yolox_nano.onnx",
    "nanodet": "object_detection_nanodet_2022nov.onnx",
    "yunet": "face_detection_yunet_2023mar.onnx",
}
RUNS = 60
WARM_UP = 5


def missing() -> str:
    if not all((MODELS / name).exists() for name in FILES.values()) or not VIDEO.exists():
        return "../shared has no models or media"
    return ""


def engines() -> list[str]:
    try:
        importlib.metadata.version("onnxruntime")
    except importlib.metadata.PackageNotFoundError:
        return ["opencv"]
    return ["onnxruntime", "opencv"]


def measure_inference(plan: Plan) -> Figures:
    """Ignores `plan`: a few seconds are enough for stable figures."""
    found: Figures = {}
    for model in FILES:
        for engine in ["opencv"] if model == "yunet" else engines():
            command = python("-m", "benchmarks.inference", engine, model)
            found[f"{model} {engine}"] = json.loads(run(command, timeout_s=120).splitlines()[-1])
    return found


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _measure(engine: str, model: str) -> dict[str, Any]:
    """Return the figures of an engine.

    Milliseconds of a call with a frame of 768 x 432, of CPU for it and for the start (import, load), and the memory in
    addition to that of a vision worker, which always has OpenCV and pydantic.
    """
    os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
    import cv2
    import pydantic  # noqa: F401 (a vision worker has it, too)

    cv2.setNumThreads(1)
    images = [image for _, image in zip(range(20), _frames(cv2), strict=False)]
    cv2.resize(images[0], (64, 64))
    before_mb, started_s = _resident_mb(), time.process_time()
    from ninjacam.inference import onnx_runtime
    from ninjacam.inference.loading import load_model

    if engine == "opencv":
        onnx_runtime.find_devices = lambda: ()
    detect = load_model(MODELS / FILES[model])
    start_ms = (time.process_time() - started_s) * 1000
    for image in images[:WARM_UP]:
        detect(image)
    durations_ms = []
    cpu_s = time.process_time()
    for number in range(RUNS):
        begun_s = time.perf_counter()
        detect(images[number % len(images)])
        durations_ms.append((time.perf_counter() - begun_s) * 1000)
    cpu_ms = (time.process_time() - cpu_s) * 1000 / RUNS
    durations_ms.sort()
    return {
        "engine": detect.engine,
        "p50_ms": round(durations_ms[RUNS // 2], 1),
        "p95_ms": round(durations_ms[RUNS * 95 // 100], 1),
        "cpu_ms": round(cpu_ms, 1),
        "start_ms": round(start_ms),
        "memory_mb": round(_resident_mb() - before_mb, 1),
    }


def _frames(cv2: Any) -> Any:
    video = cv2.VideoCapture(str(VIDEO))
    while True:
        is_read, image = video.read()
        if not is_read:
            return
        yield image


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:3])))
