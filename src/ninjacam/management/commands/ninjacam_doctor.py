"""`ninjacam doctor`: find problems and suggest solutions."""

from typing import Any

from django.core.management.base import CommandError

from ninjacam.core.redact import redact_url
from ninjacam.management.base import NinjacamCommand
from ninjacam.management.diagnosis import PARTS


class Command(NinjacamCommand):
    help = "Check Python, codecs, settings, database, engine and cameras. Exits with 1 if something must be fixed."

    def run(self, options: dict[str, Any]) -> None:
        to_fix = 0
        for part in PARTS:
            for finding in part():
                to_fix += finding.level == "FIX"
                style = {"OK": self.style.SUCCESS, "WARN": self.style.WARNING, "FIX": self.style.ERROR}[
                    finding.level
                ]
                self.stdout.write(f"{style(f'{finding.level:4}')}  {redact_url(finding.text)}")
        if to_fix:
            raise CommandError(f"{to_fix} problems to fix.")
