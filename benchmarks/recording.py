"""Measure recorded cameras without viewers: the whole product, on this machine's disk."""

import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from benchmarks.meter import measure_cpu
from benchmarks.stage import AT_EASE_S, Figures, Plan, add_cameras, make_camera, make_product
from ninjacam.recordings.layout import iter_paths

_SETS = {"full-hd": (16, 1080), "few": (8, 720), "many": (32, 720)}
"""Cameras, and the height of their frames."""


def measure_recording(plan: Plan) -> Figures:
    return {name: _record(plan, count, height_px) for name, (count, height_px) in _SETS.items()}


def _record(plan: Plan, count: int, height_px: int) -> Figures:
    with make_camera(mounts=count, height_px=height_px) as camera, make_product() as product:
        urls = {f"cam{number}": camera.url(number) for number in range(count)}
        add_cameras(product, urls, record="always")
        time.sleep(plan.warm_up_s + AT_EASE_S)
        before = product.status()["cameras"].values()
        lost = sum(each["packets_lost"] for each in before)
        cpu = measure_cpu(product.pid, plan.idle_window_s)
        cameras = product.status()["cameras"].values()
        written, media = _volume(product.data / "recordings")
    return {
        "cameras": count,
        "media_mbit_s": sum(each["bitrate_bps"] for each in cameras) / count / 1e6,
        "frames_per_s": sum(each["fps"] for each in cameras),
        "recording": sum(each["recording"]["state"] == "recording" for each in cameras),
        "packets_lost": sum(each["packets_lost"] for each in cameras) - lost,
        "left_out": sum(each["recording"]["dropped"] for each in cameras),
        "cpu": cpu.as_dict(),
        "each_percent": cpu.total / count,
        "written_of_media": written / media,
    }


def _volume(root: Path) -> tuple[int, int]:
    """Return the bytes of the files and of the frames in them."""
    written = media = 0
    for path in iter_paths(root):
        written += (root / path).stat().st_size
        with (root / path).open("rb") as file:
            media += sum(size_bytes for kind, size_bytes in _boxes(file) if kind == b"mdat")
    return written, media


def _boxes(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield (kind, bytes of contents)."""
    while len(head := file.read(8)) == 8:
        size_bytes, kind = struct.unpack(">I4s", head)
        yield kind, size_bytes - 8
        file.seek(size_bytes - 8, 1)
