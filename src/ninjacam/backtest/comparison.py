"""What differs between two runs over the same video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ninjacam.backtest.events import CollectedEvent
from ninjacam.backtest.results import RunResult

SAME_EVENT_NS = 2_000_000_000
"""Maximum distance in time of two events that are the same."""
MAX_FRAMES = 100
"""Maximum number of frames that are named."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """`options`: name -> (before, after), of those that differ. `both`: pairs of events. `frames`: times of frames
    whose result differs, at most MAX_FRAMES of `different_frames`.
    """

    before: RunResult
    after: RunResult
    options: Mapping[str, tuple[Any, Any]]
    both: Sequence[tuple[CollectedEvent, CollectedEvent]]
    only_before: Sequence[CollectedEvent]
    only_after: Sequence[CollectedEvent]
    different_frames: int
    frames: Sequence[int]

    @property
    def is_equal(self) -> bool:
        """Return whether the results are the same; the options may differ."""
        changed = any(_facts(one) != _facts(other) for one, other in self.both)
        return not (changed or self.only_before or self.only_after or self.different_frames)

    def as_dict(self) -> dict[str, Any]:
        """Return it in a form that is fit for JSON."""
        return {
            "options": {name: list(pair) for name, pair in self.options.items()},
            "is_equal": self.is_equal,
            "events_in_both": len(self.both),
            "events_only_before": [_facts(each) for each in self.only_before],
            "events_only_after": [_facts(each) for each in self.only_after],
            "different_frames": self.different_frames,
            "frames": list(self.frames),
        }


def compare(before: RunResult, after: RunResult) -> Comparison:
    both, only_before, only_after = _match(before.events, after.events)
    frames = _different_frames(before, after)
    names = sorted({*before.options, *after.options})
    return Comparison(
        before,
        after,
        {
            name: (before.options.get(name), after.options.get(name))
            for name in names
            if before.options.get(name) != after.options.get(name)
        },
        both,
        only_before,
        only_after,
        len(frames),
        frames[:MAX_FRAMES],
    )


def _facts(event: CollectedEvent) -> dict[str, Any]:
    return {**event.as_dict(), "jpeg": ""}


def _different_frames(before: RunResult, after: RunResult) -> list[int]:
    """Return the times of frames of which the results differ, or that only one of the runs processed."""
    one = {call.at_ns: call.digest for call in before.calls}
    other = {call.at_ns: call.digest for call in after.calls}
    return sorted(at_ns for at_ns in one.keys() | other.keys() if one.get(at_ns) != other.get(at_ns))


def _match(
    before: Sequence[CollectedEvent], after: Sequence[CollectedEvent]
) -> tuple[list[tuple[CollectedEvent, CollectedEvent]], list[CollectedEvent], list[CollectedEvent]]:
    """Pair events of the same kind and label that overlap or nearly do, in the order of their start."""
    both, only_before = [], []
    others = sorted(after, key=_start)
    is_taken = [False] * len(others)
    near: list[int] = []  # Of `others`: not all, because a processor may create an event for each frame.
    begun = 0
    for event in sorted(before, key=_start):
        while begun < len(others) and others[begun].start_ns <= _end(event) + SAME_EVENT_NS:
            near.append(begun)
            begun += 1
        near = [n for n in near if not is_taken[n] and event.start_ns <= _end(others[n]) + SAME_EVENT_NS]
        found = next((n for n in near if _is_same(event, others[n])), None)
        if found is None:
            only_before.append(event)
        else:
            is_taken[found] = True
            both.append((event, others[found]))
    return both, only_before, [each for each, taken in zip(others, is_taken, strict=True) if not taken]


def _start(event: CollectedEvent) -> int:
    return event.start_ns


def _end(event: CollectedEvent) -> int:
    return event.start_ns if event.end_ns is None else event.end_ns


def _is_same(one: CollectedEvent, other: CollectedEvent) -> bool:
    if (one.camera, one.kind, one.label) != (other.camera, other.kind, other.label):
        return False
    return other.start_ns <= _end(one) + SAME_EVENT_NS and one.start_ns <= _end(other) + SAME_EVENT_NS
