"""Reconciles the running processes with the desired state and publishes their status. Loses no state if it is
killed."""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ninjacam.core.clock import SYSTEM_CLOCK, Clock, until_tick_s
from ninjacam.core.errors import ConfigError, EngineRunningError, NinjacamError, SourceEndedError
from ninjacam.core.lifecycle import Stop
from ninjacam.core.packets import CameraState
from ninjacam.engine.event_writer import EventWriter
from ninjacam.engine.events import EventKeeper, EventLog
from ninjacam.engine.findings import Figures, FindingKeeper
from ninjacam.engine.kinds import KINDS, ProcessKind, Situation
from ninjacam.engine.plan import OWN_CAPTURE, PUBLISHED_CAPTURE, make_plan
from ninjacam.engine.recording import RecordingKeeper, SegmentIndex
from ninjacam.engine.specs import CameraSpec, StatusSink, StreamSpec, Wanted, WantedState
from ninjacam.engine.storage import StorageThread
from ninjacam.engine.streams import StreamLog, StreamWriter
from ninjacam.sources.base import SourceConfig
from ninjacam.sources.publish import PublishPorts
from ninjacam.sources.registry import runs_native_code, waits_for_publisher
from ninjacam.supervision.child_process import ChildProcess, Death
from ninjacam.supervision.control import Json
from ninjacam.supervision.crash_attribution import CrashAttribution
from ninjacam.supervision.crash_record import read_last_words
from ninjacam.supervision.launcher import Launcher
from ninjacam.supervision.started import StartedProcess

logger = logging.getLogger("ninjacam.engine")

