"""Attributes crashes of vision workers to views or modules, and quarantines these.

A crash inside user code (a segmentation fault, `os._exit`) is attributed at once to the view whose thread caused it,
or to all views that ran user code if the thread is unknown. If the worker was killed (SIGKILL, SIGTERM: an operator,
or the kernel for lack of memory), it is attributed to the running views only the second time within a minute. Such a
view is shown as failed and retried after 30 s, doubled at each repetition. If a module was being loaded, the crash
is attributed to it alone: new workers skip it until it is saved.
"""

import json
import logging
import signal
from dataclasses import dataclass

from ninjacam.core.clock import Clock
from ninjacam.core.errors import ProcessorError
from ninjacam.supervision.child import OUT_OF_MEMORY_STATUS
from ninjacam.supervision.child_process import Death
from ninjacam.supervision.control import Json
from ninjacam.supervision.crash_record import LEFT_OUT, LastWords

logger = logging.getLogger("ninjacam.supervision")

FIRST_S = 30.0
MAX_S = 600.0
KILLED_TWICE_WITHIN_S = 60.0
FORGIVEN_AFTER_S = 1_800.0


@dataclass(slots=True)
class _Record:
    times: int = 0
    last_ns: int = -(10**18)
    last_wall_ns: int = 0
    until_ns: int = 0
    message: str = ""
    traceback: str = ""


class CrashAttribution:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._records: dict[tuple[str, str], _Record] = {}
        self._saved_ns = 0  # Wall clock, of the user's code.

    def died(self, words: LastWords, death: Death) -> None:
        """Record that a worker died with this crash record."""
        now_ns = self._clock.monotonic_ns()
        running = words.running
        if words.traceback:
            logger.error("a vision worker crashed in this thread:\n%s", words.traceback)
        for key in [key for key in running if not key[0]] or running:
            record = self._records.setdefault(key, _Record())
            since_s = (now_ns - record.last_ns) / 1e9
            record.last_ns = now_ns
            record.last_wall_ns = self._clock.wall_ns()
            killed = death.returncode in (None, -signal.SIGKILL, -signal.SIGTERM) and not death.by_us
            if killed and since_s > KILLED_TWICE_WITHIN_S:
                continue
            record.times = 1 if since_s > FORGIVEN_AFTER_S else record.times + 1
            pause_s = min(MAX_S, FIRST_S * 2 ** (record.times - 1))
            record.until_ns = now_ns + int(pause_s * 1e9)
            record.message = _sentence(*key, death, pause_s)
            if len(running) > 1:
                record.message += " Others ran at the same time: it may have been one of them."
            record.traceback = words.traceback

    def code_saved(self, saved_ns: int) -> bool:
        """Discard earlier crashes, because the user's code was saved at that wall time. Return whether this is news.

        A worker may die of new code before it has reported it, so crashes are not discarded on the report alone.
        """
        if saved_ns <= self._saved_ns:
            return False
        self._saved_ns = saved_ns
        self._records = {key: each for key, each in self._records.items() if each.last_wall_ns >= saved_ns}
        return True

    def quarantined(self) -> list[Json]:
        """Return the current list of {"camera", "view", "error", "until_ns" (monotonic)}."""
        now_ns = self._clock.monotonic_ns()
        return [
            {
                "camera": slug,
                "view": view,
                "until_ns": record.until_ns,
                "error": ProcessorError(record.message, traceback=record.traceback).as_dict(),
            }
            for (slug, view), record in sorted(self._records.items())
            if slug and record.until_ns > now_ns
        ]

    def environment(self) -> dict[str, str]:
        """Return the environment variable that lists the modules that a new worker must skip."""
        left_out = {
            name: record.message
            for (slug, name), record in self._records.items()
            if not slug and record.message
        }
        return {LEFT_OUT: json.dumps(left_out)}


def _sentence(slug: str, name: str, death: Death, pause_s: float) -> str:
    if death.by_us:
        how = "held its process for seconds without letting go, and was ended"
    elif death.returncode == OUT_OF_MEMORY_STATUS:
        how = "took more memory than this host can give, and its process was ended"
    elif death.returncode is not None and death.returncode < 0:
        how = f"took its process down ({signal.Signals(-death.returncode).name})"
    elif death.returncode is not None:
        how = f"ended its process (exit status {death.returncode})"
    else:
        how = "took its process down"
    if not slug:
        module = name.partition(" ")[2]
        return f"While it was loaded, {module} {how}. Look at what it imports: it is loaded again when it is saved."
    return f"The processor {name!r} {how}. It is tried again after {pause_s:g} s, or when its file is saved."
