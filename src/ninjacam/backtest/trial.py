"""Runs a processor over recordings with two sets of options, and writes the comparison to a file.

Not here: who may do this (`actions.backtests`), and the process (`processes.export_job`).
"""

import hashlib
import io
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from ninjacam.backtest.chain import OptionValues
from ninjacam.backtest.comparison import Comparison, compare
from ninjacam.backtest.job import Question
from ninjacam.backtest.parts import RecordedFile
from ninjacam.backtest.report import write_comparison
from ninjacam.backtest.runner import BacktestSpec, recorded_length_s, run_backtest
from ninjacam.backtest.video import VideoPart
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import InvalidError, NinjacamError
from ninjacam.core.json_values import to_plain
from ninjacam.core.zones import Zone
from ninjacam.recordings.export import DiskError

MAX_RUN_S = 3600.0
"""Maximum seconds of both runs together. Recordings of a night take minutes, unless the processor is slow."""
MAX_EVENTS = 60
"""Maximum number of events in each list of the comparison: with their pictures, they are one page."""


class TooSlowError(NinjacamError):
    code = "too_slow"

    def __init__(self, share: float) -> None:
        super().__init__(
            f"The backtest was stopped after {MAX_RUN_S / 60:.0f} minutes, at {share:.0%}. Choose a shorter span."
        )


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """`before`, `after`: the options of each run. `files`: recordings of [start, end), in order. `output`: path of the
    file. `zone`: name of the time zone of the texts."""

    camera: str
    processor: str
    zones: tuple[Zone, ...]
    before: OptionValues
    after: OptionValues
    files: tuple[RecordedFile, ...]
    start_ns: int
    end_ns: int
    output: str
    zone: str

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "TrialSpec":
        """Raises: InvalidError: a zone cannot be used."""
        fields = {name: value for name, value in values.items() if name != "kind"}
        zones = tuple(Zone(**each) for each in values["zones"])
        files = tuple(RecordedFile(*each) for each in values["files"])
        return cls(**{**fields, "zones": zones, "files": files})


@dataclass(frozen=True, slots=True)
class TrialFile:
    """The file of a comparison: JSON with `comparison` and `html`, a part of a page."""

    size_bytes: int
    sha256: str


def run_trial(
    spec: TrialSpec, on_progress: Callable[[float], None], *, clock: Clock = SYSTEM_CLOCK
) -> TrialFile:
    """Run both, and write the file. Blocks.

    Raises: InvalidError: an option does not fit; ProcessorError: the processor cannot be set up; TooSlowError;
    DiskError.
    """
    begun_ns = clock.monotonic_ns()

    def note(share: float) -> None:
        if clock.monotonic_ns() - begun_ns > MAX_RUN_S * 1e9:
            raise TooSlowError(share)
        on_progress(share)

    video = VideoPart(
        tuple(each.path for each in spec.files),
        is_recorded=True,
        start_ns=spec.start_ns,
        end_ns=spec.end_ns,
        starts_ns=spec.start_ns,
    )
    before, after = run_backtest(
        BacktestSpec(
            Question(spec.camera, spec.processor, with_pictures=True, zones=spec.zones),
            (spec.before, spec.after),
            video,
            "its recordings",
            recorded_length_s(spec.files, spec.start_ns, spec.end_ns),
            spec.files,
            changed=(spec.processor,),
        ),
        note,
        clock=clock,
    )
    for each in (before, after):
        if each.ended_by and not each.calls:
            raise InvalidError(f"No frame was processed: {each.ended_by}")
    return _write(Path(spec.output), compare(before, after), ZoneInfo(spec.zone))


def _write(path: Path, comparison: Comparison, zone: ZoneInfo) -> TrialFile:
    """Raises: DiskError."""
    html = io.StringIO()
    write_comparison(html, comparison, zone, max_events=MAX_EVENTS)
    facts = comparison.as_dict()
    for name in ("events_only_before", "events_only_after"):
        facts[f"{name}_count"] = len(facts[name])
        # The data is of any size, as the database does not check it here. The page shows its beginning.
        facts[name] = [{**each, "data": {}} for each in facts[name][:MAX_EVENTS]]
    found = {"comparison": facts, "html": to_plain(html.getvalue())}
    data = json.dumps(found, separators=(",", ":")).encode()
    try:
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise DiskError.of(exc.errno) from exc
    return TrialFile(len(data), hashlib.sha256(data).hexdigest())
