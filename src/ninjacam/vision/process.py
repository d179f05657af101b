"""A vision worker: the pixels of the cameras that the engine assigns to it, and the user's code."""

import asyncio
import json
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

from ninjacam.core.clock import SYSTEM_CLOCK, until_tick_s
from ninjacam.core.errors import NinjacamError
from ninjacam.core.memory import give_back_freed, host_memory_bytes, resident_bytes
from ninjacam.core.streams import StreamFacts
from ninjacam.core.zones import Zone
from ninjacam.supervision.child import OUT_OF_MEMORY_STATUS, REPORT_EVERY_S, Child
from ninjacam.supervision.control import Json
from ninjacam.supervision.crash_record import LEFT_OUT, RunningFile
from ninjacam.vision.camera import CameraPixels
from ninjacam.vision.code import ModuleFile, ProcessorCode, interrupt

logger = logging.getLogger("ninjacam.vision")

LOOK_EVERY_S, IDLE_LOOK_EVERY_S = 0.25, 1.0
"""At the user's files, and at threads that are stuck; the longer one while no camera has a viewer."""
IDLE_REPORT_EVERY_S = 2.0
"""Seconds between two reports while no camera has a viewer. A change is reported at once."""
GIVE_BACK_AFTER_LOOKS = 3
"""The interval without viewers of any camera, once nobody waits for a frame and decoders have ended."""
LOAD_S = 60.0
"""Importing large models takes many seconds; both limits together are less than the engine's start timeout."""
LOAD_GIVE_UP_S = 2.0
MAX_ABANDONED_THREADS = 16
"""Number of stuck threads at which the worker ends, and the engine starts a new one."""


