"""`manage.py ninjacam_engine`: run the engine of this host. Your own ASGI server runs separately."""

import asyncio
import logging
import signal
from typing import Any

from django.core.management.base import CommandError
from django.db import connections

from ninjacam.adapters.event_log import DatabaseEventLog
from ninjacam.adapters.segment_index import DatabaseIndex
from ninjacam.adapters.stream_log import DatabaseStreamLog
from ninjacam.adapters.wanted import DatabaseWanted
from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.core.lifecycle import Stop
from ninjacam.engine.engine import Engine, EngineConfig
from ninjacam.engine.status import StatusWriter
from ninjacam.management.base import OwnCommand
from ninjacam.management.private import make_private, private_paths
from ninjacam.supervision.child import run_loop
from ninjacam.supervision.launcher import Launcher
from ninjacam.supervision.template import Template

logger = logging.getLogger("ninjacam.engine")


class Command(OwnCommand):
    help = "Run the engine, which captures the cameras and runs your processors, until it is stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            config = get_settings()
            for sentence in make_private(each for each in private_paths(config) if each.own):
                logger.warning("%s", sentence)
            engine = Engine(
                EngineConfig(
                    run_dir=config.run_dir,
                    cameras_per_capture=config.cameras_per_capture,
                    vision_workers=config.vision_workers,
                    recordings_dir=config.recordings_dir,
                    publish_ports=config.publish_ports,
                ),
                DatabaseWanted(config.exports_dir),
                StatusWriter(config.status_path),
                index=DatabaseIndex(
                    config.recordings_dir,
                    config.retention,
                    exports_dir=config.exports_dir,
                    max_events=config.events_per_camera,
                ),
                events=DatabaseEventLog(),
                streams=DatabaseStreamLog(),
                launcher=Launcher(_start_template()),
            )
            run_loop(lambda: _run(engine))
        except NinjacamError as exc:
            raise CommandError(str(exc)) from exc


def _start_template() -> Template | None:
    connections.close_all()  # A fork must not use the connections of its parent.
    return Template.start()


async def _run(engine: Engine) -> None:
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await engine.run(stop)
