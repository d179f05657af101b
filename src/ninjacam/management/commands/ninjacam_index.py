"""`ninjacam index --rebuild`: the index of the recordings, made anew from the files."""

from typing import Any

from django.core.management.base import CommandParser

from ninjacam.adapters.index_check import rebuild
from ninjacam.adapters.segment_index import DatabaseIndex
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.management.base import NinjacamCommand

DAY_NS = 86_400 * 10**9


class Command(NinjacamCommand):
    help = "Bring the index of the recordings up to date with the last day's files; with --rebuild, with all files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--rebuild", action="store_true", help="read all files, and forget rows whose files are gone"
        )
        parser.add_argument("--force", action="store_true", help="even if there is not one file")

    def run(self, options: dict[str, Any]) -> None:
        config = get_settings()
        if not options["rebuild"]:
            index = DatabaseIndex(config.recordings_dir, config.retention)
            found = index.catch_up(SYSTEM_CLOCK.wall_ns() - DAY_NS)
            self.stdout.write(f"{found} recordings brought up to date.")
            return
        done = rebuild(config.recordings_dir, force=options["force"])
        self.stdout.write(f"{done.listed} recordings listed, {done.removed} that are gone removed.")
        if done.left_out:
            self.warn(f"{done.left_out} files cannot be read: `ninjacam fsck` says why.")
