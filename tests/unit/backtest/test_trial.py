"""Options that are tried on recordings: the limits and the file. tests/e2e/test_backtest_page.py runs it for real."""

import hashlib
import io
import json
from collections.abc import Callable
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from ninjacam.backtest import trial
from ninjacam.backtest.comparison import compare
from ninjacam.backtest.report import write_comparison
from ninjacam.backtest.results import FailedCall, RunResult
from ninjacam.backtest.runner import BacktestSpec
from ninjacam.backtest.trial import MAX_EVENTS, MAX_RUN_S, TooSlowError, TrialSpec, run_trial
from ninjacam.core.errors import InvalidError
from ninjacam.recordings.export import DiskError
from ninjacam.testing.clock import FakeClock
from tests.unit.backtest.test_results import EVIL, event, result


def spec(output: Path) -> TrialSpec:
    return TrialSpec.from_dict(
        {
            "kind": "backtest", "camera": "gate", "processor": "people",
            "zones": [{"name": "lawn", "kind": "zone", "fractions": [[0, 0], [1, 0], [1, 1]]}],
            "before": {}, "after": {"people": {"score": 1}},
            "files": [["/a.mp4", 0, 10**9], ["/b.mp4", 10**9, 2 * 10**9]], "start_ns": 0, "end_ns": 2 * 10**9,
            "output": str(output), "zone": "UTC",
        }
    )  # fmt: skip


def returns(monkeypatch: pytest.MonkeyPatch, *results: RunResult) -> list[BacktestSpec]:
    asked: list[BacktestSpec] = []

    def run(spec: BacktestSpec, on_progress: Callable[[float], None], **_: Any) -> list[RunResult]:
        asked.append(spec)
        on_progress(0.5)
        return list(results)

    monkeypatch.setattr(trial, "run_backtest", run)
    return asked


def test_the_file_has_the_comparison_and_a_part_of_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [event(10 * n, jpeg="abc", label="Ada") for n in range(MAX_EVENTS + 5)]
    asked = returns(monkeypatch, result(events=many), result(events=[event(500)]))
    shares: list[float] = []
    made = run_trial(spec(tmp_path / "x.part"), shares.append)
    (wanted,) = asked
    assert wanted.options == ({}, {"people": {"score": 1}}) and wanted.length_s == 2 and shares == [0.5]
    assert wanted.question.with_pictures and wanted.question.zones[0].name == "lawn"
    data = (tmp_path / "x.part").read_bytes()
    assert (made.size_bytes, made.sha256) == (len(data), hashlib.sha256(data).hexdigest())
    found = json.loads(data)
    assert found["comparison"]["events_only_before_count"] == MAX_EVENTS + 5
    assert len(found["comparison"]["events_only_before"]) == MAX_EVENTS
    assert (
        found["html"].count("data:image/jpeg;base64,abc") == MAX_EVENTS
        and "5 more are left out" in found["html"]
    )


def test_the_file_can_be_displayed_whatever_the_data_of_events_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns(monkeypatch, result(), result(events=[event(1, data={"text": "A\ud800", "all": "x" * 100_000})]))
    made = run_trial(spec(tmp_path / "x.part"), lambda _: None)
    found = json.loads((tmp_path / "x.part").read_bytes())
    assert "text: A\N{REPLACEMENT CHARACTER}".encode() in found["html"].encode()
    assert found["comparison"]["events_only_after"][0]["data"] == {} and made.size_bytes < 10_000


def test_a_trial_that_takes_too_long_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = FakeClock()

    def run(_spec: BacktestSpec, on_progress: Callable[[float], None], **_: Any) -> list[RunResult]:
        on_progress(0.1)
        clock.advance(MAX_RUN_S + 1)
        on_progress(0.2)
        return []

    monkeypatch.setattr(trial, "run_backtest", run)
    with pytest.raises(TooSlowError, match="after 60 minutes, at 20%"):
        run_trial(spec(tmp_path / "x.part"), lambda _: None, clock=clock)


def test_a_run_that_processed_nothing_and_a_disk_that_is_full_are_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    returns(monkeypatch, result(), result(calls=[], ended_by="It crashed."))
    with pytest.raises(InvalidError, match=r"No frame was processed: It crashed\."):
        run_trial(spec(tmp_path / "x.part"), lambda _: None)
    returns(monkeypatch, result(), result())
    with pytest.raises(DiskError):
        run_trial(spec(tmp_path / "missing" / "x.part"), lambda _: None)


def test_all_of_the_page_that_comes_from_user_code_is_escaped() -> None:
    def evil(**more: Any) -> RunResult:
        made = result(ended_by=EVIL, options={EVIL: EVIL}, **more)
        made.failures = [FailedCall(EVIL, 0, 0, EVIL, EVIL)]
        return made

    events = [
        event(9 * n, kind=EVIL, label=EVIL, data={EVIL: EVIL}, jpeg=EVIL, zones=(EVIL,)) for n in range(2)
    ]
    page = io.StringIO()
    write_comparison(page, compare(evil(events=events[:1]), evil(events=events)), UTC, max_events=9)
    write_comparison(page, compare(evil(events=events), result(events=[])), UTC, max_events=9)
    assert "<script" not in page.getvalue() and page.getvalue().count("&lt;script&gt;") >= 20, page.getvalue()
