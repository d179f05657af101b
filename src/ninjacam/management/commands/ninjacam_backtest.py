"""`ninjacam backtest PROCESSOR`: runs a processor over recordings or a file, as fast as this host can."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from ninjacam.backtest.comparison import Comparison, compare
from ninjacam.backtest.job import Question
from ninjacam.backtest.parts import RecordedFile
from ninjacam.backtest.report import write_report
from ninjacam.backtest.results import RunResult, read_saved
from ninjacam.backtest.runner import BacktestSpec, recorded_length_s, run_backtest
from ninjacam.backtest.text import comparison_lines, summary_lines
from ninjacam.backtest.video import FILE_STARTS_NS, NS, VideoPart, find_length_ns
from ninjacam.conf import get_settings
from ninjacam.core.errors import InvalidError, NotFoundError, ProcessorError
from ninjacam.management.base import NinjacamCommand
from ninjacam.management.times import parse_time
from ninjacam.models import Camera, Segment

MAX_SPAN_S = 32 * 86_400
MAX_TIMEOUT_S = 3600.0
MAX_WIDTH_PX = 8192
PROGRESS_EVERY_S = 0.5


class Command(NinjacamCommand):
    help = (
        "Run a processor over recordings or a video file, and print its events, values, failures and timings. "
        "Nothing is written to the database."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("processor", help="name of the processor")
        parser.add_argument(
            "--file", type=Path, help="video file; with --camera: as if that camera had sent it"
        )
        parser.add_argument("--camera", default="", help="camera whose recordings, options and name are used")
        parser.add_argument("--from", dest="start", type=parse_time, help="start, such as 2026-11-22T20:00")
        parser.add_argument("--to", dest="end", type=parse_time, help="end; default: an hour after the start")
        parser.add_argument(
            "--set",
            dest="changes",
            action="append",
            default=[],
            metavar="NAME=VALUE",
            help="an option, instead of that of the camera; can be repeated. PROCESSOR.NAME=VALUE: of a processor "
            "that runs before",
        )
        parser.add_argument(
            "--compare",
            nargs="?",
            const=Path(),
            type=Path,
            metavar="FILE",
            help="compare with a run without --set, or with the result in FILE, saved with --json",
        )
        parser.add_argument(
            "--width",
            type=int,
            default=0,
            metavar="PX",
            help="scale the frames to this width: that of the stream which the processor receives live",
        )
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument(
            "--html", type=Path, metavar="FILE", help="write a report with pictures of the events"
        )
        parser.add_argument(
            "--processes", type=int, help="default: one per core, where the processor permits it"
        )
        parser.add_argument(
            "--timeout",
            type=float,
            default=60.0,
            help="seconds after which a call is considered endless; default: 60",
        )

    def run(self, options: dict[str, Any]) -> None:
        spec = _make_spec(options)
        saved = _read_compared(options["compare"])
        progress = _Progress() if sys.stderr.isatty() else None
        try:
            results = run_backtest(spec, progress or (lambda _: None))
        except ProcessorError as error:
            self.stderr.write(error.traceback)
            raise
        finally:
            if progress is not None:
                progress.clear()
        result = results[-1]
        comparison = None
        if options["compare"] is not None:
            comparison = compare(saved or results[0], result)
        self._print(result, comparison, as_json=options["json"])
        if options["html"] is not None:
            _write_report(options["html"], result, comparison)
            if not options["json"]:
                self.stdout.write(f"Report: {options['html']}")
        if result.failures or result.ended_by:
            raise CommandError(result.ended_by or f"The processor failed for {len(result.failures)} frames.")

    def _print(self, result: RunResult, comparison: Comparison | None, *, as_json: bool) -> None:
        if as_json:
            compared = {} if comparison is None else {"comparison": comparison.as_dict()}
            self.stdout.write(json.dumps({**result.as_dict(), **compared}))
            return
        zone = timezone.get_current_timezone()
        for line in summary_lines(result, zone):
            self.stdout.write(line)
        if comparison is not None:
            for line in comparison_lines(comparison, zone):
                self.stdout.write(line)


def _make_spec(options: dict[str, Any]) -> BacktestSpec:
    """Raises: CommandError, NinjacamError."""
    if not 0 < options["timeout"] <= MAX_TIMEOUT_S:
        raise CommandError(f"Specify a timeout of up to {MAX_TIMEOUT_S:g} s.")
    if options["width"] and not 64 <= options["width"] <= MAX_WIDTH_PX:
        raise CommandError(f"Specify a width of 64 to {MAX_WIDTH_PX} pixels.")
    cores = len(os.sched_getaffinity(0))
    processes = options["processes"] or cores
    if not 1 <= processes <= 4 * cores:
        raise CommandError(f"Specify 1 to {4 * cores} processes.")
    name, camera = options["processor"], options["camera"]
    # A file need not belong to an existing camera.
    row = Camera.objects.filter(slug=camera).first() or Camera(slug=camera)
    stored = row.processor_options or {}
    changed = _parse_changes(name, options["changes"])
    wanted = {each: {**stored.get(each, {}), **changed.get(each, {})} for each in {*stored, *changed}}
    with_stored_too = options["compare"] == Path()
    if with_stored_too and not changed:
        raise CommandError("Specify with --set what to compare, or a file: --compare FILE.")
    question = Question(camera, name, options["html"] is not None, row.drawn_zones())
    runs = (stored, wanted) if with_stored_too else (wanted,)
    files: tuple[RecordedFile, ...] = ()
    if options["file"] is not None:
        (video, length_s), source = _file_video(options), options["file"].name
    else:
        video, files, length_s = _recorded_video(options)
        source = "its recordings"
    return BacktestSpec(
        question, runs, video, source, length_s, files, processes, options["timeout"], tuple(changed)
    )


def _file_video(options: dict[str, Any]) -> tuple[VideoPart, float]:
    """Return the video and its length in seconds. Raises: CommandError, DecodeError."""
    if options["end"]:
        raise CommandError(
            "Leave out --to: a file is processed to its end. --from is the time of its first frame."
        )
    path = options["file"].absolute()
    length_ns = find_length_ns(path)
    starts_ns = options["start"] or FILE_STARTS_NS
    # The last frame may begin at the end that the file states.
    end_ns = starts_ns + length_ns + NS if length_ns else 0
    video = VideoPart((str(path),), starts_ns=starts_ns, end_ns=end_ns, width_px=options["width"])
    return video, length_ns / NS


def _recorded_video(options: dict[str, Any]) -> tuple[VideoPart, tuple[RecordedFile, ...], float]:
    """Raises: CommandError, NinjacamError."""
    camera, start_ns = options["camera"], options["start"]
    if not camera or start_ns is None:
        raise CommandError("Specify --file VIDEO, or --camera SLUG --from TIME --to TIME.")
    end_ns = options["end"] or start_ns + 3600 * NS
    if not 0 < end_ns - start_ns <= MAX_SPAN_S * NS:
        raise CommandError(f"The end must be after the start, by at most {MAX_SPAN_S // 86_400} days.")
    root = get_settings().recordings_dir
    files = tuple(
        RecordedFile(str(root / row.path), row.start_ns, row.end_ns)
        for row in Segment.objects.overlapping([camera], start_ns, end_ns).order_by("start_ns", "pk")
    )
    if not files:
        raise NotFoundError(
            f"“{camera}” has no recordings between these times. `ninjacam show {camera}` lists them."
        )
    video = VideoPart(
        tuple(each.path for each in files),
        is_recorded=True,
        start_ns=start_ns,
        end_ns=end_ns,
        starts_ns=start_ns,
        width_px=options["width"],
    )
    return video, files, recorded_length_s(files, start_ns, end_ns)


def _parse_changes(processor: str, changes: list[str]) -> dict[str, dict[str, Any]]:
    """Raises: CommandError."""
    found: dict[str, dict[str, Any]] = {}
    for text in changes:
        name, is_pair, value = text.partition("=")
        before, is_other, option = name.rpartition(".")
        if not is_pair or not option or (is_other and not before):
            raise CommandError(f"Write --set NAME=VALUE instead of {text[:80]!r}.")
        found.setdefault(before or processor, {})[option] = _parse_value(value)
    return found


def _parse_value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _read_compared(path: Path | None) -> RunResult | None:
    return None if path is None or path == Path() else read_saved(path)


def _write_report(path: Path, result: RunResult, comparison: Comparison | None) -> None:
    """Raises: InvalidError."""
    try:
        with path.open("w", encoding="utf-8") as file:
            write_report(file, result, comparison, timezone.get_current_timezone())
    except OSError as exc:
        raise InvalidError.of("html", f"“{path.name}” cannot be written: {exc.strerror}.") from exc


class _Progress:
    """Prints the progress to the terminal."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def __call__(self, share: float) -> None:
        now_s = time.monotonic()
        if now_s >= self._due_s:
            self._due_s = now_s + PROGRESS_EVERY_S
            sys.stderr.write(f"\r{share:4.0%} ")
            sys.stderr.flush()

    def clear(self) -> None:
        sys.stderr.write("\r      \r")
