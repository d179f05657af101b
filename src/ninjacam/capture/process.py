"""A capture process: runs the streams of the cameras that the engine assigns to it."""

import asyncio
import logging
import math
from pathlib import Path

from ninjacam.capture.camera import CameraCapture
from ninjacam.capture.publishing import Publishing
from ninjacam.capture.sink import PacketSinks
from ninjacam.capture.talks import TalkServers
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.core.streams import MAIN, split_key, stream_key
from ninjacam.devices.events import DeviceEvents
from ninjacam.devices.onvif_device import OnvifDevice
from ninjacam.devices.patrol import PatrolPlan
from ninjacam.devices.registry import open_device
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import source_from
from ninjacam.sources.publish import PublishPorts
from ninjacam.supervision.child import Child
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.capture")


STREAM_REPORT = (
    "state",
    "error",
    "codec",
    "width",
    "height",
    "fps",
    "bitrate_bps",
    "subscribers",
    "last_video_ns",
    "revision",
)
"""Reported fields of a stream besides `main`. The camera's report covers `main`."""


class CaptureProcess:
    """Runs the streams of this process. `sinks`: record its cameras; None: no recording. Streams are identified by
    their keys (`core.streams`)."""

    def __init__(
        self, *, name: str, run_dir: Path, orphan_s: float, sinks: PacketSinks | None = None
    ) -> None:
        self._run_dir = run_dir
        self._sinks = sinks
        self._streams: dict[str, CameraCapture] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._devices: dict[str, tuple[Json, DeviceServer]] = {}
        """Configuration and socket of each camera that accepts commands."""
        self._events: dict[str, DeviceEvents] = {}
        self._publishing = Publishing(run_dir)
        self._names: dict[str, list[str]] = {}
        """The names of each camera's streams besides `main`."""
        self._child = Child(
            name=name, run_dir=run_dir, orphan_s=orphan_s, assign=self._assign, status=self._status
        )
        self._talks = TalkServers(run_dir, self._child.changed)

    async def run(self) -> None:
        try:
            await self._child.run()
        finally:
            await self._publishing.close()
            await asyncio.gather(
                self._talks.close(),
                *(self._end(key) for key in list(self._streams)),
                *(self._control(slug, {}) for slug in list(self._devices)),
            )

    async def _assign(self, message: Json) -> None:
        wanted = {
            stream_key(camera["slug"], stream["name"]): (camera, stream)
            for camera in message["cameras"]
            for stream in ({"name": MAIN, **camera}, *camera.get("streams", ()))
        }
        gone = [
            key
            for key, capture in self._streams.items()
            if key not in wanted or wanted[key][1]["revision"] != capture.revision
        ]
        await asyncio.gather(*(self._end(key) for key in gone))
        self._names = {
            camera["slug"]: [stream["name"] for stream in camera.get("streams", ())]
            for camera in message["cameras"]
        }
        for key, (camera, stream) in wanted.items():
            if key not in self._streams:
                self._begin(key, camera, stream)
        for camera in message["cameras"]:
            self._record(camera)
        if "publish_ports" in message:
            await self._publishing.open(PublishPorts(**message["publish_ports"]))
        cameras = {camera["slug"]: camera for camera in message["cameras"]}
        await asyncio.gather(
            self._talks.assign(cameras.values()),
            *(self._control(slug, cameras.get(slug, {})) for slug in {*cameras, *self._devices}),
        )

    async def _control(self, slug: str, entry: Json) -> None:
        """Open, replace or close the socket for commands to a camera."""
        config = entry.get("device")
        present, server = self._devices.get(slug, (None, None))
        if config != present:
            server = await self._replace_device(slug, config, server)
        if server is not None:
            server.set_patrol(PatrolPlan.of(entry.get("patrol")))

    async def _replace_device(
        self, slug: str, config: Json | None, server: DeviceServer | None
    ) -> DeviceServer | None:
        """Close `server`, and open a new one if there is a configuration."""
        if server is not None:
            del self._devices[slug]
            await self._end_events(slug)
            await server.close()
        if config is None:
            return None
        try:
            device = open_device(source_from(config))
            server = DeviceServer(self._run_dir, slug, device, self._child.changed)
            await server.start()
        except (OSError, ConfigError) as exc:
            logger.error("%s cannot be controlled: %s", slug, exc)  # noqa: TRY400 (a sentence for a person)
            return None
        self._devices[slug] = (config, server)
        # Polling a sleeping camera for events would keep it awake.
        if isinstance(device, OnvifDevice) and not config.get("sleeps"):
            events = self._events[slug] = DeviceEvents(slug, device.connect, self._child.changed)
            self._tasks[f"{slug} events"] = asyncio.create_task(events.run(), name=f"events-{slug}")
        return server

    async def _end_events(self, slug: str) -> None:
        events = self._events.pop(slug, None)
        if events is not None:
            events.stop()
            task = self._tasks.pop(f"{slug} events")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _record(self, camera: Json) -> None:
        """Apply "record": "off", "always", or "events" (within the windows of "keep"). "record_stream": name of the
        stream."""
        if self._sinks is None:
            return
        slug, mode = camera["slug"], camera.get("record", "off")
        recorded = self._streams[stream_key(slug, camera.get("record_stream", MAIN))]
        for capture in self._streams_of(slug).values():
            if capture.sink is not None and (mode == "off" or capture is not recorded):
                capture.record_to(None)
        if mode == "off":
            return
        windows = [(from_ns, until_ns) for from_ns, until_ns in camera.get("keep", ())]
        last_ns = max((until_ns for _, until_ns in windows), default=0)
        recorded.need_recording(
            math.inf if mode == "always" else last_ns
        )  # Must come first: a sink would wake the camera.
        if recorded.sink is None:
            recorded.record_to(self._sinks.open(slug))
        if recorded.sink is not None:
            recorded.sink.keep(windows if mode == "events" else None, camera.get("before_s", 0))

    def _streams_of(self, slug: str) -> dict[str, CameraCapture]:
        """Return the camera's streams by name."""
        found = (
            (name, self._streams.get(stream_key(slug, name))) for name in (MAIN, *self._names.get(slug, ()))
        )
        return {name: capture for name, capture in found if capture is not None}

    def _begin(self, key: str, camera: Json, stream: Json) -> None:
        capture = CameraCapture(
            slug=camera["slug"],
            stream=stream["name"],
            camera_id=camera["camera_id"],
            source=source_from(stream["source"]),
            revision=stream["revision"],
            run_dir=self._run_dir,
            on_change=self._child.changed,
        )
        self._streams[key] = capture
        self._tasks[key] = asyncio.create_task(self._run(capture), name=f"capture-{key}")

    async def _run(self, capture: CameraCapture) -> None:
        """Run a stream so that its errors never affect other streams."""
        try:
            await capture.run()
        except NinjacamError as exc:
            logger.error("%s: %s", capture.key, exc)  # noqa: TRY400 (a sentence for a person)

    async def _end(self, key: str) -> None:
        capture, task = self._streams.pop(key), self._tasks.pop(key)
        await capture.stop()
        await asyncio.gather(task, return_exceptions=True)

    def _status(self) -> Json:
        slugs = [slug for slug, name in map(split_key, self._streams) if name == MAIN]
        return {
            "kind": "capture",
            "cameras": {
                slug: {
                    **self._camera_status(slug),
                    **self._device_status(slug),
                    **self._talks.report(slug),
                }
                for slug in slugs
            },
            "segments": self._sinks.report() if self._sinks is not None else [],
        }

    def _device_status(self, slug: str) -> Json:
        events = self._events.get(slug)
        active = events.report() if events is not None else {}
        _, server = self._devices.get(slug, (None, None))
        patrol = server.report_patrol() if server is not None else None
        preset = server.preset if server is not None else ""
        found = {"device_events": active, "patrol": patrol, "preset": preset}
        return {name: value for name, value in found.items() if value}

    def _camera_status(self, slug: str) -> Json:
        captures = self._streams_of(slug)
        reports = {name: capture.status() for name, capture in captures.items()}
        camera = reports.pop(MAIN)
        if reports:
            camera["streams"] = {
                name: {field: report[field] for field in STREAM_REPORT} for name, report in reports.items()
            }
            recorded = next((name for name, each in captures.items() if each.sink is not None), MAIN)
            camera["recording"] = reports.get(recorded, camera)["recording"]
        return camera
