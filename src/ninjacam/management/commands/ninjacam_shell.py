"""`ninjacam shell CAMERA`: an interpreter with a current frame of a camera."""

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.core.management.commands.shell import Command as DjangoShell

from ninjacam.conf import get_settings
from ninjacam.core.errors import NinjacamError, ProcessorError
from ninjacam.core.redact import redact_url
from ninjacam.core.streams import MAIN, stream_key
from ninjacam.management.base import OPERATOR, OwnCommand
from ninjacam.management.workbench import Workbench
from ninjacam.queries.cameras import get_camera
from ninjacam.vision.live_frames import LiveFrames

HELP = """\
frame                 a frame of “{slug}”: frame.image (BGR), frame.gray, frame.zones
grab()                the camera's newest frame
run(PROCESSOR)        call a processor with it: a name, a function or a class. Saved code is loaded again.
                      run(PROCESSOR, frames=20, options={{"score": 0.4}}) returns what it returned for 20 frames
save(WHAT, PATH)      write a frame, an array, or what run() returned, with its annotations, as an image
camera, np, cv2       and all models of the project
"""


class Command(DjangoShell, OwnCommand):
    help = "Open a Python interpreter with a current frame of a camera that is running, to try code on it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("camera", help="short name of the camera")
        parser.add_argument("--stream", default=MAIN, help="name of the stream; default: main")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            self._camera = get_camera(OPERATOR, options["camera"])
            key = stream_key(self._camera.slug, options["stream"])
            with LiveFrames(get_settings().run_dir / f"{key}.packets") as frames:
                self._bench = Workbench(self._camera, frames)
                self._frame = self._bench.grab()
                super().handle(*args, **options)
        except ProcessorError as error:
            self.stderr.write(error.traceback)
            raise CommandError(error.message) from error
        except NinjacamError as error:
            raise CommandError(redact_url(error.message)) from error

    def get_namespace(self, **options: Any) -> dict[str, Any]:
        import cv2
        import numpy as np

        is_asked = not options.get("command")
        if is_asked:
            self.stdout.write(HELP.format(slug=self._camera.slug))
        own = {"camera": self._camera, "frame": self._frame, "np": np, "cv2": cv2}
        own |= {"grab": self._bench.grab, "run": self._bench.run, "save": self._bench.save}
        return {**super().get_namespace(**{**options, "verbosity": 0}), **own}