class VisionProcess:
    """`modules`: where processors may be defined. `reload`: load them again when they are saved. `memory_bytes`:
    above it, the worker ends before the kernel kills some process; 0: half of the host's. `store_guest_view(camera,
    view)`: stores the view that the code declares for guests of a camera that has none. Called in a thread; raises
    NinjacamError if it must be tried again.
    """

    def __init__(
        self,
        *,
        name: str,
        run_dir: Path,
        orphan_s: float,
        modules: list[ModuleFile],
        reload: bool,
        memory_bytes: int = 0,
        store_guest_view: Callable[[str, str], None] | None = None,
    ) -> None:
        self._memory_bytes = memory_bytes or host_memory_bytes() // 2
        self._run_dir = run_dir
        self._reload = reload
        self._child = Child(
            name=name, run_dir=run_dir, orphan_s=orphan_s, assign=self._assign, status=self._status
        )
        self._child.claim()
        self._running = RunningFile(run_dir / f"{name}.running")
        self._code = ProcessorCode(
            modules, running=self._running, left_out=json.loads(os.environ.get(LEFT_OUT, "{}"))
        )
        self._cameras: dict[str, CameraPixels] = {}
        self._is_stuck = False
        self._must_load = False
        self._store_guest_view = store_guest_view
        self._storing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        # Cheaper; and a crash in one of OpenCV's own threads could not be attributed. OpenCV reads it when imported.
        os.environ["OPENCV_FOR_THREADS_NUM"] = "1"
        self._running.watch_ends()
        await self._load()
        look = asyncio.create_task(self._look(), name="vision-look")
        try:
            await self._child.run()
        finally:
            look.cancel()
            await asyncio.gather(
                look,
                *(camera.close() for camera in self._cameras.values()),
                return_exceptions=True,
            )
            if not self._is_stuck:
                self._running.end_in_order()

    async def _look(self) -> None:
        loading: asyncio.Task[None] | None = None
        idle_looks = 0
        while True:
            await asyncio.sleep(until_tick_s(IDLE_LOOK_EVERY_S if idle_looks else LOOK_EVERY_S, SYSTEM_CLOCK))
            is_watched = any(camera.is_watched for camera in self._cameras.values())
            idle_looks = 0 if is_watched else idle_looks + 1
            self._child.report_every_s = (IDLE_REPORT_EVERY_S, REPORT_EVERY_S)[is_watched]
            if idle_looks == GIVE_BACK_AFTER_LOOKS:
                give_back_freed()
            for camera in self._cameras.values():
                camera.check_stall()
            self._store_guest_views()
            if resident_bytes() > self._memory_bytes:
                logger.error("this worker uses more than half of the host's memory; a new one takes over")
                os._exit(OUT_OF_MEMORY_STATUS)  # User code still runs: nothing else is certain to end it.
            if sum(camera.abandoned_threads for camera in self._cameras.values()) > MAX_ABANDONED_THREADS:
                logger.error("too many processors are stuck; this worker ends and a new one takes over")
                self._is_stuck = True
                self._child.stop.set()
            if loading is not None and not loading.done():
                continue
            if self._must_load or (self._reload and self._code.changed()):
                self._must_load = False
                loading = asyncio.create_task(self._load(), name="vision-load")

    async def _load(self) -> None:
        """Wait until the modules are loaded. One that takes too long is interrupted, then abandoned."""
        thread = threading.Thread(target=self._code.refresh, name="load-processors", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, LOAD_S)
        if thread.is_alive():
            interrupt(thread)
            await asyncio.to_thread(thread.join, LOAD_GIVE_UP_S)
        if thread.is_alive():
            self._code.give_up_loading()
        for camera in self._cameras.values():
            camera.code_changed()
        self._store_guest_views()
        self._child.changed()

    def _store_guest_views(self) -> None:
        """Store the views that the code declares for guests. The engine assigns the cameras again afterwards, with
        them; until then, it is tried at each look."""
        if self._storing is not None and not self._storing.done():
            return
        declared = {
            slug: self._code.view_for_guests(slug)
            for slug, each in self._cameras.items()
            if not each.guest_view
        }
        wanted = {slug: view for slug, view in declared.items() if view}
        if wanted and self._store_guest_view is not None:
            self._storing = asyncio.create_task(self._store_all(wanted), name="guest-views")

    async def _store_all(self, wanted: dict[str, str]) -> None:
        assert self._store_guest_view is not None
        for slug, view in wanted.items():
            try:
                await asyncio.to_thread(self._store_guest_view, slug, view)
            except NinjacamError as exc:
                logger.warning("%s: the view for guests is not stored yet: %s", slug, exc)
                return
            if (camera := self._cameras.get(slug)) is not None and not camera.guest_view:
                camera.set_guest_view(view)

    async def _assign(self, message: Json) -> None:
        self._must_load |= self._code.set_ready_made(message.get("ready_made", {}))
        wanted = {entry["slug"]: entry for entry in message["cameras"]}
        for slug in [slug for slug in self._cameras if slug not in wanted]:
            await self._cameras.pop(slug).close()
        for slug, entry in wanted.items():
            camera = self._cameras.get(slug) or CameraPixels(
                slug=slug,
                camera_id=entry["camera_id"],
                run_dir=self._run_dir,
                code=self._code,
                running=self._running,
                on_change=self._child.changed,
            )
            camera.set_guest_view(entry.get("guest_view", ""))  # Before its sockets open.
            try:
                facts = [StreamFacts(**each) for each in entry["streams"]]
                await camera.set_streams(facts, entry["detect_stream"], sleeps=entry.get("sleeps", False))
            except NinjacamError as exc:
                logger.error("%s: %s", slug, exc)  # noqa: TRY400 (a sentence for a person)
                self._cameras.pop(slug, None)
                await camera.close()
                continue
            self._cameras[slug] = camera
            camera.set_off(entry.get("processors_off", ()))
            camera.set_options(entry.get("options", {}))
            camera.set_zones(Zone(**each) for each in entry.get("zones", ()))
            camera.set_quarantine([entry for entry in message["quarantined"] if entry["camera"] == slug])
        self._store_guest_views()

    def _status(self) -> Json:
        return {
            "kind": "vision",
            "cameras": dict.fromkeys(self._cameras),
            "views": {slug: camera.status() for slug, camera in self._cameras.items()},
            "scenes": {slug: scene for slug, camera in self._cameras.items() if (scene := camera.scene())},
            "processors": self._code.describe(),
            "modules": [
                {"module": file.name, "error": self._code.errors.get(file.name)}
                for file in self._code.files
                if file.name in self._code.versions
            ],
            "module_versions": self._code.versions,
        }
