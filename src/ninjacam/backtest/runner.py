"""Runs a backtest in processes of its own: one run, or two with different options to compare."""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from ninjacam.backtest.chain import OptionValues
from ninjacam.backtest.children import JobChildren, Line
from ninjacam.backtest.job import Question, Task
from ninjacam.backtest.parts import RecordedFile, split
from ninjacam.backtest.results import ResultBuilder, RunResult
from ninjacam.backtest.video import NS, VideoPart
from ninjacam.core.clock import SYSTEM_CLOCK, Clock
from ninjacam.core.errors import InvalidError

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class BacktestSpec:
    """`options`: of each run. `length_s`: of the video, without gaps. `files`: of recordings. `timeout_s`: of one call.
    `source`: a name of the video, for people. `changed`: processors whose options the user has set for this backtest.
    """

    question: Question
    options: tuple[OptionValues, ...]
    video: VideoPart
    source: str
    length_s: float
    files: tuple[RecordedFile, ...] = ()
    processes: int = 1
    timeout_s: float = 60.0
    changed: tuple[str, ...] = ()


def run_backtest(
    spec: BacktestSpec, on_progress: Progress = lambda _: None, *, clock: Clock = SYSTEM_CLOCK
) -> list[RunResult]:
    """Return the result of each run. A processor that crashes or hangs ends its run, not the others.

    `on_progress`: receives the share that is done, 0 to 1, often. Blocks.
    Raises: InvalidError: a changed processor does not run; InvalidError, ProcessorError: the processor does not exist,
    does not load, or cannot be set up.
    """
    runs = [_Run(spec, options) for options in spec.options]
    progress = _Progress(spec, on_progress)
    begun_ns = clock.monotonic_ns()

    def on_line(task: Task, line: Line) -> None:
        runs[task.run].builder.take(task.index, line)
        progress.note(task, line)
        if "done" in line:
            runs[task.run].result.timing.wall_s = (clock.monotonic_ns() - begun_ns) / 1e9

    def on_crash(task: Task, why: str) -> None:
        runs[task.run].crashed(task, why)
        runs[task.run].result.timing.wall_s = (clock.monotonic_ns() - begun_ns) / 1e9

    jobs = JobChildren(
        spec.question, timeout_s=spec.timeout_s, on_line=on_line, on_crash=on_crash, clock=clock
    )
    with closing(jobs):
        ready = jobs.start()
        for name in spec.changed:
            if name not in ready["chain"]:
                known = ", ".join(f"“{each}”" for each in ready["chain"])
                raise InvalidError.of("options", f"“{name}” does not run. Specify options of {known}.")
        begun_ns = clock.monotonic_ns()  # Starting a process is not part of the speed.
        parts = split(spec.video, ready["warm_up_s"], spec.files)
        tasks = [
            Task(number, index, part, options)
            for number, options in enumerate(spec.options)
            for index, part in enumerate(parts)
        ]
        progress.total_ns = max(1, len(spec.options) * int(spec.length_s * NS))
        jobs.run(tasks, min(spec.processes, len(tasks)))
    return [run.finish(ready["camera"]) for run in runs]


class _Run:
    def __init__(self, spec: BacktestSpec, options: OptionValues) -> None:
        name = spec.question.processor
        shown: dict[str, Any] = {}
        for processor, values in options.items():
            prefix = "" if processor == name else f"{processor}."
            shown |= {f"{prefix}{option}": value for option, value in values.items()}
        self.builder = ResultBuilder()
        self.result = RunResult(
            name, spec.question.camera, spec.source, dict(sorted(shown.items())), length_s=spec.length_s
        )

    def crashed(self, task: Task, why: str) -> None:
        self.result.ended_at_ns = self.builder.last_at_ns(task.index)
        self.result.ended_by = f"{why}."

    def finish(self, camera: str) -> RunResult:
        self.result.camera = camera
        self.builder.finish(self.result)
        return self.result


class _Progress:
    """Turns the times of frames into the share that is done."""

    def __init__(self, spec: BacktestSpec, on_progress: Progress) -> None:
        self.total_ns = 1
        self._on_progress = on_progress
        self._done_ns = 0
        self._at_ns: dict[tuple[int, int], int] = {}

    def note(self, task: Task, line: Line) -> None:
        part = task.part
        begin_ns = part.start_ns or part.starts_ns
        key = (task.run, task.index)
        if "done" in line:
            at_ns = part.end_ns or self._at_ns.get(key, begin_ns)
        elif "call" in line or "alive" in line:
            at_ns = line["call"]["at"] if "call" in line else line["alive"]
        else:
            return
        before_ns = self._at_ns.get(key, begin_ns)
        self._at_ns[key] = max(before_ns, at_ns)
        self._done_ns += self._at_ns[key] - before_ns
        self._on_progress(min(1.0, self._done_ns / self.total_ns))


def recorded_length_s(files: Sequence[RecordedFile], start_ns: int, end_ns: int) -> float:
    """Return the seconds of [start, end) that are recorded."""
    return sum(max(0, min(each.end_ns, end_ns) - max(each.start_ns, start_ns)) for each in files) / NS
