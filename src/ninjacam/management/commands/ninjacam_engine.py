"""`manage.py ninjacam_engine`: the engine of this host, beside your own ASGI server."""

import asyncio
import os
import signal
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError
from ninjacam.core.lifecycle import Stop
from ninjacam.engine.engine import Engine, EngineConfig
from ninjacam.engine.status import StatusFile
from ninjacam.hub.child import run_loop
from ninjacam.management.event_log import DatabaseEventLog
from ninjacam.management.family import python_environment
from ninjacam.management.segment_index import DatabaseIndex
from ninjacam.management.wanted import DatabaseWanted


class Command(BaseCommand):
    requires_system_checks: list[
        str
    ] = []  # they import URLs, API and all, and the engine is to be back at once
    help = "Run the engine: captures the cameras, runs your processors, until it is stopped."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            config = get_settings()
            os.environ.update(python_environment())
            engine = Engine(
                EngineConfig(
                    run_dir=config.run_dir,
                    vision_argv=(sys.executable, "-m", "ninjacam.management.vision_worker"),
                    cameras_per_capture=config.cameras_per_capture,
                    vision_workers=config.vision_workers,
                    recordings_dir=config.recordings_dir,
                    jobs_argv=(sys.executable, "-m", "ninjacam.management.job_worker"),
                ),
                DatabaseWanted(),
                StatusFile(config.status_path),
                index=DatabaseIndex(config.recordings_dir, config.retention),
                events=DatabaseEventLog(),
            )
            run_loop(lambda: _run(engine))
        except NinjacamError as exc:
            raise CommandError(str(exc)) from exc


async def _run(engine: Engine) -> None:
    stop = Stop()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await engine.run(stop)
