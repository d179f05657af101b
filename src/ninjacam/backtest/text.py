"""The results of backtests as text for a terminal. Times are those of the video, in the time zone of `zone`."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo

from ninjacam.backtest.comparison import Comparison
from ninjacam.backtest.events import CollectedEvent
from ninjacam.backtest.results import RunResult
from ninjacam.backtest.video import FILE_STARTS_NS, NS

MAX_LINES = 50
"""Maximum number of events, labels and failures, each, that are printed."""


def format_time(at_ns: int, zone: tzinfo = UTC) -> str:
    """Return the time with milliseconds; for a file without a time of its own, that since its start."""
    since_ns = at_ns - FILE_STARTS_NS
    if 0 <= since_ns < 86_400 * NS:
        seconds = since_ns // NS
        return (
            f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}.{since_ns // 1_000_000 % 1000:03}"
        )
    return datetime.fromtimestamp(at_ns / NS, zone).isoformat(" ", "milliseconds")


def summary_lines(result: RunResult, zone: tzinfo = UTC) -> Iterator[str]:
    timing = result.timing
    yield f"{result.processor} on {result.source}, camera {result.camera}, {result.length_s:.1f} s of video"
    if result.options:
        options = ", ".join(f"{name} = {value!r}" for name, value in result.options.items())
        yield f"  options   {options}"
    yield f"  frames    {result.frames} decoded, {len(result.calls)} processed, {len(result.failures)} failed"
    yield (
        f"  speed     {result.speed:.1f} x real time ({timing.wall_s:.1f} s); one call {timing.p50_ms:.2f} ms, "
        f"95th percentile {timing.p95_ms:.2f} ms"
    )
    if timing.over_limit:
        yield f"            {timing.over_limit} calls took more than 2 s: live, they are cut off"
    yield from _limited(f"  label     {name}: {count}" for name, count in result.count_labels().items())
    for name, each in result.summarize_values().items():
        yield (
            f"  value     {name}: {each.minimum:g} to {each.maximum:g}, mean {each.mean:g}, last {each.last:g} "
            f"({each.frames} frames)"
        )
    yield f"  events    {len(result.events)}"
    yield from _limited(f"    {format_event(each, zone)}" for each in result.events)
    if result.dropped_events:
        yield f"            {result.dropped_events} more are left out"
    yield from _failure_lines(result, zone)


def _failure_lines(result: RunResult, zone: tzinfo) -> Iterator[str]:
    """A failure that repeats is printed once."""
    texts: dict[str, int] = {}
    for each in result.failures:
        texts[each.traceback] = texts.get(each.traceback, 0) + 1
        if texts[each.traceback] == 1 and len(texts) <= MAX_LINES:
            yield f"  failed at {format_time(each.at_ns, zone)}, frame {each.number}: {each.message}"
            yield from (f"    {line}" for line in each.traceback.rstrip().splitlines())
    repeated = len(result.failures) - len(texts)
    if repeated > 0:
        yield f"            {repeated} more failures with the same tracebacks"
    if result.ended_by:
        where = (
            f" The last frame before: {format_time(result.ended_at_ns, zone)}." if result.ended_at_ns else ""
        )
        yield f"  ended     {result.ended_by}{where}"


def _limited(lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == MAX_LINES:
            yield "    …"
            return
        yield line


def format_event(event: CollectedEvent, zone: tzinfo = UTC) -> str:
    parts = [format_time(event.start_ns, zone), event.kind]
    if event.label not in ("", event.kind):
        parts.append(f"“{event.label}”")
    if event.end_ns is not None:
        parts.append(f"{(event.end_ns - event.start_ns) / NS:.1f} s")
    if event.is_ongoing:
        parts.append("ongoing")
    if event.score is not None:
        parts.append(f"score {event.score:.2f}")
    return "  ".join(parts)


def comparison_lines(comparison: Comparison, zone: tzinfo = UTC) -> Iterator[str]:
    before, after = comparison.before, comparison.after
    yield "Comparison (before → after)"
    for name, (old, new) in comparison.options.items():
        yield f"  option    {name}: {_or_default(old)} → {_or_default(new)}"
    yield f"  events    {len(before.events)} → {len(after.events)}, {len(comparison.both)} in both"
    yield from _limited(f"    - {format_event(each, zone)}" for each in comparison.only_before)
    yield from _limited(f"    + {format_event(each, zone)}" for each in comparison.only_after)
    labels, new_labels = before.count_labels(), after.count_labels()
    for name in sorted({*labels, *new_labels}):
        if labels.get(name, 0) != new_labels.get(name, 0):
            yield f"  label     {name}: {labels.get(name, 0)} → {new_labels.get(name, 0)}"
    yield f"  frames    {comparison.different_frames} with different results"
    for at_ns in comparison.frames[:5]:
        yield f"    {format_time(at_ns, zone)}"
    if before.timing.call_us and after.timing.call_us:
        yield f"  one call  {before.timing.p50_ms:.2f} → {after.timing.p50_ms:.2f} ms"
    if comparison.is_equal:
        yield "  The results are equal."


def _or_default(value: object) -> str:
    return "default" if value is None else repr(value)
