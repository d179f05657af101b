"""Failures of a processor: counted all, logged some."""

import logging

import pytest

from ninjacam.core.errors import ProcessorError
from ninjacam.testing.clock import FakeClock
from ninjacam.vision.health import MAX_DURATIONS, ViewHealth


def error(words: str = "edges: ValueError: no") -> ProcessorError:
    return ProcessorError(words, traceback="Traceback (most recent call last): ...")


def test_a_failure_is_logged_with_its_traceback_and_repeats_once_a_minute_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, health = FakeClock(), ViewHealth()
    with caplog.at_level(logging.WARNING, "ninjacam.vision"):
        for _ in range(125):
            health.failed("door", error(), clock)
            clock.advance(1)
    assert [record.getMessage() for record in caplog.records] == [
        "door: edges: ValueError: no\nTraceback (most recent call last): ...",
        "door: edges: ValueError: no (60 failures since the last such message)\nTraceback (most recent call last): ...",
        "door: edges: ValueError: no (60 failures since the last such message)\nTraceback (most recent call last): ...",
    ]
    report = health.report()
    assert report["failures"] == 125
    assert report["last_error"]["message"] == "edges: ValueError: no"
    assert report["last_failed_us"] == (clock.wall_ns() - 10**9) // 1000


def test_errors_that_differ_each_time_are_logged_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    clock, health = FakeClock(), ViewHealth()
    with caplog.at_level(logging.WARNING, "ninjacam.vision"):
        for number in range(100):
            health.failed("door", error(f"edges: KeyError: {number}"), clock)
            clock.advance(0.1)
    assert len(caplog.records) == 10


def test_new_code_starts_without_failures() -> None:
    health, first, second = ViewHealth(), object(), object()
    health.begin(first)
    health.failed("door", error(), FakeClock())
    health.begin(first)
    assert health.report()["failures"] == 1
    health.begin(second)
    report = health.report()
    assert (report["failures"], report["last_error"], report["last_failed_us"]) == (0, None, 0)


def test_percentiles_are_those_of_the_latest_calls() -> None:
    health = ViewHealth()
    assert health.report()["ms_p50"] == health.report()["ms_p95"] == 0
    for _ in range(1000):
        health.took(10**9)
    for number in range(MAX_DURATIONS):
        health.took((number + 1) * 1_000_000)
    report = health.report()
    assert report["ms_p50"] == pytest.approx(MAX_DURATIONS * 0.5, abs=2)
    assert report["ms_p95"] == pytest.approx(MAX_DURATIONS * 0.95, abs=2)
