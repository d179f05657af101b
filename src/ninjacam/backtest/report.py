"""Writes the result of a backtest as one HTML file without scripts, which opens anywhere and loads nothing.

Everything that comes from user code or a video is escaped, and a content security policy forbids what an escape that is
forgotten would allow.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, tzinfo
from html import escape
from typing import TextIO

from ninjacam.backtest.comparison import Comparison
from ninjacam.backtest.events import CollectedEvent
from ninjacam.backtest.results import RunResult
from ninjacam.backtest.text import format_time
from ninjacam.backtest.video import NS

MAX_EVENTS = 1_000
MAX_FAILURES = 20
"""Maximum number of different tracebacks."""
CHART_WIDTH, CHART_HEIGHT = 960, 90
MAX_POINTS = 480
"""Points of a chart. Of the frames between two points, the lowest and the highest value are drawn."""
_CSS = """
:root { color-scheme: light dark; --line: #8884; --accent: #2f7ed8; --bad: #c0392b }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.15rem; margin-top: 2.5rem }
table { border-collapse: collapse } td, th { padding: .2rem 1rem .2rem 0; text-align: left; vertical-align: top }
th { font-weight: 600 } td.number { text-align: right; font-variant-numeric: tabular-nums }
.events { display: grid; grid-template-columns: repeat(auto-fill, minmax(14rem, 1fr)); gap: 1rem; padding: 0 }
.events li { list-style: none; border: 1px solid var(--line); border-radius: .5rem; overflow: hidden }
.events img, .events .none { width: 100%; aspect-ratio: 16 / 9; object-fit: contain; background: #8882; display: block }
.events div.text { padding: .5rem .75rem; overflow-wrap: anywhere }
.quiet { opacity: .7; font-size: .85rem } .bad { color: var(--bad) }
pre { overflow: auto; background: #8882; padding: .75rem; border-radius: .5rem }
svg { width: 100%; height: auto; border: 1px solid var(--line); border-radius: .5rem }
"""


def write_report(file: TextIO, result: RunResult, comparison: Comparison | None, zone: tzinfo) -> None:
    """Raises: OSError."""
    title = escape(f"Backtest of {result.processor}")
    file.write(
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; '
        "style-src 'unsafe-inline'\">\n"
        f'<meta name="viewport" content="width=device-width"><style>{_CSS}</style></head><body>\n<h1>{title}</h1>\n'
    )
    for part in (
        _summary(result),
        _comparison(comparison, zone),
        _timeline(result, zone),
        _events(f"Events ({len(result.events)})", result.events, zone),
        _values(result),
        _timings(result),
        _failures(result, zone),
    ):
        file.writelines(part)
    file.write("</body></html>\n")


def write_comparison(file: TextIO, comparison: Comparison, zone: tzinfo, *, max_events: int) -> None:
    """Write a part of an HTML page: the events that only one of the runs has, and those in both, with pictures.

    `max_events`: in each of the three lists. The page has the style, and shows the options.
    """
    before, after = comparison.before, comparison.after
    for each in (before, after):
        if each.ended_by:
            file.write(f'<p class="error">The run ended early: {escape(each.ended_by)}</p>')
    equal = "The results are equal." if comparison.is_equal else ""
    file.write(
        f"<p>Events: {len(before.events)} with the saved options, {len(after.events)} with the tried ones. "
        f"Frames with different results: {comparison.different_frames}. {equal}</p>"
    )
    for title, events in (
        ("Only with the saved options", comparison.only_before),
        ("Only with the tried options", comparison.only_after),
        ("With both", [event for _, event in comparison.both]),
    ):
        file.writelines(_events(f"{title} ({len(events)})", events, zone, max_events, _to_seconds))
    file.writelines(_failures(after, zone))


def _to_seconds(at_ns: int, zone: tzinfo) -> str:
    return datetime.fromtimestamp(at_ns / NS, zone).isoformat(" ", "seconds")[:19]


def _summary(result: RunResult) -> Iterator[str]:
    rows = [
        ("Video", f"{result.source}, camera {result.camera}, {result.length_s:.1f} s"),
        ("Options", ", ".join(f"{name} = {value!r}" for name, value in result.options.items()) or "defaults"),
        ("Frames", f"{result.frames} decoded, {len(result.calls)} processed, {len(result.failures)} failed"),
        ("Speed", f"{result.speed:.1f} x real time ({result.timing.wall_s:.1f} s)"),
        *((f"Label “{name}”", f"{count} annotations") for name, count in result.count_labels().items()),
    ]
    yield "<table>"
    for name, text in rows:
        yield f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>\n"
    yield "</table>"
    if result.ended_by:
        yield f'<p class="bad">The run ended early: {escape(result.ended_by)}</p>'


def _comparison(comparison: Comparison | None, zone: tzinfo) -> Iterator[str]:
    if comparison is None:
        return
    yield "<h2>Comparison</h2><table>"
    for name, (old, new) in comparison.options.items():
        old_text, new_text = ("default" if each is None else repr(each) for each in (old, new))
        yield f"<tr><th>{escape(name)}</th><td>{escape(old_text)} → {escape(new_text)}</td></tr>\n"
    counts = (
        f"{len(comparison.before.events)} → {len(comparison.after.events)}, {len(comparison.both)} in both"
    )
    yield f"<tr><th>Events</th><td>{counts}</td></tr>"
    yield f"<tr><th>Frames with different results</th><td>{comparison.different_frames}</td></tr></table>"
    if comparison.is_equal:
        yield "<p>The results are equal.</p>"
    if comparison.only_before:
        yield from _events("Events that are missing now", comparison.only_before, zone)
    if comparison.only_after:
        yield from _events("New events", comparison.only_after, zone)


def _events(
    title: str,
    events: Sequence[CollectedEvent],
    zone: tzinfo,
    max_events: int = MAX_EVENTS,
    to_text: Callable[[int, tzinfo], str] = format_time,
) -> Iterator[str]:
    yield f"<h2>{escape(title)}</h2>"
    if not events:
        return
    yield '<ul class="events">'
    for event in events[:max_events]:
        image = '<div class="none"></div>'
        if event.jpeg:
            image = f'<img alt="" src="data:image/jpeg;base64,{escape(event.jpeg)}">'
        yield f'<li>{image}<div class="text"><b>{escape(event.label or event.kind)}</b><br>'
        yield f'{escape(to_text(event.start_ns, zone))}<br><span class="quiet">{escape(_details(event))}</span>'
        yield "</div></li>\n"
    yield "</ul>"
    if len(events) > max_events:
        yield f"<p>{len(events) - max_events} more are left out.</p>"


def _details(event: CollectedEvent) -> str:
    parts = [event.kind]
    if event.is_ongoing:
        parts.append("ongoing")
    elif event.end_ns is not None:
        parts.append(f"{(event.end_ns - event.start_ns) / NS:.1f} s")
    if event.score is not None:
        parts.append(f"score {event.score:.2f}")
    if event.track is not None:
        parts.append(f"track {event.track}")
    parts += [*event.zones, *(f"{name}: {value}" for name, value in event.data.items())]
    return " · ".join(parts)[:500]


def _timeline(result: RunResult, zone: tzinfo) -> Iterator[str]:
    """Draw when events were, over the span in which the processor was called."""
    if not result.events or not result.calls:
        return
    first_ns, last_ns = result.calls[0].at_ns, max(result.calls[-1].at_ns, result.calls[0].at_ns + 1)
    yield "<h2>Timeline</h2>"
    yield f'<svg viewBox="0 0 {CHART_WIDTH} 30" role="img" aria-label="Events over time">'
    for event in result.events[:MAX_EVENTS]:
        left, right = (
            CHART_WIDTH * min(1.0, max(0.0, (at_ns - first_ns) / (last_ns - first_ns)))
            for at_ns in (event.start_ns, event.start_ns if event.end_ns is None else event.end_ns)
        )
        yield (
            f'<rect x="{left:.1f}" y="5" width="{max(3.0, right - left):.1f}" height="20" fill="var(--accent)" '
            f'fill-opacity=".6"><title>{escape(event.label or event.kind)}</title></rect>'
        )
    yield f'</svg><p class="quiet">{escape(format_time(first_ns, zone))} to {escape(format_time(last_ns, zone))}</p>'


def _values(result: RunResult) -> Iterator[str]:
    for name, each in result.summarize_values().items():
        yield f"<h2>Value “{escape(name)}”</h2>"
        yield from _chart([call.values[name] for call in result.calls if name in call.values])
        yield f'<p class="quiet">{each.minimum:g} to {each.maximum:g}, mean {each.mean:g}, last {each.last:g}</p>'


def _timings(result: RunResult) -> Iterator[str]:
    timing = result.timing
    if not timing.call_us:
        return
    yield "<h2>Time per call</h2>"
    yield from _chart([each / 1000 for each in timing.call_us])
    yield f'<p class="quiet">median {timing.p50_ms:.2f} ms, 95th percentile {timing.p95_ms:.2f} ms</p>'
    if timing.over_limit:
        yield f'<p class="bad">{timing.over_limit} calls took more than 2 s: live, they are cut off.</p>'


def _chart(values: Sequence[float]) -> Iterator[str]:
    """Draw the values, in the order of the frames."""
    step = -(-len(values) // MAX_POINTS)
    groups = [values[at : at + step] for at in range(0, len(values), step)]
    top, bottom = max(values), min(0.0, *values)
    scale = (CHART_HEIGHT - 10) / ((top - bottom) or 1.0)
    points = []
    for number, group in enumerate(groups):
        x = CHART_WIDTH * number / max(1, len(groups) - 1)
        points += [
            f"{x:.1f},{CHART_HEIGHT - 5 - (value - bottom) * scale:.1f}" for value in {min(group), max(group)}
        ]
    yield f'<svg viewBox="0 0 {CHART_WIDTH} {CHART_HEIGHT}" role="img" aria-label="Chart">'
    yield f'<polyline points="{" ".join(points)}" fill="none" stroke="var(--accent)" stroke-width="1.5"/></svg>'


def _failures(result: RunResult, zone: tzinfo) -> Iterator[str]:
    first: dict[str, str] = {}
    for each in result.failures:
        head = f"{each.processor}, {format_time(each.at_ns, zone)}, frame {each.number}: {each.message}"
        first.setdefault(each.traceback, head)
    if first:
        yield f'<h2 class="bad">Failures ({len(result.failures)})</h2>'
    for traceback, head in list(first.items())[:MAX_FAILURES]:
        yield f"<p>{escape(head)}</p><pre>{escape(traceback)}</pre>"
