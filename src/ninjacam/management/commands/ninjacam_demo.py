"""`ninjacam demo`: a demo camera, two example processors, an account and the server."""

import secrets
import socket
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import CommandParser

from ninjacam.conf import get_settings
from ninjacam.core.interpreter import python_command
from ninjacam.management.commands import ninjacam_serve
from ninjacam.management.commands.ninjacam_serve import port_number
from ninjacam.models import Camera
from ninjacam.supervision.process_supervisor import SupervisedProcess
from ninjacam.testing.scenes import SceneOptions, make_clip

USER = "demo"
SLUG = "demo"
SECONDS = 20.0
"""Length in seconds of the generated street scene, which repeats."""
CODE = '''"""Your code on every camera. Save this file: every viewer sees the change within two seconds."""

import cv2

from ninjacam import Frame, draw_text, processor


@processor
def edges(frame: Frame):
    return cv2.Canny(frame.image, 80, 160)


@processor
def clock(frame: Frame):
    text = f"{frame.camera}  {frame.captured_at:%H:%M:%S}"
    draw_text(frame.image, text, (24, frame.height - 28), size_px=32)
'''


class Command(ninjacam_serve.Command):
    help = "Run Ninjacam with a demo camera. Prints the URL and how to log in."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--camera-port", type=port_number, default=0, help="port of the demo camera; 0: a free port"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.use_options(options)
        config = get_settings()
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        code = config.data_dir / "cameras.py"
        if not code.exists():
            code.write_text(CODE)
        password = self._account(config.data_dir / "demo-password")
        port = options["camera_port"] or _free_port()
        self._camera(port)
        self.stdout.write(f"Log in as {USER} with the password {password}")
        self.stdout.write(f"The processors are in {code}. Edit the file and watch the views change.")
        self.stdout.write("Drawing the demo camera's street ...")
        self.stdout.flush()
        make_clip(SceneOptions(seconds=SECONDS, stamped=False), cache_dir=config.data_dir / "demo")
        options_of_camera = ["--port", str(port), "--seconds", str(SECONDS), "--no-stamp"]
        cache = ["--cache", str(config.data_dir / "demo")]
        camera = python_command("ninjacam.testing.camera", *options_of_camera, *cache)
        process = SupervisedProcess("demo-camera", camera, bare=True, quiet=True)
        self.serve(options["host"], options["port"], options["workers"], [process])

    def _account(self, path: Path) -> str:
        """Return the demo's administrator. The password is stored in the directory of the database."""
        users = get_user_model()._default_manager
        user = users.filter(username=USER).first()
        if path.exists() and user is not None:
            return path.read_text().strip()
        password = secrets.token_urlsafe(9)
        if user is None:
            user = users.create_superuser(username=USER, password=password)
        else:
            user.set_password(password)
            user.save()
        path.touch(mode=0o600)
        path.write_text(password + "\n")
        return password

    def _camera(self, port: int) -> None:
        camera = Camera.objects.filter(slug=SLUG).first() or Camera(slug=SLUG, name="Demo camera")
        camera.set_source(f"rtsp://127.0.0.1:{port}/cam0")
        camera.save()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
