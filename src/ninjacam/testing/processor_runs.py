"""Runs your processors over video files in your own tests, as a vision worker runs them, but with each frame."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from ninjacam import events
from ninjacam.backtest.chain import ChainRun, Failure, FrameOutcome, find_chain, unregistered
from ninjacam.backtest.events import CollectedEvent, EventCollector
from ninjacam.backtest.reading import ReadAhead, iter_frames
from ninjacam.backtest.video import FILE_STARTS_NS, NS, VideoPart
from ninjacam.core import processors
from ninjacam.core.annotations import Annotation, Box
from ninjacam.core.errors import InvalidError, ProcessorError
from ninjacam.core.processors import Registration
from ninjacam.core.times import to_datetime
from ninjacam.core.zones import Zone, Zones


@dataclass(frozen=True, slots=True)
class FrameRun:
    """What a processor returned for one frame.

    `at_s`: seconds since the start of the clip. `annotations`: in pixels. `values`, `data`: of its `Result`. `image`:
    as it returned it, or None. `events`: that it created or changed during this call. `error`: it raised an exception.
    """

    number: int
    at_s: float
    captured_at: datetime
    annotations: tuple[Annotation, ...] = ()
    values: Mapping[str, float] = field(default_factory=dict)
    data: Any = None
    image: Any = None
    events: tuple[CollectedEvent, ...] = ()
    error: ProcessorError | None = None

    @property
    def boxes(self) -> list[Box]:
        """Return the annotations that are boxes."""
        return [each for each in self.annotations if isinstance(each, Box)]


@dataclass(frozen=True, slots=True)
class ProcessorRun:
    """`frames`: those that the processor was called for, without their images. `events`: as they are at the end."""

    frames: list[FrameRun]
    events: list[CollectedEvent]

    @property
    def errors(self) -> list[ProcessorError]:
        return [each.error for each in self.frames if each.error is not None]

    def values(self, name: str) -> list[float]:
        """Return the values with this name, in the order of the frames."""
        return [each.values[name] for each in self.frames if name in each.values]

    def count_events(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.events)


def run_processor(
    processor: Any,
    clip: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    camera: str = "test",
    zones: Iterable[Zone] = (),
    width_px: int = 0,
    start_s: float = 0,
    end_s: float | None = None,
    continue_after_errors: bool = False,
) -> ProcessorRun:
    """Run a processor over a video file and return all results.

        from ninjacam.testing import run_processor

        def test_six_people_visit():
            run = run_processor(Visitors, "tests/door.mp4", options={"score": 0.4})
            assert run.count_events("visit") == 6

    `processor`: a function or class, decorated or not, or the name of a processor whose module is imported. Those that
    run before it in its chain run, too. `options`: values of its options; those of processors before it are
    {"name.option": value}. `zones`: of the camera. `width_px`: to which frames are scaled. `start_s`, `end_s`: the part
    of the clip.
    `fps`, `when` and `after` apply as they do live. Events are collected, not written. The clock of this host does not
    matter: the clip begins on 2026-01-01 00:00 UTC, and the same clip has the same result each time.

    Raises: ProcessorError: your code raised an exception, which is its cause; with `continue_after_errors`, the run
    continues as it does live. InvalidError: an option does not fit, or there is no such processor. DecodeError: the
    clip cannot be read.
    """
    run = _Run(processor, clip, options, camera, zones, width_px, (start_s, end_s), continue_after_errors)
    frames = [replace(frame, image=None) for frame in run.iter_frames()]
    return ProcessorRun(frames, run.collector.events)


def iter_processor(
    processor: Any,
    clip: str | Path,
    *,
    options: Mapping[str, Any] | None = None,
    camera: str = "test",
    zones: Iterable[Zone] = (),
    width_px: int = 0,
    start_s: float = 0,
    end_s: float | None = None,
    continue_after_errors: bool = False,
) -> Iterator[FrameRun]:
    """Yield what the processor returns for each frame, with images, as `run_processor` does.

    Raises: as `run_processor`; errors of the arguments at once, others while you iterate.
    """
    run = _Run(processor, clip, options, camera, zones, width_px, (start_s, end_s), continue_after_errors)
    return run.iter_frames()


class _Run:
    """One run. `collector`: has its events. Raises: InvalidError, ProcessorError: an argument does not fit."""

    def __init__(
        self,
        processor: Any,
        clip: str | Path,
        options: Mapping[str, Any] | None,
        camera: str,
        zones: Iterable[Zone],
        width_px: int,
        span_s: tuple[float, float | None],
        continue_after_errors: bool,
    ) -> None:
        self.collector = EventCollector()
        self._camera = camera
        self._chain = _find_chain(processor, camera)
        self._options = _split(options or {}, self._chain)
        self._zones = Zones(zones)
        self._continues = continue_after_errors
        start_s, end_s = span_s
        self._part = VideoPart(
            (str(clip),),
            width_px=width_px,
            start_ns=FILE_STARTS_NS + int(start_s * NS),
            end_ns=0 if end_s is None else FILE_STARTS_NS + int(end_s * NS),
        )

    def iter_frames(self) -> Iterator[FrameRun]:
        """Yield the frames that the processor is called for. Iterate once."""
        collector, zones = self.collector, self._zones
        with events.sent_to(collector.put):
            run = ChainRun(self._camera, self._chain, self._options, zones=zones, on_call=collector.enter)
        failures: tuple[Failure, ...] = ()
        try:
            frames = iter_frames(self._part, examines=run.examines, skips_still=run.skips_still, zones=zones)
            with closing(ReadAhead(frames)) as ahead:
                for recorded in ahead:
                    with events.sent_to(collector.put):
                        outcome = run.process(recorded)
                    if outcome.failures and not self._continues:
                        raise outcome.failures[0].error
                    if outcome.returned is not None or outcome.failures:
                        yield _to_frame_run(outcome, collector)
        finally:
            with events.sent_to(collector.put):
                failures = run.close()
        if failures and not self._continues:
            raise failures[0].error


def _to_frame_run(outcome: FrameOutcome, collector: EventCollector) -> FrameRun:
    recorded, returned = outcome.recorded, outcome.returned
    result = None if returned is None else returned.result
    changed = tuple(collector.events[index] for index in collector.take_changed())
    return FrameRun(
        recorded.number,
        (recorded.captured_ns - FILE_STARTS_NS) / NS,
        to_datetime(recorded.captured_ns),
        tuple(result.annotations or ()) if result is not None else (),
        dict(returned.values) if returned is not None else {},
        result.data if result is not None else None,
        returned.image if returned is not None else None,
        changed,
        outcome.failures[0].error if outcome.failures else None,
    )


def _split(options: Mapping[str, Any], chain: Sequence[Registration]) -> dict[str, dict[str, Any]]:
    """Return the options of each processor. Raises: InvalidError: one is of a processor that does not run."""
    found: dict[str, dict[str, Any]] = {}
    names = [each.name for each in chain]
    for key, value in options.items():
        other, _, option = key.rpartition(".")
        if other and other not in names:
            raise InvalidError.of("options", f"“{key}”: specify options of {', '.join(names)} only.")
        found.setdefault(other or names[-1], {})[option] = value
    return found


def _find_chain(processor: Any, camera: str) -> list[Registration]:
    """Raises: InvalidError, ProcessorError."""
    current = {each.name: each for each in processors.registry}
    if isinstance(processor, str):
        return find_chain(current, processor, camera)
    for entry in current.values():
        if processor in (entry.function, entry.make):
            return find_chain(current, entry.name, camera)
    return [unregistered(processor)]
