"""Measure the overlay against two floors: a GStreamer pipeline in C, and one process without any machinery.

The pipeline does the same for eight viewers: RTSP, decoding, the time as text, JPEG, and a copy for each. The process
(`pixel_floor`) decodes, draws and encodes the same frames.
"""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from statistics import fmean

from benchmarks.clients import mjpeg_watchers
from benchmarks.clips import stamped_annexb
from benchmarks.meter import Cpu, measure_cpu
from benchmarks.stage import MJPEG_QUALITY, Figures, Stage, loop_of
from tests.harness.processes import Process, free_port, python, wait_until

VIEWERS = 8
FPS = 25
ROUNDS = 3


def missing() -> str:
    return "" if shutil.which("gst-launch-1.0") else "GStreamer's tools are not installed"


def measure_floors(stage: Stage) -> Figures:
    """Measure in turns, because the speed of a shared machine changes by several percent, and because both together
    would take each other's share of the caches.
    """
    eight, one, pipeline, floor = zip(*(_measure_each(stage) for _ in range(ROUNDS)), strict=True)
    product, vision_ms, floor_ms = fmean(eight), fmean(one), fmean(floor)
    return {
        "product": product,
        "pipeline": fmean(pipeline),
        "ratio": product / fmean(pipeline),
        "vision_ms": vision_ms,
        "floor_ms": floor_ms,
        "machinery_ms": vision_ms - floor_ms,
        "rounds_ms": [round(ours - its, 3) for ours, its in zip(one, floor, strict=True)],
    }


def _measure_each(stage: Stage) -> tuple[float, float, float, float]:
    """Return the product's CPU with eight viewers, its vision's ms per frame with one, and those of the floors."""
    eight = _product(stage, VIEWERS).total
    pipeline = _pipeline(stage)
    vision_ms = _product(stage, 1).by_kind["vision"] * 10 / FPS
    return eight, vision_ms, pipeline, _floor_ms(stage)


def _product(stage: Stage, viewers: int) -> Cpu:
    watchers = mjpeg_watchers(
        stage.mjpeg_url,
        viewers=viewers,
        warm_up_s=stage.plan.warm_up_s,
        seconds=stage.plan.window_s,
        loop=loop_of(stage.camera),
        token=stage.product.token,
    )
    with watchers:
        cpu = watchers.measure(stage.product.pid)
        seen = watchers.summary()
    if seen["errors"]:
        raise RuntimeError(f"{viewers} viewers: {seen['errors']}")
    return cpu


def _pipeline(stage: Stage) -> float:
    """Return the CPU of the pipeline with its viewers, in % of one core."""
    port = free_port()
    command = ["gst-launch-1.0", "-q"]
    command += (
        f"rtspsrc location={stage.camera.url()} protocols=tcp latency=0 ! rtph264depay ! h264parse".split()
    )
    command += [
        "!",
        "avdec_h264",
        "max-threads=1",
        "!",
        "timeoverlay",
        "halignment=left",
        "valignment=bottom",
    ]
    command += f"! jpegenc quality={MJPEG_QUALITY} ! multipartmux boundary=frame".split()
    command += f"! tcpserversink host=127.0.0.1 port={port} sync=false".split()
    with Process("GStreamer pipeline", command) as pipeline, contextlib.ExitStack() as stack:
        received = [stack.enter_context(_reader(port, pipeline)) for _ in range(VIEWERS)]
        wait_until(lambda: all(each[0] for each in received), 30, "the first frames", processes=[pipeline])
        before = [each[0] for each in received]
        cpu = measure_cpu(pipeline.pid, stage.plan.window_s)
        after = [each[0] for each in received]
    frames = [now - then for now, then in zip(after, before, strict=True)]
    if min(frames) < 0.9 * FPS * stage.plan.window_s:
        raise RuntimeError(f"The pipeline has sent too few frames: {frames}")
    return cpu.total


@contextlib.contextmanager
def _reader(port: int, pipeline: Process) -> Iterator[list[int]]:
    """Read the stream in a thread. Yield a list with the number of frames so far."""
    frames = [0]

    def connect() -> socket.socket | None:
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except OSError:
            return None

    connection = wait_until(connect, 30, "the pipeline's port", processes=[pipeline])

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := connection.recv(1 << 20):
                frames[0] += data.count(b"--frame")

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield frames
    finally:
        connection.shutdown(socket.SHUT_RDWR)
        thread.join(10)
        connection.close()


def _floor_ms(stage: Stage) -> float:
    clip, seconds = stamped_annexb(), stage.plan.window_s
    time.sleep(stage.plan.warm_up_s)
    with Process("floor", python("-m", "benchmarks.pixel_floor", str(clip), "-t", str(seconds))) as process:
        process.wait(seconds + 60)
        return float(process.output.split()[-1])
