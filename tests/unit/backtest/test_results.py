"""Results are put together, saved, compared, printed and written as a report."""

import io
import json
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from ninjacam.backtest import comparison
from ninjacam.backtest.comparison import compare
from ninjacam.backtest.events import CollectedEvent
from ninjacam.backtest.report import write_report
from ninjacam.backtest.results import Call, FailedCall, ResultBuilder, RunResult, read_saved
from ninjacam.backtest.text import comparison_lines, format_time, summary_lines
from ninjacam.backtest.video import FILE_STARTS_NS, NS
from ninjacam.core.errors import InvalidError

EVIL = "<script>alert('&\"')</script>"


def at(seconds: float) -> int:
    return FILE_STARTS_NS + int(seconds * NS)


def event(start_s: float, end_s: float | None = None, **more: Any) -> CollectedEvent:
    end_ns = None if end_s is None else at(end_s)
    return CollectedEvent("gate", more.pop("kind", "visit"), at(start_s), end_ns=end_ns, **more)


def result(**more: Any) -> RunResult:
    made = RunResult("people", "gate", "door.mp4", {"score": 0.5}, length_s=60, frames=3)
    made.calls = [Call(at(n), n, {"person": n + 1}, {"in": n}) for n in range(3)]
    made.events = [event(1, 5, label="Ada", data={"badge": 17}), event(20)]
    made.timing.call_us, made.timing.wall_s = [1000, 3000, 2_500_000], 2.0
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_parts_are_joined_in_their_order_and_events_have_their_last_state() -> None:
    builder = ResultBuilder()
    fields = event(1).as_dict()
    builder.take(1, {"call": {"at": 9, "us": 5, "digest": 1}})
    builder.take(0, {"call": {"at": 3, "us": 7, "digest": 2, "labels": {"car": 1}, "values": {"in": 4}}})
    builder.take(0, {"event": {"index": 0, **fields, "jpeg": "abc"}})
    builder.take(0, {"event": {"index": 0, **fields, "label": "Ada"}})
    builder.take(0, {"failure": {"processor": "p", "at": 4, "number": 1, "message": "no", "traceback": "t"}})
    builder.take(0, {"done": {"frames": 5, "skipped": 3, "dropped_events": 0}})
    builder.take(1, {"alive": 12})
    made = RunResult("p", "gate", "v.mp4", {})
    builder.finish(made)
    assert made.calls == [Call(3, 2, {"car": 1}, {"in": 4}), Call(9, 1, {}, {})]
    assert [(each.label, each.jpeg) for each in made.events] == [("Ada", "abc")]
    assert made.failures == [FailedCall("p", 4, 1, "no", "t")]
    assert (made.frames, made.skipped, made.timing.call_us) == (6, 3, [7, 5])


def test_figures_are_those_of_all_frames() -> None:
    made = result()
    assert made.count_labels() == {"person": 6}
    assert made.summarize_values()["in"]._asdict() == {
        "frames": 3, "minimum": 0, "mean": 1, "maximum": 2, "last": 2,
    }  # fmt: skip
    assert (made.speed, made.timing.p50_ms, made.timing.over_limit) == (30, 3.0, 1)
    assert result(ended_by="It ended.").speed == 0, "it is not known how far it got"


def test_a_saved_result_is_read_again(tmp_path: Path) -> None:
    made = result(failures=[FailedCall("people", at(2), 1, "no", "Traceback")])
    (tmp_path / "run.json").write_text(json.dumps(made.as_dict()))
    read = read_saved(tmp_path / "run.json")
    assert {**read.as_dict(), "timing": None} == {**made.as_dict(), "timing": None}
    assert compare(read, made).is_equal


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 1}', '{"format": 99}', "[" * 100_000])
def test_files_that_are_not_results_are_one_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InvalidError, match=r"run\.json"):
        read_saved(tmp_path / "run.json")
    with pytest.raises(InvalidError, match="cannot be read"):
        read_saved(tmp_path / "missing.json")


