import logging

import pytest

from ninjacam.front_door import log_limits
from ninjacam.front_door.log_limits import PERIOD_S, Rarely, StrangersFilter


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def record(name: str, level: int, message: str, *arguments: object, **more: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, message, arguments, None)
    made.__dict__.update(more)
    return made


def test_each_kind_is_logged_once_a_minute_with_the_number_of_omitted_lines() -> None:
    clock = Clock()
    rarely = Rarely(monotonic=clock)
    assert rarely.take("a") == 0
    assert [rarely.take("a"), rarely.take("b"), rarely.take("a")] == [None, 0, None]
    clock.now_s += PERIOD_S
    assert rarely.take("a") == 2


def test_only_lines_caused_by_anonymous_clients_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "_rarely", Rarely())
    strangers = StrangersFilter()
    not_found = [record("django.request", logging.WARNING, "Not Found: %s", path) for path in ("/a", "/b")]
    assert [strangers.filter(each) for each in not_found] == [True, False]
    bug = [record("django.request", logging.ERROR, "Internal error", status_code=500) for _ in range(2)]
    assert all(strangers.filter(each) for each in bug)


def test_a_limited_line_has_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "_rarely", Rarely())
    host = record(
        "django.security.DisallowedHost", logging.ERROR, "Invalid HTTP_HOST header: 'a'.", status_code=400
    )
    host.exc_info = (ValueError, ValueError(), None)
    assert StrangersFilter().filter(host)
    assert host.exc_info is None
    again = record(
        "django.security.DisallowedHost", logging.ERROR, "Invalid HTTP_HOST header: 'b'.", status_code=400
    )
    assert not StrangersFilter().filter(again)


def test_only_the_named_lines_of_a_server_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_limits, "_rarely", Rarely())
    server = StrangersFilter(["Invalid HTTP request"])
    lines = [
        "Invalid HTTP request received.",
        "Invalid HTTP request received.",
        "Worker failed.",
        "Worker failed.",
    ]
    kept = [server.filter(record("uvicorn.error", logging.WARNING, line)) for line in lines]
    assert kept == [True, False, True, True]
