"""`ninjacam list`: list the cameras."""

import json
from typing import Any

from django.core.management.base import CommandParser

from ninjacam.management.base import NinjacamCommand
from ninjacam.management.cameras import describe, table
from ninjacam.models import Camera
from ninjacam.queries.status import read_status


class Command(NinjacamCommand):
    help = "List the cameras and their states."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON array of objects")

    def run(self, options: dict[str, Any]) -> None:
        status = read_status()
        cameras = [describe(camera, status) for camera in Camera.objects.prefetch_related("streams")]
        if options["json"]:
            self.stdout.write(json.dumps(cameras, ensure_ascii=False, indent=2))
        elif cameras:
            names = ("slug", "state", "health", "record", "url", "name")
            rows = [{**each, "health": _health_label(each["findings"])} for each in cameras]
            for line in table([names, *(tuple(str(row[name]) for name in names) for row in rows)]):
                self.stdout.write(line)
        else:
            self.stdout.write("There are no cameras yet. Add one: ninjacam add SLUG URL")


def _health_label(findings: list[dict[str, Any]]) -> str:
    """Return the label of the most serious finding, and the number of others."""
    if not findings:
        return "-"
    others = len(findings) - 1
    return f"{findings[0]['label']} +{others}" if others else str(findings[0]["label"])