def test_events_of_two_runs_are_paired_by_kind_label_and_time() -> None:
    before = result(events=[event(1, 5, label="Ada"), event(20), event(40, kind="car")])
    after = result(
        events=[event(2, 9, label="Ada"), event(30), event(40, kind="bus")], options={"score": 0.6}
    )
    comparison = compare(before, after)
    assert [(one.start_ns, other.start_ns) for one, other in comparison.both] == [(at(1), at(2))]
    assert [each.kind for each in comparison.only_before] == ["visit", "car"]
    assert [each.kind for each in comparison.only_after] == ["visit", "bus"]
    assert comparison.options == {"score": (0.5, 0.6)} and not comparison.is_equal
    assert json.loads(json.dumps(comparison.as_dict()))["events_in_both"] == 1


def test_frames_with_other_results_are_counted_and_named() -> None:
    after = result()
    after.calls = [after.calls[0], after.calls[1]._replace(digest=9)]
    comparison = compare(result(), after)
    assert (comparison.different_frames, list(comparison.frames)) == (2, [at(1), at(2)])


def test_equal_runs_are_equal() -> None:
    comparison = compare(result(), result())
    assert comparison.is_equal and comparison.as_dict()["different_frames"] == 0
    assert "  The results are equal." in list(comparison_lines(comparison))


def test_the_summary_has_events_values_failures_and_the_reason_of_an_early_end() -> None:
    failure = FailedCall("people", at(2), 1, "people: ValueError: no", "Traceback\nValueError: no\n")
    made = result(failures=[failure, failure], ended_by="It ended.", ended_at_ns=at(2))
    text = "\n".join(summary_lines(made))
    for part in (
        "people on door.mp4, camera gate, 60.0 s of video",
        "score = 0.5",
        "0:00:01.000  visit  “Ada”  4.0 s",
        "value     in: 0 to 2, mean 1, last 2 (3 frames)",
        "1 calls took more than 2 s",
        "failed at 0:00:02.000, frame 1: people: ValueError: no",
        "1 more failures with the same tracebacks",
        "It ended. The last frame before: 0:00:02.000.",
    ):
        assert part in text


def test_times_are_since_the_start_of_a_file_or_of_the_day() -> None:
    assert format_time(at(3723.5)) == "1:02:03.500"
    assert format_time(1_790_000_000_123_000_000) == "2026-09-21 14:13:20.123+00:00"


def test_the_report_is_one_file_that_loads_nothing_and_escapes_everything() -> None:
    evil = event(1, 5, label=EVIL, data={EVIL: EVIL}, zones=(EVIL,), jpeg='"><script>', kind=EVIL)
    failure = FailedCall(EVIL, at(2), 1, EVIL, EVIL)
    made = result(
        processor=EVIL, camera=EVIL, source=EVIL, options={EVIL: EVIL}, events=[evil], failures=[failure],
        ended_by=EVIL,
    )  # fmt: skip
    made.calls = [Call(at(0), 1, {EVIL: 1}, {EVIL: 1.0})]
    file = io.StringIO()
    write_report(file, made, compare(result(), made), UTC)
    page = file.getvalue()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert "default-src 'none'" in page and "http://" not in page and "https://" not in page


def test_the_report_of_a_run_without_calls_is_complete() -> None:
    file = io.StringIO()
    write_report(file, RunResult("people", "gate", "door.mp4", {}), None, UTC)
    assert file.getvalue().endswith("</body></html>\n")


def test_a_comparison_of_many_different_events_takes_few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = 0

    def is_same(*_: object) -> bool:
        nonlocal steps
        steps += 1
        return False

    monkeypatch.setattr(comparison, "_is_same", is_same)
    many = [event(10 * n) for n in range(1000)]
    found = compare(result(events=many), result(events=many))
    assert len(found.only_before) == len(found.only_after) == 1000 and steps <= 3000
