"""`ninjacam openapi`: print the OpenAPI document that `/api/v1/openapi.json` serves."""

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from ninjacam.api import api
from ninjacam.management.base import NinjacamCommand


def document() -> str:
    """Return the document with the paths of the mount point "/", so that it is the same in every project."""
    return json.dumps(api.get_openapi_schema(path_prefix="/api/v1/"), indent=2, ensure_ascii=False) + "\n"


class Command(NinjacamCommand):
    private_files = False
    help = "Print the OpenAPI document, or write it to a file."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path)

    def run(self, options: dict[str, Any]) -> None:
        if options["file"]:
            options["file"].write_text(document(), encoding="utf-8")
        else:
            self.stdout.write(document(), ending="")
