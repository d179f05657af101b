"""`ninjacam remove SLUG`: a camera less."""

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ninjacam.actions.cameras import delete_camera, find_camera
from ninjacam.management.base import OPERATOR, NinjacamCommand


class Command(NinjacamCommand):
    help = "Remove a camera and the grants for it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="its short name")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def run(self, options: dict[str, Any]) -> None:
        camera = find_camera(OPERATOR, options["slug"])
        if not options["yes"]:
            if not sys.stdin.isatty():
                raise CommandError("There is no terminal to ask whether you are sure: use --yes.")
            if input(f"Remove {camera.slug}? Its recordings stay. [y/N] ").strip().lower() not in (
                "y",
                "yes",
            ):
                raise CommandError("Not removed.")
        slug = camera.slug
        delete_camera(OPERATOR, camera)
        self.stdout.write(f"Removed {slug}. Its recordings stay on disk.")
