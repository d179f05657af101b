"""`ninjacam motion-search CAMERA`: find movements in a region of the recordings."""

import json
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from ninjacam.actions.motion_search import search_motion
from ninjacam.api.times import to_text
from ninjacam.backtest.movements import MERGE_NS, MotionSpan, Region
from ninjacam.core.times import to_datetime
from ninjacam.management.base import OPERATOR, NinjacamCommand
from ninjacam.management.times import parse_time

MAX_SPAN_NS = 32 * 86_400 * 10**9


class Command(NinjacamCommand):
    help = "Find when something moved in a region of a camera's recordings, from their key frames."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("camera", help="slug of the camera")
        parser.add_argument(
            "--from", dest="start", type=parse_time, required=True, help="such as 2026-11-22T20:00"
        )
        parser.add_argument("--to", dest="end", type=parse_time, required=True)
        parser.add_argument(
            "--region",
            default="0,0,1,1",
            metavar="X1,Y1,X2,Y2",
            help="left, top, right and bottom edges as fractions of the image; default: the whole image",
        )
        parser.add_argument("--json", action="store_true", help="print a JSON object")

    def run(self, options: dict[str, Any]) -> None:
        region = Region.parse(options["region"])
        start_ns, end_ns = options["start"], options["end"]
        if not 0 < end_ns - start_ns <= MAX_SPAN_NS:
            raise CommandError("The end must be after the start, by at most 32 days.")
        movements: list[MotionSpan] = []
        key_frames = 0
        while start_ns < end_ns:
            found = search_motion(OPERATOR, options["camera"], start_ns, end_ns, region)
            key_frames += found.key_frames
            for each in found.movements:
                self._add(movements, each, as_json=options["json"])
            if found.searched_until_ns <= start_ns:
                raise CommandError("The search does not advance: the disk is too slow.")
            start_ns = found.searched_until_ns
        if options["json"]:
            spans = [{"start": to_text(each.start_ns), "end": to_text(each.end_ns)} for each in movements]
            self.stdout.write(json.dumps({"key_frames": key_frames, "movements": spans}))
            return
        self._print(movements[-1:])
        self.stdout.write(f"{len(movements)} movements, {key_frames} key frames examined.")

    def _add(self, movements: list[MotionSpan], found: MotionSpan, *, as_json: bool) -> None:
        """Add a movement, or continue the last one, and print those that have ended."""
        if movements and found.start_ns - movements[-1].end_ns <= MERGE_NS:
            movements[-1] = movements[-1]._replace(end_ns=found.end_ns)
            return
        if not as_json:
            self._print(movements[-1:])
        movements.append(found)

    def _print(self, movements: list[MotionSpan]) -> None:
        for each in movements:
            length_s = (each.end_ns - each.start_ns) / 1e9
            self.stdout.write(f"{_local(each.start_ns)}  {length_s:.0f} s")


def _local(at_ns: int) -> str:
    time: datetime = timezone.localtime(to_datetime(at_ns))
    return time.isoformat(" ", "seconds")
