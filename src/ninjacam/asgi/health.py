"""`/healthz` for load balancers and `/metrics` for Prometheus. Neither queries the database itself."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ninjacam.front_door.messages import Receive, Scope, Send
from ninjacam.front_door.mount import Target
from ninjacam.front_door.responses import respond
from ninjacam.problems import Problem
from ninjacam.viewers import auth
from ninjacam.viewers.counters import FIGURES
from ninjacam.viewers.worker import Worker

_CAMERA_FIGURES = (
    ("fps", "ninjacam_camera_fps", "gauge", "Frames per second from the camera."),
    ("declared_fps", "ninjacam_camera_declared_fps", "gauge", "Frames per second that the camera declares."),
    ("bitrate_bps", "ninjacam_camera_bitrate_bps", "gauge", "Bits per second from the camera."),
    (
        "key_interval_s",
        "ninjacam_camera_key_frame_interval_seconds",
        "gauge",
        "Seconds between two key frames.",
    ),
    (
        "packet_loss",
        "ninjacam_camera_packet_loss_ratio",
        "gauge",
        "Lost share of the packets of the last minute.",
    ),
    ("jitter_s", "ninjacam_camera_jitter_seconds", "gauge", "Interarrival jitter of the frames (RFC 3550)."),
    (
        "clock_offset_s",
        "ninjacam_camera_clock_offset_seconds",
        "gauge",
        "Seconds by which the camera's clock is ahead of the server's.",
    ),
    (
        "packets_lost",
        "ninjacam_camera_packets_lost_total",
        "counter",
        "Packets lost between the camera and Ninjacam.",
    ),
    (
        "reconnects",
        "ninjacam_camera_reconnects_total",
        "counter",
        "Number of reconnects to the camera.",
    ),
    ("subscribers", "ninjacam_camera_subscribers", "gauge", "Readers of the camera's local stream."),
)

_VIEW_FIGURES = (
    (
        "ms_p50",
        "ninjacam_view_ms_p50",
        "gauge",
        "Milliseconds per call of the processor, median of the latest.",
    ),
    ("ms_p95", "ninjacam_view_ms_p95", "gauge", "Milliseconds per call of the processor, 95th percentile."),
    ("fps", "ninjacam_view_fps", "gauge", "Frames per second of the view."),
    ("frames", "ninjacam_view_frames_total", "counter", "Frames of the view."),
    ("dropped", "ninjacam_view_dropped_total", "counter", "Frames that the processor was too slow for."),
    ("failures", "ninjacam_view_failures_total", "counter", "Failed calls of the processor."),
    (
        "skipped_share",
        "ninjacam_view_skipped_ratio",
        "gauge",
        "Share of frames that were not decoded because nothing moved, for processors that wait for motion.",
    ),
)
"""Key in the report of a view; name, type and help of the figure."""

_RECORDING_FIGURES = (
    ("used_bytes", "bytes", "gauge", "Size of all recordings in bytes."),
    ("free_bytes", "disk_free_bytes", "gauge", "Free space on the disk of the recordings in bytes."),
    ("deleted", "deleted_total", "counter", "Files deleted by retention."),
    ("deleted_bytes", "deleted_bytes_total", "counter", "Bytes deleted by retention."),
    ("waiting", "waiting", "gauge", "Files waiting to be indexed in the database."),
)
_FINDING = "1 for each finding about the camera's health."
_FAILING = "1 while a camera that should be recorded cannot be."
_DISK_FULL = "1 while the oldest recordings are deleted because the disk is full."
_DISK_LOW = "1 while other files fill the disk of the recordings."
_EVENTS = "Events created by the engine."


async def serve_health(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Report whether this worker responds and whether an engine runs. Public, so it reports nothing else."""
    # Imports the models, which an asgi.py may not have loaded yet.
    from ninjacam.queries.status import read_status

    answer = {"status": "stopping" if worker.stop.is_set() else "ok", "engine": read_status().engine_running}
    body = json.dumps(answer).encode()
    await respond(send, 200, b"application/json", body, head=scope["method"] == "HEAD")


async def serve_metrics(worker: Worker, scope: Scope, receive: Receive, send: Send, target: Target) -> None:
    """Raises: Problem."""
    await worker.database.run(_check_metrics, scope)
    worker.publish()
    totals = await asyncio.to_thread(worker.counters.total)
    text = "\n".join(_lines(totals)) + "\n"
    content_type = b"text/plain; version=0.0.4; charset=utf-8"
    await respond(send, 200, content_type, text.encode(), head=scope["method"] == "HEAD")


