"""Limits how many lines a hostile camera can write into the log. Not here: limits for web clients (`front_door`)."""

import logging
import threading
import time
from collections.abc import Callable

BURST = 10
EVERY_S = 60.0
MAX_KINDS = 1000


class LogLimit(logging.Filter):
    """Logging filter: passes a burst of BURST lines of each kind, then one per EVERY_S with the number of
    omitted lines.

    Lines of one kind have the same logger, level, message format and, if it is text, first argument (the
    camera). All lines of other packages' loggers pass, such as those of processors. Thread-safe. `monotonic`:
    seconds.
    """

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._kinds: dict[tuple[object, ...], tuple[float, int]] = {}
        """(time at which the kind may log a full burst again, lines omitted since the last one), most recent
        kind last."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("ninjacam"):
            return True
        first = record.args[0] if isinstance(record.args, tuple) and record.args else None
        kind = (record.name, record.levelno, record.msg, first if isinstance(first, str) else "")
        now_s = self._monotonic()
        with self._lock:
            until_s, left_out = self._kinds.pop(kind, (0.0, 0))
            until_s = max(until_s, now_s)
            passes = until_s - now_s <= (BURST - 1) * EVERY_S
            self._kinds[kind] = (until_s + EVERY_S, 0) if passes else (until_s, left_out + 1)
            if len(self._kinds) > MAX_KINDS:
                del self._kinds[next(iter(self._kinds))]
        if passes and left_out:
            record.msg = f"{record.msg} ({left_out} more lines like this were left out)"
        return passes
