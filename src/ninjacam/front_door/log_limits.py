"""Limits log lines that anonymous clients can cause to one per minute and kind, with the number of omitted lines."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

PERIOD_S = 60.0


class Rarely:
    """Limits lines to one per minute and kind. Thread-safe. `monotonic`: seconds."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def take(self, kind: str) -> int | None:
        """Return None to omit this line, else the number of lines omitted before it."""
        now_s = self._monotonic()
        with self._lock:
            last_s = self._last_s.get(kind)
            if last_s is not None and now_s - last_s < PERIOD_S:
                self._left_out[kind] = self._left_out.get(kind, 0) + 1
                return None
            self._last_s[kind] = now_s
            return self._left_out.pop(kind, 0)


_rarely = Rarely()


def log_rarely(
    logger: logging.Logger, kind: str, message: str, *arguments: object, level: int = logging.WARNING
) -> None:
    """Log a message, at most one per minute and kind. `kind`: a constant, because each kind uses memory."""
    left_out = _rarely.take(kind)
    if left_out is not None:
        more = f" ({left_out} similar lines were omitted)" if left_out else ""
        logger.log(level, message + more, *arguments)


class StrangersFilter(logging.Filter):
    """Limits log lines that anonymous clients cause to one per minute and kind, without a traceback.

    `beginnings`: the beginnings of such lines in this logger; none: all of its warnings, and its errors with a 4xx
    status.
    """

    def __init__(self, beginnings: Sequence[str] = ()) -> None:
        super().__init__()
        self._beginnings = tuple(beginnings)

    def filter(self, record: logging.LogRecord) -> bool:
        if not self._is_limited(record):
            return True
        kind = (
            record.name if record.name.startswith("django.security") else f"{record.name}: {record.msg[:40]}"
        )
        left_out = _rarely.take(kind)
        if left_out is None:
            return False
        record.exc_info = record.exc_text = None
        if left_out:
            record.msg += f" ({left_out} similar lines were omitted)"
        return True

    def _is_limited(self, record: logging.LogRecord) -> bool:
        if not isinstance(record.msg, str):
            return False
        if self._beginnings:
            return record.msg.startswith(self._beginnings)
        return record.levelno <= logging.WARNING or 400 <= getattr(record, "status_code", 500) < 500