def _check_metrics(scope: Scope) -> None:
    auth.check_host(scope)
    if not auth.identify(scope).may_metrics():
        raise Problem(
            403, "forbidden", "Metrics are for administrators, and for their tokens with the scope “metrics”."
        )


def _lines(totals: tuple[list[int], int]) -> Iterator[str]:
    from ninjacam.queries.status import read_status

    status = read_status()
    yield from _figure(
        "ninjacam_engine_up",
        "gauge",
        "1 if an engine runs on this host.",
        {"": int(status.engine_running)},
    )
    if status.engine_running:
        yield from _camera_lines(status.cameras)
        yield from _view_lines(status.views)
        yield from _recording_lines(status.recordings)
        events = {_labels(kind=kind): count for kind, count in status.events.items()}
        yield from _figure("ninjacam_events_total", "counter", _EVENTS, events)
    sums, workers = totals
    yield from _figure(
        "ninjacam_web_workers", "gauge", "ASGI workers that have served viewers.", {"": workers}
    )
    for (name, kind, text), value in zip(FIGURES, sums, strict=True):
        yield from _figure(f"ninjacam_{name}", kind, text, {"": value})


def _camera_lines(cameras: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    states = {
        _labels(camera=slug, state=each["state"]): 1 for slug, each in cameras.items() if "state" in each
    }
    yield from _figure("ninjacam_camera_state", "gauge", "1 for the camera's current state.", states)
    for key, name, kind, text in _CAMERA_FIGURES:
        values = {
            _labels(camera=slug): each[key] for slug, each in cameras.items() if each.get(key) is not None
        }
        yield from _figure(name, kind, text, values)
    findings = {
        _labels(camera=slug, code=finding["code"], level=finding["level"]): 1
        for slug, each in cameras.items()
        for finding in each.get("findings", ())
    }
    yield from _figure("ninjacam_camera_finding", "gauge", _FINDING, findings)
    recorded = {slug: each.get("recording", {}).get("state", "off") for slug, each in cameras.items()}
    failing = {_labels(camera=slug): int(is_ == "failing") for slug, is_ in recorded.items() if is_ != "off"}
    yield from _figure("ninjacam_recording_failing", "gauge", _FAILING, failing)


def _view_lines(views: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Yield the lines for the views of processors."""
    reports = {
        _labels(camera=slug, view=view): report
        for slug, of_camera in views.items()
        for view, report in of_camera.items()
        if view
    }
    for key, name, kind, text in _VIEW_FIGURES:
        values = {labels: report[key] for labels, report in reports.items() if report.get(key) is not None}
        yield from _figure(name, kind, text, values)
    numbers = {
        _labels(camera=slug, view=view, name=name): value
        for slug, of_camera in views.items()
        for view, report in of_camera.items()
        for name, value in report.get("values", {}).items()
    }
    yield from _figure("ninjacam_view_value", "gauge", "Latest number that the processor returned.", numbers)


def _recording_lines(held: Mapping[str, Any]) -> Iterator[str]:
    for key, name, kind, text in _RECORDING_FIGURES:
        yield from _figure(f"ninjacam_recordings_{name}", kind, text, {"": held[key]} if key in held else {})
    by_camera = {_labels(camera=slug): each for slug, each in held.get("cameras", {}).items()}
    yield from _figure(
        "ninjacam_camera_recordings_bytes", "gauge", "Size of the camera's recordings in bytes.", by_camera
    )
    for key, text in (("disk_full", _DISK_FULL), ("disk_low", _DISK_LOW)):
        if key in held:
            yield from _figure(f"ninjacam_{key}", "gauge", text, {"": int(held[key])})


def _figure(name: str, kind: str, text: str, values: Mapping[str, float]) -> Iterator[str]:
    if values:
        yield f"# HELP {name} {text}"
        yield f"# TYPE {name} {kind}"
        for labels, value in values.items():
            yield f"{name}{labels} {value}"


def _labels(**labels: str) -> str:
    escaped = (
        '{}="{}"'.format(name, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for name, value in labels.items()
    )
    return "{" + ",".join(escaped) + "}"
