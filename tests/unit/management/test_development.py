import logging
import socket

import pytest

from ninjacam.management.development import AsgiServer, RequestLog


def line(path: str, status: int) -> logging.LogRecord:
    arguments = ("127.0.0.1:5000", "GET", path, "1.1", status)
    return logging.LogRecord(
        "uvicorn.access", logging.INFO, "", 0, '%s - "%s %s HTTP/%s" %d', arguments, None
    )


def test_requests_are_logged_as_by_django_without_signatures(caplog: pytest.LogCaptureFixture) -> None:
    log = RequestLog()
    caplog.set_level(logging.INFO, "django.server")
    logging.getLogger("django.server").addHandler(caplog.handler)
    try:
        for path, status in (
            ("/cam/", 200),
            ("/cam/live/door/mjpeg?view=a&sig=abc.d-e&_=1", 404),
            ("/x", 500),
        ):
            log.handle(line(path, status))
    finally:
        logging.getLogger("django.server").removeHandler(caplog.handler)
    found = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert list(dict.fromkeys(found)) == [
        ("INFO", '"GET /cam/ HTTP/1.1" 200'),
        ("WARNING", '"GET /cam/live/door/mjpeg?view=a&sig=…&_=1 HTTP/1.1" 404'),
        ("ERROR", '"GET /x HTTP/1.1" 500'),
    ]


def test_a_port_that_is_in_use_is_an_os_error_as_runserver_expects() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        AsgiServer(taken.getsockname(), None)  # type: ignore[arg-type]
