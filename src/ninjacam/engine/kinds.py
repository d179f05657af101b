"""The table of the engine's children: for each kind of process, its entry point, its work, and its monitoring."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ninjacam.engine.plan import PUBLISHED_CAPTURE, ProcessPlan
from ninjacam.engine.specs import CameraSpec, WantedState
from ninjacam.sources.publish import PublishPorts
from ninjacam.supervision.launcher import EntryPoint

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Situation:
    """The input from which the work of all processes is derived. `quarantined`: `CrashAttribution.quarantined()`.
    `presets`: slug -> token of the PTZ preset at which the camera is; those at unknown positions are left out."""

    state: WantedState
    plan: ProcessPlan
    quarantined: list[Json]
    publish_ports: PublishPorts = field(default_factory=PublishPorts)
    presets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProcessKind:
    """A kind of process. A process name consists of the kind's name, a hyphen, and a suffix that is unique within
    the kind.

    `work(situation)`: process name -> its work. A process runs while it has an entry there. `hang_s`: seconds
    without a report after which a process is killed. `reads_cameras`: it opens cameras, and reports their states.
    `runs_user_code`: it runs processors, and reports their views; its crashes are attributed to them. `records`: it
    gets the directory of recordings.
    """

    name: str
    entry: EntryPoint
    work: Callable[[Situation], Mapping[str, Json]]
    hang_s: float
    reads_cameras: bool = False
    runs_user_code: bool = False
    records: bool = False


def _capture(situation: Situation) -> dict[str, Json]:
    return {
        name: {"cameras": [_capture_work(camera) for camera in cameras]}
        | ({"publish_ports": asdict(situation.publish_ports)} if name == PUBLISHED_CAPTURE else {})
        for name, cameras in situation.plan.capture.items()
    }


def _capture_work(camera: CameraSpec) -> Json:
    return {
        "slug": camera.slug,
        "camera_id": camera.camera_id,
        "revision": camera.revision,
        "source": asdict(camera.source),
        "record": camera.record,
        "keep": camera.keep,
        "before_s": camera.record_before_s,
        "device": asdict(camera.device) if camera.device is not None else None,
        "patrol": asdict(camera.patrol) if camera.patrol is not None else None,
        "record_stream": camera.record_stream,
        "streams": [
            {"name": stream.name, "revision": stream.revision, "source": asdict(stream.source)}
            for stream in camera.usable_streams
        ],
    }


def _vision_work(camera: CameraSpec, preset: str) -> Json:
    return {
        "slug": camera.slug,
        "camera_id": camera.camera_id,
        "streams": [asdict(facts) for facts in camera.facts],
        "detect_stream": camera.detect_stream,
        "options": camera.options,
        "processors_off": camera.processors_off,
        "guest_view": camera.guest_view,
        "zones": [asdict(zone) for zone in camera.zones if zone.preset in ("", preset)],
        "sleeps": camera.source.sleeps,
    }


def _vision(situation: Situation) -> dict[str, Json]:
    ready: dict[str, list[str]] = {}
    for camera in situation.state.cameras:
        for name in camera.processors:
            ready.setdefault(name, []).append(camera.slug)
    return {
        name: {
            "ready_made": ready,
            "cameras": [_vision_work(camera, situation.presets.get(camera.slug, "")) for camera in cameras],
            "quarantined": [
                entry
                for entry in situation.quarantined
                if entry["camera"] in {camera.slug for camera in cameras}
            ],
        }
        for name, cameras in situation.plan.vision.items()
    }


def _jobs(situation: Situation) -> dict[str, Json]:
    return {"jobs-1": {"cameras": []}} if situation.state.has_jobs else {}


KINDS = {
    kind.name: kind
    for kind in (
        ProcessKind(
            "capture",
            EntryPoint("ninjacam.processes.capture_worker", bare=True),
            _capture,
            hang_s=8.0,
            reads_cameras=True,
            records=True,
        ),
        ProcessKind(
            "vision",
            EntryPoint("ninjacam.processes.vision_worker"),
            _vision,
            hang_s=4.0,  # User code that blocks the interpreter stops all views of its worker.
            runs_user_code=True,
        ),
        ProcessKind("jobs", EntryPoint("ninjacam.processes.job_worker"), _jobs, hang_s=8.0),
    )
}
