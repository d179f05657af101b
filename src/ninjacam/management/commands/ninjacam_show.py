"""`ninjacam show SLUG`: show a camera."""

import json
from typing import Any

from django.core.management.base import CommandParser

from ninjacam.management.base import OPERATOR, NinjacamCommand
from ninjacam.management.cameras import describe, table
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import read_status


class Command(NinjacamCommand):
    help = "Show a camera's settings, state and errors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the camera")
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def run(self, options: dict[str, Any]) -> None:
        about = describe(get_camera(OPERATOR, options["slug"]), read_status())
        if options["json"]:
            self.stdout.write(json.dumps(about, ensure_ascii=False, indent=2))
            return
        about["error"] = (about["error"] or {}).get("message", "")
        words = {True: "yes", False: "no"}
        rows = [(name, words.get(value, str(value))) for name, value in about.items() if value != ""]
        for line in table(rows):
            self.stdout.write(line)
