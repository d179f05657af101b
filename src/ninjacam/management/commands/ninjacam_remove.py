"""`ninjacam remove SLUG`: remove a camera, with or without its recordings."""

import sys
from typing import Any, Literal

from django.core.management.base import CommandError, CommandParser

from ninjacam.actions.cameras import delete_camera
from ninjacam.management.base import OPERATOR, NinjacamCommand
from ninjacam.models import archive
from ninjacam.queries.cameras import get_camera


class Command(NinjacamCommand):
    help = "Remove a camera and its grants. You choose whether to keep its recordings."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the camera")
        recordings = parser.add_mutually_exclusive_group()
        recordings.add_argument(
            "--keep-recordings", action="store_const", dest="recordings", const="keep",
            help="keep the recordings; administrators find them under this name until a new camera uses it",
        )  # fmt: skip
        recordings.add_argument(
            "--delete-recordings", action="store_const", dest="recordings", const="delete",
            help="delete the recordings, events and exports, including protected ones",
        )  # fmt: skip
        parser.add_argument("--yes", action="store_true", help="do not ask for confirmation")

    def run(self, options: dict[str, Any]) -> None:
        camera = get_camera(OPERATOR, options["slug"])
        slug = camera.slug
        recordings = options["recordings"] or _choose(slug)
        loss = " and its recordings" if recordings == "delete" else ""
        if not options["yes"]:
            answer = _ask(f"Remove {slug}{loss}? [y/N] ", "for confirmation: use --yes")
            if answer not in ("y", "yes"):
                raise CommandError("Not removed.")
        delete_camera(OPERATOR, camera, recordings=recordings)
        kept = " Its recordings are kept." if recordings == "keep" and archive.has_left(slug) else ""
        self.stdout.write(f"Removed {slug}{loss}.{kept}")


def _choose(slug: str) -> Literal["keep", "delete"]:
    if not archive.has_left(slug):
        return "keep"
    hint = f"whether to keep the recordings of {slug}: use --keep-recordings or --delete-recordings"
    answer = _ask(f"Keep or delete the recordings of {slug}? [keep/delete] ", hint)
    if answer not in ("keep", "delete"):
        raise CommandError("Not removed. Answer keep or delete.")
    return "delete" if answer == "delete" else "keep"


def _ask(question: str, hint: str) -> str:
    """Prompt and return the response in lower case. Raises: CommandError: there is no terminal."""
    if not sys.stdin.isatty():
        raise CommandError(f"There is no terminal to ask {hint}.")
    return input(question).strip().lower()
