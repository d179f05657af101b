"""`ninjacam index --rebuild`: rebuild the index of the recordings from the files."""

from typing import Any

from django.core.management.base import CommandParser

from ninjacam.adapters.index_check import rebuild
from ninjacam.adapters.segment_index import DatabaseIndex
from ninjacam.conf import get_settings
from ninjacam.core.clock import SYSTEM_CLOCK
from ninjacam.management.base import NinjacamCommand

DAY_NS = 86_400 * 10**9


class Command(NinjacamCommand):
    help = "Update the index of the recordings from the last day's files or, with --rebuild, from all files."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--rebuild",
            action="store_true",
            help="read all files, and remove index rows whose files are missing",
        )
        parser.add_argument("--force", action="store_true", help="rebuild even if there are no files")

    def run(self, options: dict[str, Any]) -> None:
        config = get_settings()
        if not options["rebuild"]:
            index = DatabaseIndex(config.recordings_dir, config.retention)
            found = index.catch_up(SYSTEM_CLOCK.wall_ns() - DAY_NS)
            self.stdout.write(f"{found} recordings updated.")
            return
        done = rebuild(config.recordings_dir, force=options["force"])
        self.stdout.write(f"{done.listed} recordings indexed, {done.removed} missing ones removed.")
        if done.left_out:
            self.warn(f"{done.left_out} files cannot be read. Run `ninjacam fsck` for the reasons.")