READ_EVERY_S = 1.0
STATUS_EVERY_S = 2.0
"""Maximum seconds between two status files. A change of a state is written after STATUS_SOON_S."""
STATUS_SOON_S = 0.1


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The configuration of the engine. `recordings_dir`: None disables recording. `publish_ports`: ports for cameras
    with the URL `push:`."""

    run_dir: Path
    cameras_per_capture: int = 16
    vision_workers: int = 2
    orphan_s: float = 60.0
    recordings_dir: Path | None = None
    publish_ports: PublishPorts = field(default_factory=PublishPorts)


class Engine:
    """The engine of one run directory, enforced by `flock` on `engine.lock`. Thread: the event loop."""

    def __init__(
        self,
        config: EngineConfig,
        wanted: Wanted,
        status: StatusSink,
        *,
        index: SegmentIndex | None = None,
        events: EventLog | None = None,
        streams: StreamLog | None = None,
        launcher: Launcher | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        """Create an engine. Without `index`, recordings are not indexed; without `events`, events are not written;
        without `streams`, the formats of streams are not stored; without `launcher`, children start as commands.
        """
        self._config = config
        self._wanted = wanted
        self._status = status
        self._launcher = launcher or Launcher()
        self._clock = clock
        self._crashes = CrashAttribution(clock)
        self._storage = StorageThread()
        self._events = EventKeeper(clock=clock)
        self._event_writer = (
            EventWriter(self._events, events, self._storage, clock=clock) if events is not None else None
        )
        self._recordings = (
            RecordingKeeper(index, self._storage, on_disk=self._events.observe_disk, clock=clock)
            if index is not None
            else None
        )
        self._findings = FindingKeeper(clock=clock)
        self._stream_writer = (
            StreamWriter(streams, self._storage, lambda: (self._specs, self._cameras), clock=clock)
            if streams is not None
            else None
        )
        self._cameras: Json = {}
        """The status of all cameras, as last written."""
        self._state: WantedState | None = None  # Not read yet.
        self._children: dict[str, ChildProcess] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._assigned: dict[str, set[str]] = {}
        self._capture_errors: dict[str, Json] = {}
        """Errors of cameras whose process died, until their state is no longer CONNECTING."""
        self._presets: dict[str, str] = {}
        """Slug -> the PTZ preset at which the camera is, as last assigned."""
        self._changed = asyncio.Event()

    async def run(self, stop: Stop) -> None:
        """Run until `stop`. Raises: EngineRunningError, ConfigError (run directory)."""
        with self._lock():
            await self._adopt_running()
            loops = [
                asyncio.create_task(self._follow_wanted(), name="engine-wanted"),
                asyncio.create_task(self._write_status(), name="engine-status"),
            ]
            if self._recordings is not None:
                loops.append(asyncio.create_task(self._recordings.run(), name="engine-recordings"))
            if self._event_writer is not None:
                loops.append(asyncio.create_task(self._event_writer.run(), name="engine-events"))
            if self._stream_writer is not None:
                loops.append(asyncio.create_task(self._stream_writer.run(), name="engine-streams"))
            stopped = asyncio.create_task(stop.wait(), name="engine-stop")
            try:
                done, _ = await asyncio.wait((*loops, stopped), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (*loops, stopped):
                    task.cancel()
                await asyncio.gather(*loops, stopped, return_exceptions=True)
                self._storage.close()
                for child in self._children.values():
                    child.stop()
                await asyncio.gather(*self._tasks.values(), return_exceptions=True)
                logger.info("engine: all children have ended")

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        path = self._config.run_dir / "engine.lock"
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise ConfigError(f"The run directory {path.parent} cannot be used: {exc.strerror}.") from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            os.close(descriptor)
            raise EngineRunningError(
                f"An engine already runs in {path.parent}. Stop it first, or use another data directory."
            ) from exc
        try:
            yield
        finally:
            os.close(descriptor)

    # --- children ---

    def _child(self, name: str, kind: ProcessKind) -> ChildProcess:
        config = self._config
        arguments = ["--name", name, "--run-dir", str(config.run_dir), "--orphan-s", str(config.orphan_s)]
        if kind.records and config.recordings_dir is not None:
            arguments += ["--recordings-dir", str(config.recordings_dir)]

        async def start() -> StartedProcess:
            environment = self._crashes.environment() if kind.runs_user_code else {}
            return await self._launcher.start(kind.entry, name, arguments, environment)

        return ChildProcess(
            name=name,
            kind=kind.name,
            start=start,
            run_dir=config.run_dir,
            hang_s=kind.hang_s,
            on_report=self._on_report,
            on_death=self._on_death,
        )

    async def _adopt_running(self) -> None:
        """Find the child processes of a killed engine, and adopt them."""
        for path in sorted(self._config.run_dir.glob("*.control")):
            kind = KINDS.get(_kind_name(path.stem))
            if kind is not None and await (child := self._child(path.stem, kind)).adopt():
                self._begin(child)
                self._assigned[child.name] = set(child.report.get("cameras", ()))

    def _begin(self, child: ChildProcess) -> None:
        self._children[child.name] = child
        self._tasks[child.name] = asyncio.create_task(child.run(), name=f"child-{child.name}")

    def _on_report(self, report: Json) -> None:
        reads_cameras = KINDS[_kind_name(report["name"])].reads_cameras
        cameras: Json = report["cameras"] if reads_cameras else {}
        for slug, camera in cameras.items() if self._capture_errors else ():
            if camera["state"] != CameraState.CONNECTING:
                self._capture_errors.pop(slug, None)
        if any(camera.get("preset", "") != self._presets.get(slug, "") for slug, camera in cameras.items()):
            self._apply()
        if self._recordings is not None:
            self._recordings.hear(report.get("segments", ()))
        saved_ns = max((version[0] for version in report.get("module_versions", {}).values()), default=0)
        if self._crashes.code_saved(saved_ns):
            self._apply()
        if report.get("news", True):
            self._changed.set()

    def _find_presets(self) -> dict[str, str]:
        """Return the PTZ presets at which cameras are, as their processes report it."""
        return {
            slug: camera["preset"]
            for child in self._children.values()
            if KINDS[child.kind].reads_cameras
            for slug, camera in child.report.get("cameras", {}).items()
            if camera.get("preset")
        }

    def _on_death(self, child: ChildProcess, death: Death) -> None:
        kind = KINDS[child.kind]
        if kind.runs_user_code:
            self._crashes.died(read_last_words(self._config.run_dir / f"{child.name}.running"), death)
            self._apply()
        if kind.reads_cameras:
            if not death.by_us:
                error = SourceEndedError(_how_capture_ended(death))
                self._capture_errors |= dict.fromkeys(self._assigned.get(child.name, ()), error.as_dict())
            if self._recordings is not None:
                self._recordings.capture_ended()
        self._changed.set()

    # --- desired state ---

    async def _follow_wanted(self) -> None:
        trouble = ""
        while True:
            if not self._wanted.is_current():
                try:
                    state = await asyncio.to_thread(self._wanted.read)
                except NinjacamError as exc:
                    if str(exc) != trouble:
                        logger.warning("engine: the desired state cannot be read: %s", exc)
                    trouble = str(exc)
                else:
                    trouble = ""
                    if state != self._state:
                        self._state = state
                        self._apply()
            await self._clock.sleep(until_tick_s(READ_EVERY_S, self._clock))

    @property
    def _specs(self) -> tuple[CameraSpec, ...]:
        return self._state.cameras if self._state is not None else ()

    def _apply(self) -> None:
        if self._state is None:
            return  # Children of the previous engine may already report while others are still being adopted.
        plan = make_plan(
            self._state.cameras,
            self._assigned,
            cameras_per_capture=self._config.cameras_per_capture,
            vision_workers=self._config.vision_workers,
            place_of=_place_of,
        )
        self._presets = self._find_presets()
        situation = Situation(
            self._state, plan, self._crashes.quarantined(), self._config.publish_ports, self._presets
        )
        work: dict[str, Json] = {}
        for kind in KINDS.values():
            work |= kind.work(situation)
        for name in [name for name in self._children if name not in work]:
            child = self._children.pop(name)
            child.stop()
            if self._recordings is not None and KINDS[child.kind].reads_cameras:
                self._recordings.capture_ended()
            task = self._tasks.pop(name)
            self._tasks[f"ending-{name}-{id(task)}"] = task
        self._tasks = {name: task for name, task in self._tasks.items() if not task.done()}
        self._assigned = {name: {entry["slug"] for entry in job["cameras"]} for name, job in work.items()}
        # Update processes that lose a camera before those that get it, so that no camera is opened twice.
        for name, job in work.items():
            if name not in self._children:
                self._begin(self._child(name, KINDS[_kind_name(name)]))
            self._children[name].assign(job)
        self._changed.set()

    # --- status ---

    async def _write_status(self) -> None:
        failing = False
        while True:
            status = self.status()
            self._cameras = status["cameras"]
            if self._state is not None:
                self._events.observe_cameras(status["cameras"])
            try:
                self._status.write(status)
                failing = False
            except OSError as exc:
                if not failing:
                    logger.error("engine: the status cannot be written: %s", exc.strerror)  # noqa: TRY400
                failing = True
            try:
                # wait_for may swallow a cancellation (Python 3.11).
                async with asyncio.timeout(until_tick_s(STATUS_EVERY_S, self._clock)):
                    await self._changed.wait()
                await asyncio.sleep(STATUS_SOON_S)
            except TimeoutError:
                pass
            self._changed.clear()

    def _recordings_status(self) -> Json:
        return {**self._recordings.status(), **self._events.disk_status()} if self._recordings else {}

    def status(self) -> Json:
        """Return the content of status.json. See docs/design/0003-lifecycle.md for the fields."""
        cameras: Json = {}
        views: Json = {}
        processors: list[Json] = []
        modules: list[Json] = []
        is_code_known = False
        scenes: Json = {}
        for child in self._children.values():
            kind = KINDS[child.kind]
            if kind.reads_cameras:
                cameras.update(child.report.get("cameras", {}))
            if kind.runs_user_code:
                views.update(child.report.get("views", {}))
                scenes.update(child.report.get("scenes", {}))
                processors = child.report.get("processors", processors)
                is_code_known |= "processors" in child.report
                modules = child.report.get("modules", modules)
        statuses = {
            spec.slug: _camera_status(spec, cameras.get(spec.slug), self._capture_errors.get(spec.slug))
            for spec in self._specs
        }
        self._add_findings(statuses, scenes)
        return {
            "updated_ns": self._clock.wall_ns(),
            "engine_pid": os.getpid(),
            "cameras": statuses,
            "processors": processors,
            "is_code_known": is_code_known,
            "modules": modules,
            "views": views,
            "recordings": self._recordings_status(),
            "events": dict(self._events.begun),
            "processes": [
                {
                    "name": child.name,
                    "kind": child.kind,
                    "pid": child.pid,
                    "restarts": child.restarts,
                    "cameras": sorted(self._assigned.get(child.name, ())),
                }
                for child in self._children.values()
            ],
        }

    def _add_findings(self, statuses: Json, scenes: Json) -> None:
        bitrates = self._recordings.bitrates if self._recordings is not None else {}
        figures = {
            slug: Figures(status, scenes.get(slug, {}), bitrates.get(slug))
            for slug, status in statuses.items()
        }
        for slug, findings in self._findings.observe(figures).items():
            if findings:
                statuses[slug]["findings"] = findings


def _place_of(camera: CameraSpec) -> str:
    """Return the name of the capture process that the camera requires; "": any."""
    try:
        if waits_for_publisher(camera.source):
            return PUBLISHED_CAPTURE
    except NinjacamError:
        return ""  # Its capture process will report the error.
    sources = (camera.source, *(stream.source for stream in camera.usable_streams))
    return f"{OWN_CAPTURE}{camera.slug}" if any(map(_runs_native_code, sources)) else ""


def _runs_native_code(source: SourceConfig) -> bool:
    try:
        return runs_native_code(source)
    except NinjacamError:
        return False  # The capture process will report the error.


def _kind_name(name: str) -> str:
    return name.partition("-")[0]


def _how_capture_ended(death: Death) -> str:
    status = death.returncode
    how = f" ({signal.Signals(-status).name})" if status is not None and status < 0 else ""
    return (
        f"The process that reads this camera ended{how} and is restarted. If this repeats, the camera sends "
        "corrupt data: update its firmware, or use another of its URLs."
    )


def _camera_status(spec: CameraSpec, reported: Json | None, capture_error: Json | None = None) -> Json:
    if not spec.enabled:
        return {"state": CameraState.DISABLED, "error": None}
    if spec.error is not None:
        return {"state": CameraState.FAILED, "error": spec.error}
    status = _main_status(spec, reported, capture_error)
    if spec.streams:
        streams = (reported or {}).get("streams", {})
        status["streams"] = {each.name: _stream_status(each, streams.get(each.name)) for each in spec.streams}
    return status


def _stream_status(spec: StreamSpec, reported: Json | None) -> Json:
    if spec.error is not None:
        return {"state": CameraState.FAILED, "error": spec.error}
    if reported is None or reported.get("revision") != spec.revision:
        return {"state": CameraState.IDLE, "error": None}
    return {key: value for key, value in reported.items() if key != "revision"}


def _main_status(spec: CameraSpec, reported: Json | None, capture_error: Json | None) -> Json:
    is_connecting = reported is None or reported["state"] == CameraState.CONNECTING
    if capture_error is not None and is_connecting:
        return {"state": CameraState.RECONNECTING, "error": capture_error}
    if reported is None or reported.get("revision") != spec.revision:
        return {"state": CameraState.CONNECTING, "error": None}
    return {key: value for key, value in reported.items() if key not in ("revision", "streams")}
