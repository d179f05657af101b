"""`ninjacam show SLUG`: show a camera."""

import json
from typing import Any

from django.core.management.base import CommandParser

from ninjacam.management.base import OPERATOR, NinjacamCommand
from ninjacam.management.cameras import describe, table
from ninjacam.queries.cameras import get_camera
from ninjacam.queries.status import read_status


class Command(NinjacamCommand):
    help = "Show a camera's settings, state, health and errors."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", help="short name of the camera")
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def run(self, options: dict[str, Any]) -> None:
        about = describe(get_camera(OPERATOR, options["slug"]), read_status())
        if options["json"]:
            self.stdout.write(json.dumps(about, ensure_ascii=False, indent=2))
            return
        about["error"] = (about["error"] or {}).get("message", "")
        streams, findings = about.pop("streams"), about.pop("findings")
        words = {True: "yes", False: "no"}
        about["processors"] = ", ".join(about["processors"])
        rows = [(name, words.get(value, str(value))) for name, value in about.items() if value != ""]
        rows += [(f"stream {stream['name']}", _describe_stream(stream)) for stream in streams]
        rows += [(finding["level"], f"{finding['message']} {finding['advice']}") for finding in findings]
        for line in table(rows):
            self.stdout.write(line)


def _describe_stream(stream: dict[str, Any]) -> str:
    """Return one line: the stream's state, its last known format, its address."""
    size = (
        f"{stream['codec']} {stream['width_px']} x {stream['height_px']}" if stream["codec"] else "never seen"
    )
    rate = f"{stream['fps']:g} fps, {stream['bitrate_bps'] / 1e6:.1f} Mbit/s" if stream["codec"] else ""
    return ", ".join(part for part in (stream["state"], size, rate, stream["url"]) if part)
