"""The result of a backtest: put together from the lines of its processes, printed, saved and read again.

Everything but `timing` is the same each time for the same video, code and options.
"""

import json
import statistics
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ninjacam.backtest.events import CollectedEvent
from ninjacam.core.errors import InvalidError

FORMAT = 1
MAX_SAVED_BYTES = 512 << 20
LIVE_LIMIT_US = 2_000_000
"""A call that takes longer is cut off live (`vision.instance.CALL_LIMIT_S`)."""


class Call(NamedTuple):
    """One call of the processor. `digest`: of all that it returned."""

    at_ns: int
    digest: int
    labels: Mapping[str, int]
    values: Mapping[str, float]


class FailedCall(NamedTuple):
    """`number`: of the frame, from the start of the part."""

    processor: str
    at_ns: int
    number: int
    message: str
    traceback: str


class ValueSummary(NamedTuple):
    """Of one value of all frames that had it."""

    frames: int
    minimum: float
    mean: float
    maximum: float
    last: float


@dataclass(slots=True)
class Timing:
    """`call_us`: of each call, in the order of the frames. `wall_s`: of the whole run."""

    call_us: list[int] = field(default_factory=list)
    wall_s: float = 0.0

    @property
    def p50_ms(self) -> float:
        return statistics.median(self.call_us) / 1000 if self.call_us else 0.0

    @property
    def p95_ms(self) -> float:
        return sorted(self.call_us)[int(0.95 * len(self.call_us))] / 1000 if self.call_us else 0.0

    @property
    def over_limit(self) -> int:
        """Return the number of calls that would be cut off live."""
        return sum(each > LIVE_LIMIT_US for each in self.call_us)


@dataclass(slots=True)
class RunResult:
    """`options`: as set. `ended_by`: why the run has ended before the end of the video, after the call of the frame
    `ended_at_ns` (0: before the first); "": it has not. `length_s`: of the video.

    `frames`: decoded, of which `skipped` did not reach the processor: because of its frame rate, a still scene, its
    chain or an exception.
    """

    processor: str
    camera: str
    source: str
    options: Mapping[str, Any]
    length_s: float = 0.0
    frames: int = 0
    skipped: int = 0
    dropped_events: int = 0
    calls: list[Call] = field(default_factory=list)
    events: list[CollectedEvent] = field(default_factory=list)
    failures: list[FailedCall] = field(default_factory=list)
    ended_by: str = ""
    ended_at_ns: int = 0
    timing: Timing = field(default_factory=Timing)

    @property
    def speed(self) -> float:
        """Return how many times as fast as real time it ran; 0: unknown, because it has ended early."""
        is_known = self.timing.wall_s and not self.ended_by
        return self.length_s / self.timing.wall_s if is_known else 0.0

    def count_labels(self) -> dict[str, int]:
        """Return label -> number of annotations, of all frames."""
        found: Counter[str] = Counter()
        for call in self.calls:
            found.update(call.labels)
        return dict(sorted(found.items()))

    def summarize_values(self) -> dict[str, ValueSummary]:
        found: dict[str, list[float]] = defaultdict(list)
        for call in self.calls:
            for name, value in call.values.items():
                found[name].append(value)
        return {
            name: ValueSummary(len(values), min(values), statistics.fmean(values), max(values), values[-1])
            for name, values in sorted(found.items())
        }

    def as_dict(self) -> dict[str, Any]:
        """Return all but the pictures, fit for JSON."""
        timing = self.timing
        return {
            "format": FORMAT,
            "processor": self.processor,
            "camera": self.camera,
            "source": self.source,
            "options": dict(self.options),
            "length_s": round(self.length_s, 3),
            "frames": self.frames,
            "skipped": self.skipped,
            "dropped_events": self.dropped_events,
            "ended_by": self.ended_by,
            "ended_at_ns": self.ended_at_ns,
            "labels": self.count_labels(),
            "values": {name: each._asdict() for name, each in self.summarize_values().items()},
            "events": [{**each.as_dict(), "jpeg": ""} for each in self.events],
            "failures": [each._asdict() for each in self.failures],
            "calls": [list(each) for each in self.calls],
            "timing": {
                "wall_s": round(timing.wall_s, 3),
                "speed": round(self.speed, 1),
                "p50_ms": round(timing.p50_ms, 3),
                "p95_ms": round(timing.p95_ms, 3),
                "over_limit": timing.over_limit,
            },
        }


def read_saved(path: Path) -> RunResult:
    """Return a result that was saved with `--json`. Raises: InvalidError."""
    try:
        if path.stat().st_size > MAX_SAVED_BYTES:
            raise InvalidError.of("compare", f"“{path.name}” is too large for the result of a backtest.")
        saved = json.loads(path.read_text())
        if saved["format"] != FORMAT:
            raise InvalidError.of(
                "compare", f"“{path.name}” is from another version. Run the backtest again."
            )
        names = ("processor", "camera", "source", "options", "length_s", "frames", "skipped", "dropped_events",
                 "ended_by", "ended_at_ns")  # fmt: skip
        return RunResult(
            **{name: saved[name] for name in names},
            calls=[Call(*each) for each in saved["calls"]],
            events=[CollectedEvent.from_dict(each) for each in saved["events"]],
            failures=[FailedCall(**each) for each in saved["failures"]],
            timing=Timing(wall_s=saved["timing"]["wall_s"]),
        )
    except OSError as exc:
        raise InvalidError.of("compare", f"“{path.name}” cannot be read: {exc.strerror}.") from exc
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise InvalidError.of(
            "compare", f"“{path.name}” is not a saved backtest. Save one with --json."
        ) from exc


@dataclass(slots=True)
class _Part:
    calls: list[Call] = field(default_factory=list)
    call_us: list[int] = field(default_factory=list)
    events: dict[int, CollectedEvent] = field(default_factory=dict)
    failures: list[FailedCall] = field(default_factory=list)
    done: dict[str, int] = field(default_factory=dict)


class ResultBuilder:
    """Puts the lines of `backtest.job` together, in whatever order the parts run."""

    def __init__(self) -> None:
        self._parts: dict[int, _Part] = {}

    def take(self, part_index: int, line: Mapping[str, Any]) -> None:
        part = self._parts.setdefault(part_index, _Part())
        if "call" in line:
            call = line["call"]
            part.calls.append(
                Call(call["at"], call["digest"], call.get("labels", {}), call.get("values", {}))
            )
            part.call_us.append(call["us"])
        elif "event" in line:
            fields = dict(line["event"])
            index = fields.pop("index")
            event = CollectedEvent.from_dict(fields)
            before = part.events.get(index)
            if before is not None and not event.jpeg:
                event.jpeg = before.jpeg
            part.events[index] = event
        elif "failure" in line:
            each = line["failure"]
            part.failures.append(
                FailedCall(each["processor"], each["at"], each["number"], each["message"], each["traceback"])
            )
        elif "done" in line:
            part.done = line["done"]

    def last_at_ns(self, part_index: int) -> int:
        """Return the time of the last call of a part that was reported; 0: there is none."""
        part = self._parts.get(part_index)
        return part.calls[-1].at_ns if part is not None and part.calls else 0

    def finish(self, result: RunResult) -> None:
        """Fill in `result`."""
        for _, part in sorted(self._parts.items()):
            result.calls += part.calls
            result.events += [each for _, each in sorted(part.events.items())]
            result.failures += part.failures
            result.timing.call_us += part.call_us
            result.frames += part.done.get("frames", len(part.calls))
            result.skipped += part.done.get("skipped", 0)
            result.dropped_events += part.done.get("dropped_events", 0)
