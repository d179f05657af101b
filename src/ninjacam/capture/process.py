"""A capture process: runs the cameras that the engine assigns to it."""

import asyncio
import logging
from pathlib import Path

from ninjacam.capture.camera import CameraCapture
from ninjacam.capture.publishing import Publishing
from ninjacam.capture.sink import PacketSinks
from ninjacam.core.errors import ConfigError, NinjacamError
from ninjacam.devices.device import OnvifDevice
from ninjacam.devices.events import DeviceEvents
from ninjacam.devices.server import DeviceServer
from ninjacam.sources.base import source_from
from ninjacam.sources.publish import PublishPorts
from ninjacam.supervision.child import Child
from ninjacam.supervision.control import Json

logger = logging.getLogger("ninjacam.capture")


class CaptureProcess:
    """`sinks`: record its cameras; None: no recording."""

    def __init__(
        self, *, name: str, run_dir: Path, orphan_s: float, sinks: PacketSinks | None = None
    ) -> None:
        self._run_dir = run_dir
        self._sinks = sinks
        self._cameras: dict[str, CameraCapture] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._devices: dict[str, tuple[Json, DeviceServer]] = {}
        """Configuration and socket of each camera that takes commands."""
        self._events: dict[str, DeviceEvents] = {}
        self._publishing = Publishing()
        self._child = Child(
            name=name, run_dir=run_dir, orphan_s=orphan_s, assign=self._assign, status=self._status
        )

    async def run(self) -> None:
        try:
            await self._child.run()
        finally:
            await self._publishing.close()
            await asyncio.gather(
                *(self._end(slug) for slug in list(self._cameras)),
                *(self._control(slug, {}) for slug in list(self._devices)),
            )

    async def _assign(self, message: Json) -> None:
        wanted = {entry["slug"]: entry for entry in message["cameras"]}
        gone = [
            slug
            for slug, camera in self._cameras.items()
            if slug not in wanted or wanted[slug]["revision"] != camera.revision
        ]
        await asyncio.gather(*(self._end(slug) for slug in gone))
        for slug, entry in wanted.items():
            if slug not in self._cameras:
                self._begin(slug, entry)
            self._record(slug, entry)
        await self._publishing.open(PublishPorts(**message.get("publish_ports", {})))
        await asyncio.gather(
            *(self._control(slug, wanted.get(slug, {})) for slug in {*wanted, *self._devices})
        )

    async def _control(self, slug: str, entry: Json) -> None:
        """Open, replace or close the socket for commands to a camera."""
        config = entry.get("device")
        present, server = self._devices.get(slug, (None, None))
        if config == present:
            return
        if server is not None:
            del self._devices[slug]
            self._events.pop(slug).stop()
            task = self._tasks.pop(f"{slug} events")
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await server.close()
        if config is None:
            return
        try:
            device = OnvifDevice(source_from(config))
            server = DeviceServer(self._run_dir, slug, device)
            await server.start()
        except (OSError, ConfigError) as exc:
            logger.error("%s cannot be controlled: %s", slug, exc)  # noqa: TRY400 (a sentence for a person)
            return
        self._devices[slug] = (config, server)
        events = self._events[slug] = DeviceEvents(slug, device.connect, self._child.changed)
        self._tasks[f"{slug} events"] = asyncio.create_task(events.run(), name=f"events-{slug}")

    def _record(self, slug: str, entry: Json) -> None:
        """ "record": "off", "always", or "events": within the windows of "keep"."""
        if self._sinks is None:
            return
        camera, mode = self._cameras[slug], entry.get("record", "off")
        if (mode != "off") != (camera.sink is not None):
            camera.record_to(self._sinks.open(slug) if mode != "off" else None)
        if camera.sink is not None:
            windows = [(from_ns, until_ns) for from_ns, until_ns in entry.get("keep", ())]
            camera.sink.keep(windows if mode == "events" else None, entry.get("before_s", 0))

    def _begin(self, slug: str, entry: Json) -> None:
        camera = CameraCapture(
            slug=slug,
            camera_id=entry["camera_id"],
            source=source_from(entry["source"]),
            revision=entry["revision"],
            run_dir=self._run_dir,
            on_change=self._child.changed,
        )
        self._cameras[slug] = camera
        self._tasks[slug] = asyncio.create_task(self._run(camera), name=f"capture-{slug}")

    async def _run(self, camera: CameraCapture) -> None:
        """Run a camera so that its errors never affect other cameras."""
        try:
            await camera.run()
        except NinjacamError as exc:
            logger.error("%s: %s", camera.slug, exc)  # noqa: TRY400 (a sentence for a person)

    async def _end(self, slug: str) -> None:
        camera, task = self._cameras.pop(slug), self._tasks.pop(slug)
        await camera.stop()
        await asyncio.gather(task, return_exceptions=True)

    def _status(self) -> Json:
        return {
            "kind": "capture",
            "cameras": {
                slug: {**camera.status(), **self._device_status(slug)}
                for slug, camera in self._cameras.items()
            },
            "segments": self._sinks.report() if self._sinks is not None else [],
        }

    def _device_status(self, slug: str) -> Json:
        events = self._events.get(slug)
        active = events.report() if events is not None else {}
        return {"device_events": active} if active else {}
