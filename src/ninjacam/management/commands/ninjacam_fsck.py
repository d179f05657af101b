"""`ninjacam fsck`: compare the recordings with their index. Changes nothing."""

from collections import Counter
from typing import Any

from django.core.management.base import CommandError

from ninjacam.adapters.index_check import compare
from ninjacam.conf import get_settings
from ninjacam.management.base import NinjacamCommand
from ninjacam.models import Segment


class Command(NinjacamCommand):
    help = (
        "Compare the recordings with their index and explain each difference. Exits with 1 if there are any."
    )

    def run(self, options: dict[str, Any]) -> None:
        kinds: Counter[str] = Counter()
        for difference in compare(get_settings().recordings_dir):
            kinds[difference.kind] += 1
            self.stdout.write(f"{difference.kind}: {difference.path}: {difference.text}")
        strangers = kinds.pop("stranger", 0)
        if kinds:
            counts = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            raise CommandError(
                f"{counts}. Run `ninjacam index --rebuild` to update the index from the files."
            )
        self.stdout.write(f"{Segment.objects.count()} recordings match the index; {strangers} other files.")
