"""`manage.py runserver`: Django's development server, as an ASGI server and with the engine.

Django uses it if “ninjacam” precedes "django.contrib.staticfiles" in INSTALLED_APPS.
"""

import importlib.util
import os
from typing import Any

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.contrib.staticfiles.management.commands import runserver
from django.core.management.base import CommandParser
from django.utils.autoreload import DJANGO_AUTORELOAD_ENV

from ninjacam.conf import get_settings
from ninjacam.core.errors import ConfigError
from ninjacam.core.limits import die_with_parent, keep_files_private
from ninjacam.management.development import AsgiServer, DevelopmentEngine, end_on_sigterm


class Command(runserver.Command):
    help = "Start a web server for development that streams, serves static files and runs the engine."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--noengine",
            action="store_false",
            dest="use_engine",
            help="Do not run the engine, because ninjacam_engine runs elsewhere.",
        )

    def run(self, **options: Any) -> None:
        """Run the server. The engine belongs to the outer process, so it continues when the code is reloaded."""
        keep_files_private()
        if os.environ.get(DJANGO_AUTORELOAD_ENV) == "true":
            die_with_parent(os.getppid())
            super().run(**options)
            return
        if not options["use_reloader"]:
            end_on_sigterm()
        engine = self._make_engine() if options["use_engine"] else None
        if engine is None:
            super().run(**options)
            return
        with engine:
            super().run(**options)

    def _make_engine(self) -> DevelopmentEngine | None:
        try:
            run_dir = get_settings().run_dir
        except ConfigError:
            return None  # `check` reports it.
        return DevelopmentEngine(run_dir, self.stdout)

    def get_handler(self, *args: Any, **options: Any) -> Any:
        if importlib.util.find_spec("uvicorn") is None:
            self.stderr.write(
                self.style.WARNING(
                    "This server cannot stream without uvicorn. Run: pip install 'ninjacam[server]'"
                )
            )
            return super().get_handler(*args, **options)
        from ninjacam.processes.web_worker import load_application

        self.server_cls = AsgiServer  # type: ignore[assignment]  # It has the interface that Django uses.
        application = load_application(serve_static=options["use_static_handler"])
        return ASGIStaticFilesHandler(application) if options["insecure_serving"] else application
